"""Agents that tell a journal outside of every server what they do, and when."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

JOURNAL = urlsplit(os.environ["CHAOS_JOURNAL"])  # noqa: TID251  an agent of the tests' own
TURN_SECONDS = 0.1
"""Longer than it takes to ask both instances at once."""
HOLD_SECONDS = 2.0
"""Enough time to queue some runs behind this one."""
LONG_SECONDS = 5.0
"""Far longer than anything that is to be cut short may take."""
BLOCKED_SECONDS = 15.0


def request(entry: Mapping[str, object]) -> bytes:
    body = json.dumps({**entry, "pid": os.getpid()}).encode()
    return b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def note(**entry: object) -> None:
    """Tell the journal; it has it when this returns."""
    reader, writer = await asyncio.open_connection(JOURNAL.hostname, JOURNAL.port)
    try:
        writer.write(request(entry))
        await reader.read()
    finally:
        writer.close()


def tell(**entry: object) -> None:
    """The same, from a thread."""
    with socket.create_connection((JOURNAL.hostname or "", JOURNAL.port or 0), 10) as connection:
        connection.sendall(request(entry))
        connection.recv(1000)


async def take_turn(state: MessagesState, config: RunnableConfig) -> dict[str, list[BaseMessage]]:
    configurable = config["configurable"]
    facts = {"run_id": configurable["run_id"], "thread_id": configurable["thread_id"]}
    try:
        await note(at="begin", sent_ms=time.time() * 1000, **facts)
        await asyncio.sleep(HOLD_SECONDS if state["messages"][-1].content == "hold" else TURN_SECONDS)
    finally:
        await note(at="end", **facts)
    return {"messages": [AIMessage(f"answer to {state['messages'][-1].content}")]}


@tool
async def wait_async() -> str:
    """Wait."""
    await note(at="wait_async")
    await asyncio.sleep(LONG_SECONDS)
    return "waited"


@tool
def wait_sync() -> str:
    """Wait, in a thread."""
    tell(at="wait_sync")
    time.sleep(LONG_SECONDS)
    return "waited"


def call_tool(state: MessagesState) -> dict[str, list[BaseMessage]]:
    """The user names the tool."""
    name = str(state["messages"][-1].content)
    return {"messages": [AIMessage("", tool_calls=[{"name": name, "args": {}, "id": f"call-{name}"}])]}


async def ask_human(state: MessagesState) -> dict[str, list[BaseMessage]]:
    return {"messages": [AIMessage(str(interrupt("go on?")))]}


async def block(state: MessagesState, config: RunnableConfig) -> dict[str, list[BaseMessage]]:
    """The first attempt holds up its whole process, and goes on afterwards as if nothing had been."""
    attempt = config["metadata"]["run_attempt"]
    await note(at="blocking", attempt=attempt)
    if attempt == 1:
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251  this is what is tested
        await note(at="woken")
    return {"messages": [AIMessage(f"attempt {attempt}")]}


def graph_of(**nodes: Any) -> Any:
    """These nodes, one after the other."""
    builder = StateGraph(MessagesState)
    for before, (name, node) in zip([START, *nodes], nodes.items(), strict=False):
        builder.add_node(name, node)
        builder.add_edge(before, name)
    return builder.compile()


turn = graph_of(turn=take_turn)
tools = graph_of(call=call_tool, tools=ToolNode([wait_async, wait_sync]))
human = graph_of(human=ask_human)
blocking = graph_of(block=block)
