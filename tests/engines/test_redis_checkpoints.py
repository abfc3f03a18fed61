"""The engine on the checkpoints that the server really has."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import MessagesState
from langgraph.types import interrupt
from redis.asyncio import Redis
from tests.checkpoints.threads import saver
from tests.engines.graphs import (
    ScriptedModel,
    chat_graph,
    events_of,
    failure_of,
    json_of,
    one_node_graph,
    read,
    request,
    run,
)

from pilothouse.engines.langgraph.engine import LangGraphEngine
from pilothouse.engines.langgraph.factories import FixedGraph
from pilothouse.errors import LeaseLost
from pilothouse.events import RunId, ThreadId
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.stores import keys
from pilothouse.stores.checkpoints.journal import Fence

Scenario = Callable[["Place"], Awaitable[None]]


class Place:
    """A thread of its own, and engines on it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.thread_id = ThreadId(str(uuid4()))

    def engine(self, graph: Any) -> LangGraphEngine:
        return LangGraphEngine(
            FixedGraph(graph.compile()),
            lambda principal, fence: saver(self.redis, principal, Fence(*fence) if fence else None),
        )

    async def begin(self, attempt: int = 1, run_id: RunId | None = None) -> RunId:
        """A run as the queue hands it out."""
        begun = run_id or RunId(f"{uuid4().hex}{keys.partition_of_thread(self.thread_id):x}")
        await self.redis.hset(keys.run(begun), mapping={"attempt": str(attempt), "status": "running"})
        return begun

    async def contents(self, engine: LangGraphEngine, principal: Principal = LOCAL) -> list[str]:
        state = read(await engine.state(principal, self.thread_id))
        return [message["content"] for message in state["values"].get("messages", [])]


def on(redis_url: str, scenario: Scenario) -> None:
    async def main() -> None:
        async with Redis.from_url(redis_url) as redis:
            await scenario(Place(redis))

    run(main())


async def approve(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"answer: {interrupt('may I?')}")]}


def test_an_interrupted_run_is_resumed_by_another_instance(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        here, there = place.engine(one_node_graph(approve)), place.engine(one_node_graph(approve))
        await events_of(here, request(await place.begin(), thread_id=place.thread_id))
        (asked,) = await there.interrupts(LOCAL, place.thread_id)
        assert read(asked.value) == "may I?"
        command = json_of({"resume": "yes"})
        await events_of(there, request(await place.begin(), thread_id=place.thread_id, command=command))
        assert await place.contents(here) == ["hi", "answer: yes"]
        assert await place.contents(here, Principal(UserId("ann"))) == []

    on(redis_url, scenario)


@pytest.mark.parametrize("failing", [False, True])
def test_who_stops_an_answer_or_gets_none_keeps_the_question(redis_url: str, failing: bool) -> None:
    async def scenario(place: Place) -> None:
        async def node(state: MessagesState) -> dict[str, Any]:
            if failing:
                raise ConnectionError("no model")
            return {"messages": [await model.ainvoke(state["messages"])]}

        model = ScriptedModel(scripts=[["begin", asyncio.Event()]])
        engine = place.engine(one_node_graph(node))
        asked = request(await place.begin(), thread_id=place.thread_id)
        if failing:
            await failure_of(engine, asked)
        else:
            async with aclosing(engine.run(asked)) as batches:
                await anext(batches)
        assert await place.contents(engine) == ["hi"]

    on(redis_url, scenario)


def test_an_attempt_that_was_superseded_fails_and_the_next_goes_on(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        late = asyncio.Event()
        engine = place.engine(chat_graph(ScriptedModel(scripts=[["old ", late, "words"], ["new words"]])))
        run_id = await place.begin()
        old = engine.run(request(run_id, thread_id=place.thread_id))
        async with aclosing(old):
            await anext(old)
            await place.begin(2, run_id)
            await events_of(engine, request(run_id, attempt=2, thread_id=place.thread_id))
            late.set()
            with pytest.raises(LeaseLost):
                [batch async for batch in old]
        assert await place.contents(engine) == ["hi", "new words"]

    on(redis_url, scenario)
