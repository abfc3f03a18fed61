"""A project as people make it for LangGraph's own server: it knows nothing of the one that serves it here."""

import asyncio
import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt


class Parrot(BaseChatModel):
    """Says the words of the last message, `pause` seconds apart. At the word `gate:SOCKET` it waits until somebody who
    listens there lets it go on."""

    pause: float = 0

    @property
    def _llm_type(self) -> str:
        return "parrot"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(str(messages[-1].content)))])

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in str(messages[-1].content).split():
            if word.startswith("gate:"):
                await pass_gate(word.removeprefix("gate:"))
                continue
            await asyncio.sleep(self.pause)
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))


async def pass_gate(path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        await reader.readline()
    finally:
        writer.close()


async def say(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    model = Parrot(pause=config["configurable"].get("pause", 0))
    return {"messages": [await model.ainvoke(state["messages"])]}


talker = StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").add_edge("say", END).compile()


class Count(TypedDict):
    total: int
    steps: Annotated[list[str], operator.add]


async def double(state: Count) -> dict[str, Any]:
    get_stream_writer()({"doubling": state["total"]})
    return {"total": state["total"] * 2, "steps": ["double"]}


async def add_one(state: Count) -> dict[str, Any]:
    return {"total": state["total"] + 1, "steps": ["add_one"]}


counter = StateGraph(Count).add_sequence([double, add_one]).add_edge(START, "double").compile()


@tool
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


async def plan(state: MessagesState) -> dict[str, Any]:
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "call-1", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


async def report(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"It is {state['messages'][-1].content}.")]}


caller = (
    StateGraph(MessagesState)
    .add_sequence([plan, ("tools", ToolNode([add])), report])
    .add_edge(START, "plan")
    .compile()
)


class Booking(TypedDict, total=False):
    city: str
    day: str
    booked: str


async def choose(state: Booking) -> dict[str, Any]:
    return {"day": interrupt({"question": f"When do you want to go to {state['city']}?"})}


async def confirm(state: Booking) -> dict[str, Any]:
    answer = interrupt({"question": f"Book {state['city']} on {state['day']}?"})
    return {"booked": f"{state['city']} on {state['day']}" if answer == "yes" else "nothing"}


asker = StateGraph(Booking).add_sequence([choose, confirm]).add_edge(START, "choose").compile()

outer = StateGraph(MessagesState).add_node("inner", talker).add_edge(START, "inner").compile()


async def fail(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
    if state["messages"][-1].content != "behave":
        await say(state, config)
        raise RuntimeError("the agent broke")
    return {"messages": [AIMessage("fine")]}


failing = StateGraph(MessagesState).add_node("fail", fail).add_edge(START, "fail").compile()
