"""Agents that the tests of the server talk to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt


class EchoModel(BaseChatModel):
    """Says the words it is told, one by one. `gate:SOCKET` waits until somebody who listens there says to go on, and
    `fail:` fails."""

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(str(messages[-1].content)))])

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in str(messages[-1].content).split():
            command, _, argument = word.partition(":")
            if command == "gate":
                await pass_gate(argument)
            elif command == "fail":
                raise ValueError("the model broke")
            else:
                yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))


async def pass_gate(path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        await reader.readline()
    finally:
        writer.close()


class CountingModel(EchoModel):
    """Says how many messages there are; each answer costs 10 tokens in and 5 out."""

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        yield ChatGenerationChunk(message=AIMessageChunk(content=str(len(messages)), usage_metadata=usage))


model = EchoModel()


async def say(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await model.ainvoke(state["messages"])]}


def one_node(name: str, node: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    builder.add_edge(name, END)
    return builder.compile()


echo = one_node("say", say)


async def ask(state: MessagesState) -> dict[str, Any]:
    answer = interrupt({"question": "may I?"})
    return {"messages": [AIMessage(f"you said {answer}")]}


asks = one_node("ask", ask)


@tool
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


async def call_add(state: MessagesState) -> dict[str, Any]:
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "call-1", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


def adder() -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("plan", call_add)
    builder.add_node("tools", ToolNode([add]))
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "tools")
    builder.add_edge("tools", END)
    return builder.compile()


adds = adder()


def adder_twice() -> Any:
    builder = StateGraph(MessagesState)
    for node in ("first", "second"):
        builder.add_node(node, adds)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder.compile()


adds_twice = adder_twice()
nested = one_node("inner", echo)


def loop(rounds: int) -> Any:
    """Asks its model again and again."""
    counting = CountingModel()

    async def count(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await counting.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    builder.add_conditional_edges(
        "count", lambda state: END if len(state["messages"]) > rounds else "count", ["count", END]
    )
    return builder.compile()


loops = loop(5)
