"""A plain async function as an agent.

    async def agent(messages): return "text"
    async def agent(messages, context): yield "piece"; yield "piece"

It becomes the one node of a LangGraph graph, so that state, history, checkpoints, streaming and cancelling are those of
every other agent.
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.config import get_config
from langgraph.graph import END, START, MessagesState, StateGraph

from pilothouse.engines.langgraph.requests import AnyGraph
from pilothouse.errors import AgentUnavailable

AgentFunction: TypeAlias = Callable[..., Any]
_Pieces: TypeAlias = Callable[[list[BaseMessage]], AsyncGenerator[str, None]]


class FunctionContext(msgspec.Struct, frozen=True):
    """What a function gets as its second argument, if it has one."""

    thread_id: str
    run_id: str
    user: str


def function_graph(function: AgentFunction, name: str) -> AnyGraph:
    """The function as a graph whose state is `{"messages": […]}`, for `FixedGraph`.

    It takes the thread's messages (LangChain's) and, if it has a second parameter, a `FunctionContext`; it is a
    coroutine function that returns text, or an async generator function that yields pieces of text. Raises
    `AgentUnavailable` if it is neither.
    """
    model = _FunctionModel(pieces=_pieces_of(function, name))

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("agent", answer)
    builder.add_edge(START, "agent")
    builder.add_edge("agent", END)
    return builder.compile(name=name)


class _FunctionModel(BaseChatModel):
    """The function in a chat model's clothes: LangChain tells callbacks what a model says, piece by piece."""

    pieces: _Pieces

    @property
    def _llm_type(self) -> str:
        return "function"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams()  # no provider: it is no model

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("An async function can't be called synchronously.")

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        text = "".join([piece async for piece in self.pieces(messages)])
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self.pieces(messages)) as pieces:
            async for piece in pieces:
                yield ChatGenerationChunk(message=AIMessageChunk(content=piece))


def _pieces_of(function: AgentFunction, name: str) -> _Pieces:
    """The function in one form: an async generator of pieces of text."""
    called: Any = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004 - an object with an async __call__ is as good
    takes_context = _takes_context(called, name)

    def arguments(messages: list[BaseMessage]) -> tuple[Any, ...]:
        return (messages, _context()) if takes_context else (messages,)

    async def returned(messages: list[BaseMessage]) -> AsyncGenerator[str, None]:
        yield _text(await function(*arguments(messages)), name)

    async def yielded(messages: list[BaseMessage]) -> AsyncGenerator[str, None]:
        async with aclosing(function(*arguments(messages))) as pieces:
            async for piece in pieces:
                yield _text(piece, name)

    if inspect.isasyncgenfunction(called):
        return yielded
    if inspect.iscoroutinefunction(called):
        return returned
    raise AgentUnavailable(f"Agent {name!r} is not an async function: write it as `async def`.")


def _takes_context(called: AgentFunction, name: str) -> bool:
    parameters = [
        each
        for each in inspect.signature(called).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    if not 1 <= len(parameters) <= 2:
        raise AgentUnavailable(
            f"Agent {name!r} takes {len(parameters)} arguments: it gets messages, and a context."
        )
    return len(parameters) == 2


def _context() -> FunctionContext:
    configurable: dict[str, Any] = get_config().get("configurable", {})
    return FunctionContext(
        configurable["thread_id"], configurable["run_id"], configurable["langgraph_auth_user_id"]
    )


def _text(piece: object, name: str) -> str:
    if not isinstance(piece, str):
        raise TypeError(
            f"Agent {name!r} gave a {type(piece).__name__}: return text, or yield pieces of text."
        )
    return piece
