"""The agent of the chaos suite: it says something, calls two tools at once, then answers with numbered tokens.

Its model is a script over the thread: whoever asks it gets the next step. Each time that it asks for the tools it makes up new
ids, as real models do: so a step that is done twice shows. What the tools do goes to the suite's journal, which
survives this process.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

JOURNAL = urlsplit(os.environ["CHAOS_JOURNAL"])  # noqa: TID251  # an agent of the suite's own, not of Pilothouse
TOKENS = int(os.environ.get("CHAOS_TOKENS", "100"))  # noqa: TID251  # the same
TOKEN_SECONDS = float(os.environ.get("CHAOS_TOKEN_MS", "30")) / 1000  # noqa: TID251  # the same
TOOL_SECONDS = float(os.environ.get("CHAOS_TOOL_MS", "500")) / 1000  # noqa: TID251  # the same
PREFACE_TOKENS = 10


async def note(**entry: object) -> None:
    """Tell the journal; it has it when this returns."""
    body = json.dumps({**entry, "pid": os.getpid()}).encode()
    reader, writer = await asyncio.open_connection(JOURNAL.hostname, JOURNAL.port)
    try:
        writer.write(
            b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await reader.read()
    finally:
        writer.close()


@tool
async def book(word: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> str:
    """Book something. It has an effect out there, so it may happen once only."""
    await asyncio.sleep(TOOL_SECONDS / 2)
    await note(at="book", word=word, call_id=tool_call_id)
    await asyncio.sleep(TOOL_SECONDS / 2)
    return f"booked {word}"


@tool
async def look(word: str) -> str:
    """Look something up, as often as you like."""
    await asyncio.sleep(TOOL_SECONDS)
    return f"saw {word}"


look.metadata = {"replay": "safe"}


def tokens(word: str, count: int) -> list[str]:
    return [f"{word}-{number} " for number in range(count)]


class Script(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "script"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("this model streams")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        word = str(next(m for m in reversed(messages) if isinstance(m, HumanMessage)).content)
        answering = isinstance(messages[-1], ToolMessage)
        pieces = [AIMessageChunk(text) for text in tokens(word, TOKENS if answering else PREFACE_TOKENS)]
        if not answering:
            pieces.append(
                AIMessageChunk("", tool_call_chunks=[_call(0, "book", word), _call(1, "look", word)])
            )
        for piece in pieces:
            await asyncio.sleep(TOKEN_SECONDS)
            chunk = ChatGenerationChunk(message=piece)
            if run_manager:
                await run_manager.on_llm_new_token(str(piece.content), chunk=chunk)
            yield chunk


def _call(index: int, name: str, word: str) -> Any:
    return {"index": index, "id": f"call-{uuid4().hex}", "name": name, "args": json.dumps({"word": word})}


model = Script()


async def ask(state: MessagesState, config: RunnableConfig) -> dict[str, list[BaseMessage]]:
    known = config["configurable"]
    await note(at="step", run_id=known["run_id"])
    return {"messages": [await model.ainvoke(state["messages"], config)]}


builder = StateGraph(MessagesState)
builder.add_node("ask", ask)
builder.add_node("tools", ToolNode([book, look]))
builder.add_edge(START, "ask")
builder.add_conditional_edges("ask", tools_condition)
builder.add_edge("tools", "ask")
graph = builder.compile()
