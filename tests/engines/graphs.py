"""Graphs and models that the tests of the engines run, and what one needs to run them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from pilothouse.engines.langgraph.engine import LangGraphEngine
from pilothouse.engines.langgraph.factories import FixedGraph, GraphSource
from pilothouse.events import AgentId, Attempt, Json, RunEvent, RunId, ThreadId
from pilothouse.ports.engines import EngineRequest, StateSnapshot
from pilothouse.ports.principals import LOCAL
from pilothouse.ports.runs import RunInput

THREAD = ThreadId("thread")
DEADLINE_SECONDS = 20


class ScriptedModel(BaseChatModel):
    """Says, at its n-th call, the n-th script: pieces of text, whole chunks, or events to wait for."""

    scripts: list[list[Any]]
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        script = self.scripts[min(self.calls, len(self.scripts) - 1)]
        self.calls += 1
        for piece in script:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                message = AIMessageChunk(content=piece) if isinstance(piece, str) else piece
                yield ChatGenerationChunk(message=message)


class WholeModel(BaseChatModel):
    """A model that can't stream."""

    answer: str

    @property
    def _llm_type(self) -> str:
        return "whole"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.answer))])


def tool_call(name: str, arguments: str, call_id: str = "call-1") -> AIMessageChunk:
    chunk = {"name": name, "args": arguments, "id": call_id, "index": 0, "type": "tool_call_chunk"}
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


def chat_graph(model: BaseChatModel) -> StateGraph[Any, Any, Any, Any]:
    """START → model → END."""

    async def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return one_node_graph(call_model, "model")


def one_node_graph(node: Callable[..., Any], name: str = "node") -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(MessagesState)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    builder.add_edge(name, END)
    return builder


def tool_graph(model: BaseChatModel, tools: Sequence[Any]) -> StateGraph[Any, Any, Any, Any]:
    """model ⇄ tools, until the model calls none."""

    async def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", call_model)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder


def engine_for(graph: Any, saver: InMemorySaver | None = None) -> LangGraphEngine:
    """The engine for a graph or a source, on checkpoints that all its runs share."""
    checkpoints = saver or InMemorySaver()
    compiled = graph.compile() if isinstance(graph, StateGraph) else graph
    source: GraphSource = compiled if hasattr(compiled, "open") else FixedGraph(compiled)
    return LangGraphEngine(source, lambda principal, fence: checkpoints)


def json_of(value: object) -> Json:
    return Json(msgspec.json.encode(value))


def read(encoded: Json | StateSnapshot) -> Any:
    return msgspec.json.decode(encoded.data if isinstance(encoded, StateSnapshot) else encoded)


def ask(text: str = "hi") -> Json:
    return json_of({"messages": [{"role": "user", "content": text}]})


def request(
    run_id: str = "run-1", *, attempt: int = 1, thread_id: ThreadId = THREAD, **fields: Any
) -> EngineRequest:
    """A request; without an input or a command it asks "hi"."""
    if not fields.keys() & {"input", "command"}:
        fields["input"] = ask()
    fields.setdefault("stream_modes", ())
    return EngineRequest(
        LOCAL, AgentId("agent"), thread_id, RunId(run_id), Attempt(attempt), RunInput(**fields)
    )


async def batches_of(engine: LangGraphEngine, asked: EngineRequest) -> list[Sequence[RunEvent]]:
    async with aclosing(engine.run(asked)) as batches:
        return [batch async for batch in batches]


async def events_of(engine: LangGraphEngine, asked: EngineRequest) -> list[RunEvent]:
    return [event for batch in await batches_of(engine, asked) for event in batch]


async def failure_of(engine: LangGraphEngine, asked: EngineRequest) -> tuple[list[Any], Exception | None]:
    """The events of a run that fails, and its failure."""
    events: list[Any] = []
    try:
        async with aclosing(engine.run(asked)) as batches:
            async for batch in batches:
                events += batch
    except Exception as error:  # noqa: BLE001 - the tests look at whatever it is
        return events, error
    return events, None


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    """The scenario, under a deadline."""

    async def limited() -> Any:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await scenario

    return asyncio.run(limited())
