"""Graphs and threads for the tests of checkpoints."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypedDict
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from redis.asyncio import Redis

from pilothouse.ports.principals import LOCAL, Principal
from pilothouse.stores.checkpoints.journal import Fence
from pilothouse.stores.checkpoints.redis import RedisCheckpointer

TTL = timedelta(minutes=5)


def on(redis_url: str, scenario: Callable[[Redis], Awaitable[None]]) -> None:
    """Run a scenario with a client of its own."""

    async def main() -> None:
        async with Redis.from_url(redis_url) as redis:
            await scenario(redis)

    asyncio.run(main())


def saver(redis: Redis, principal: Principal = LOCAL, fence: Fence | None = None) -> RedisCheckpointer:
    return RedisCheckpointer(redis, principal, ttl=TTL, fence=fence)


def config(thread_id: str | None = None, checkpoint_id: str | None = None) -> RunnableConfig:
    place: dict[str, Any] = {"thread_id": thread_id or str(uuid4()), "checkpoint_ns": ""}
    if checkpoint_id:
        place["checkpoint_id"] = checkpoint_id
    return {"configurable": place}


def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
    """Three hundred letters, and how many messages there are."""
    return {"messages": [AIMessage("x" * 300 + str(len(state["messages"])))]}


chat = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").add_edge("answer", END)


class Approval(TypedDict, total=False):
    question: str
    verdict: str


def ask(state: Approval) -> Approval:
    return {"verdict": interrupt(state["question"])}


approval = StateGraph(Approval).add_node(ask).add_edge(START, "ask").add_edge("ask", END)


async def say(redis: Redis, place: RunnableConfig, text: str) -> Sequence[BaseMessage]:
    """One turn of the chat, with a saver of its own as each run has."""
    async with saver(redis) as checkpointer:
        graph = chat.compile(checkpointer=checkpointer)
        state = await graph.ainvoke({"messages": [("user", text)]}, place, durability="async")
    return state["messages"]


async def texts(redis: Redis, place: RunnableConfig) -> list[str]:
    found = await saver(redis).aget_tuple(place)
    return [message.content for message in found.checkpoint["channel_values"]["messages"]] if found else []
