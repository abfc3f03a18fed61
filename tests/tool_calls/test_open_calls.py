"""Conversations that a run left with calls that have no result."""

import asyncio
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from tests.engines.graphs import json_of, read, tool_graph
from tests.tool_calls.places import CallingModel, Place, on

from pilothouse.events import RunOutcome

UNDER_WAY = "Cancelled: the call did not finish, but it may have happened."
NEVER_BEGUN = "Cancelled: the call did not finish."


class FirstCallingModel(CallingModel):
    """Calls in answer to the first message of a conversation only."""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if len(messages) == 1:
            return super()._generate(messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("well"))])


def conversation(place: Place, begun: asyncio.Event, wanted: list[tuple[str, dict[str, Any]]]) -> Any:
    @tool
    async def moor(ship: str) -> str:
        """Moor a ship. Marie takes for ever."""
        if ship == "Aurora":
            return f"moored {ship}"
        while not await place.recorded():
            pass
        begun.set()
        await asyncio.Event().wait()
        return ""

    @tool
    async def sell(ship: str) -> str:
        """Sell a ship."""
        return f"sold {ship}"

    sell.metadata = {"replay": "ask"}
    return tool_graph(FirstCallingModel(wanted=wanted), [moor, sell])


async def results(place: Place, engine: Any) -> list[str]:
    """What the calls gave that stand right behind the first one that the model made."""
    messages = (await place.messages(engine))[2:]
    behind = [message["content"] for message in messages if message["type"] == "tool"]
    assert [message["type"] for message in messages[: len(behind)]] == ["tool"] * len(behind)
    return behind


@pytest.mark.parametrize("outcome", ["cancelled", "error", "timeout", "budget_exceeded"])
def test_a_new_message_after_a_run_that_was_cut_off_finds_every_call_closed(
    redis_url: str, outcome: RunOutcome
) -> None:
    async def scenario(place: Place) -> None:
        begun = asyncio.Event()
        wanted = [("moor", {"ship": "Aurora"}), ("moor", {"ship": "Marie"})]
        engine = place.engine(conversation(place, begun, wanted))
        run_id = await place.crash(engine, begun)
        await place.end(run_id)
        assert (await place.contents(engine)) == ["hi", ""]
        await place.drive(engine, after=outcome)
        assert await results(place, engine) == ["moored Aurora", UNDER_WAY]
        assert [message["type"] for message in await place.messages(engine)][:5] == [
            "human",
            "ai",
            "tool",
            "tool",
            "human",
        ]

    on(redis_url, scenario)


def test_who_writes_on_instead_of_answering_a_question_closes_its_call(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        engine = place.engine(conversation(place, asyncio.Event(), [("sell", {"ship": "Aurora"})]))
        assert len(await place.drive(engine)) == 1
        assert await place.drive(engine, after="interrupted") == []
        assert await results(place, engine) == [NEVER_BEGUN]
        assert (await place.contents(engine))[-1] == "well"

    on(redis_url, scenario)


@pytest.mark.parametrize("after", [None, "success"])
def test_after_a_run_that_succeeded_nothing_is_looked_at(redis_url: str, after: RunOutcome | None) -> None:
    async def scenario(place: Place) -> None:
        engine = place.engine(conversation(place, asyncio.Event(), [("sell", {"ship": "Aurora"})]))
        await place.drive(engine)
        await place.drive(engine, after=after)
        assert await results(place, engine) == []

    on(redis_url, scenario)


def test_an_agent_without_messages_is_left_alone(redis_url: str) -> None:
    class Count(TypedDict):
        n: int

    def node(state: Count) -> Count:
        return {"n": state["n"] + 1}

    async def scenario(place: Place) -> None:
        engine = place.engine(StateGraph(Count).add_node("node", node).add_edge(START, "node"))
        await place.drive(engine, input=json_of({"n": 1}))
        await place.drive(engine, input=json_of({"n": 5}), after="error")
        assert read(await engine.state(place.principal, place.thread_id))["values"] == {"n": 6}

    on(redis_url, scenario)
