"""Agents that the tests of the event stream talk to."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from tests.server.agents.graphs import adds, asks, echo, nested, one_node

__all__ = ["adds", "asks", "asks_below", "asks_two", "echo", "nested", "writes"]

asks_below = one_node("inner", asks)


class Answers(TypedDict):
    answers: Annotated[list[str], operator.add]


async def ask_left(state: Answers) -> dict[str, list[str]]:
    return {"answers": [f"left {interrupt('left?')}"]}


async def ask_right(state: Answers) -> dict[str, list[str]]:
    return {"answers": [f"right {interrupt('right?')}"]}


def two_questions() -> Any:
    builder = StateGraph(Answers)
    for name, node in (("left", ask_left), ("right", ask_right)):
        builder.add_node(name, node)
        builder.add_edge(START, name)
        builder.add_edge(name, END)
    return builder.compile()


asks_two = two_questions()


async def write(state: MessagesState) -> dict[str, Any]:
    writer = get_stream_writer()
    writer({"name": "progress", "payload": {"done": 1}})
    writer("plain")
    return {"messages": []}


writes = one_node("write", write)
