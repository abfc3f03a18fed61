"""Messages and tool calls of a run, as LangChain's callbacks tell them.

This does what LangGraph's `messages` and `tools` stream modes do, and keeps their rules: which messages are shown, under
which namespace, each once. It exists because those modes put every token through a thread-safe queue and wake the
graph's loop for it; a callback that writes to the collector costs less than the mode alone.

Callbacks of synchronous nodes come from worker threads; they are handed to the event loop's thread, in order.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langgraph.callbacks import GraphCallbackHandler, GraphInterruptEvent
from langgraph.config import get_stream_writer
from langgraph.constants import TAG_HIDDEN, TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from pilothouse.engines.langgraph.collector import Collector
from pilothouse.engines.langgraph.encoding import NULL, encode
from pilothouse.engines.langgraph.messages import messages_in_output, messages_in_state, spending
from pilothouse.engines.langgraph.metadata import Source, namespace_of, task_path
from pilothouse.engines.langgraph.watching import CallWatch
from pilothouse.events import Interrupt, MessageChunk, MessageFinished, ToolFinished, ToolStarted
from pilothouse.ports.limits import Meter
from pilothouse.ports.telemetry import Watch

T = TypeVar("T")

_MARK_DEADLINE = timedelta(seconds=1)
BREAKPOINT = Interrupt("breakpoint", encode({"when": "breakpoint"}))


class Mark:
    """Goes through LangGraph's own queue to tell that all that a tool wrote to it before has been collected."""

    __slots__ = ("passed",)

    def __init__(self, passed: asyncio.Future[None]) -> None:
        self.passed = passed


class _ToolCall:
    __slots__ = ("call_id", "name", "namespace", "write")

    def __init__(
        self, call_id: str, name: str, namespace: tuple[str, ...], write: Callable[[Any], None] | None
    ) -> None:
        self.call_id = call_id
        self.name = name
        self.namespace = namespace
        self.write = write


class RunCallbacks(BaseCallbackHandler):
    """Writes messages and tool calls of one run to its collector.

    `subgraphs`: those of nested graphs too. The `tap_output_*` methods mark a handler that wants tokens: chat models
    stream when they see one.
    """

    run_inline = True

    def __init__(self, collector: Collector, meter: Meter | None, watch: Watch, *, subgraphs: bool) -> None:
        self._meter = meter
        self.started = False
        """A node of the graph has begun: what goes wrong from here on is not the request's fault."""
        self._collector = collector
        self._calls = CallWatch(watch)
        self._subgraphs = subgraphs
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._sources: dict[UUID, Source] = {}
        self._tools: dict[UUID, _ToolCall] = {}
        self._seen: set[str] = set()
        self._root: UUID | None = None
        self._foreign: set[str] = set()
        """Tasks of graphs that a node calls with a thread of their own: they are no part of this run's stream."""

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[T]) -> AsyncIterator[T]:
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[T]) -> Iterator[T]:
        return output

    # Models

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if self._meter is not None:
            self._meter.model_call()
        self._calls.model_started(run_id, metadata)
        if metadata and not (tags and TAG_NOSTREAM in tags):
            self._open_source(run_id, metadata, tags)

    def on_llm_new_token(  # pyright: ignore[reportIncompatibleMethodOverride] - fewer names, the rest in **_
        self, token: object, *, chunk: object = None, run_id: UUID, **_: Any
    ) -> None:
        if self._calls.silent:
            self._calls.model_answers(run_id)
        source = self._sources.get(run_id)
        if source is None or not isinstance(chunk, ChatGenerationChunk):
            return
        if threading.get_ident() == self._thread:
            self._chunk(source, chunk.message)
        else:
            self._loop.call_soon_threadsafe(self._chunk, source, chunk.message)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        self._calls.model_ended(run_id, response)
        source = self._sources.pop(run_id, None)
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        if not isinstance(generation, ChatGeneration):
            return
        if self._meter is not None:
            self._meter.spent(*spending(generation.message))
        if source is not None:
            self._in_loop(self._whole, source, [generation.message])

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._calls.model_failed(run_id, error)
        self._sources.pop(run_id, None)

    # Nodes

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if (
            metadata
            and kwargs.get("name") == metadata.get("langgraph_node")
            and not (tags and TAG_HIDDEN in tags)
        ):
            self.started = True
            self._note_foreign(metadata, parent_run_id)
            if self._open_source(run_id, metadata, tags):
                self._in_loop(self._known, list(messages_in_state(inputs)))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **_: Any) -> None:
        source = self._sources.pop(run_id, None)
        if source is not None:
            self._in_loop(self._whole, source, list(messages_in_output(outputs)))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._sources.pop(run_id, None)

    # Tools

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name: str = (serialized or {}).get("name") or kwargs.get("name") or ""
        self._calls.tool_started(run_id, name, kwargs.get("tool_call_id"))
        if not metadata or (tags and TAG_NOSTREAM in tags) or not self._is_shown(metadata):
            return
        namespace = namespace_of(metadata)
        call = _ToolCall(kwargs.get("tool_call_id") or str(run_id), name, namespace, _stream_writer())
        self._tools[run_id] = call
        arguments = encode(inputs if inputs is not None else {"input": input_str})
        self._in_loop(self._collector.put, ToolStarted(call.call_id, name, arguments, namespace))

    async def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        self._calls.tool_ended(run_id, output)
        call = self._tools.pop(run_id, None)
        if call is None:
            return
        await self._custom_events_passed(call)
        failed = isinstance(output, ToolMessage) and output.status == "error"
        result: Any = cast("Any", output).content if isinstance(output, ToolMessage) else output
        error = str(result) if failed else None
        event = ToolFinished(call.call_id, call.name, encode(result), error, call.namespace)
        self._in_loop(self._collector.put, event)

    async def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._calls.tool_failed(run_id, error)
        call = self._tools.pop(run_id, None)
        # A tool that interrupts is paused: it begins anew when the run is resumed.
        if call is None or isinstance(error, GraphBubbleUp | asyncio.CancelledError):
            return
        await self._custom_events_passed(call)
        message = str(error) or type(error).__name__
        event = ToolFinished(call.call_id, call.name, NULL, message, call.namespace)
        self._in_loop(self._collector.put, event)

    async def _custom_events_passed(self, call: _ToolCall) -> None:
        """Wait until what the tool wrote to the stream, which goes through LangGraph's queue, has been collected."""
        if call.write is None or call.namespace or threading.get_ident() != self._thread:
            return
        mark = Mark(self._loop.create_future())
        call.write(mark)
        await asyncio.wait([mark.passed], timeout=_MARK_DEADLINE.total_seconds())

    # In the loop's thread

    def _in_loop(self, write: Callable[..., None], *args: Any) -> None:
        if threading.get_ident() == self._thread:
            write(*args)
        else:
            self._loop.call_soon_threadsafe(write, *args)

    def _open_source(self, run_id: UUID, metadata: Mapping[str, Any], tags: list[str] | None) -> bool:
        if not self._is_shown(metadata):
            return False
        self._sources[run_id] = Source(metadata, tags, namespace_of(metadata))
        return True

    def _is_shown(self, metadata: Mapping[str, Any]) -> bool:
        if self._foreign and task_path(metadata)[0] in self._foreign:
            return False
        return self._subgraphs or not namespace_of(metadata)

    def _note_foreign(self, metadata: Mapping[str, Any], parent_run_id: UUID | None) -> None:
        """A task without others above it is the run's own if its parent is that of the first task, the graph."""
        path = task_path(metadata)
        if self._root is None:
            self._root = parent_run_id
        elif len(path) == 1 and parent_run_id != self._root:
            self._foreign.add(path[0])

    def _known(self, messages: Iterable[BaseMessage]) -> None:
        self._seen.update(message.id for message in messages if message.id is not None)

    def _chunk(self, source: Source, message: BaseMessage) -> None:
        if message.id is None:
            message.id = str(uuid4())
        message_id: str = message.id
        self._seen.add(message_id)
        if not _only_text(source, message):
            source.response_metadata = message.response_metadata
            chunk = MessageChunk(message_id, encode(message), source.encoded, source.namespace)
            self._collector.put(chunk)
        elif message.content:
            self._collector.text(message_id, cast("str", message.content), source)

    def _whole(self, source: Source, messages: Iterable[BaseMessage]) -> None:
        for message in messages:
            if message.id is None:
                message.id = str(uuid4())
            if message.id not in self._seen:
                self._seen.add(message.id)
                finished = MessageFinished(message.id, encode(message), source.encoded, source.namespace)
                self._collector.put(finished)


class InterruptCallbacks(GraphCallbackHandler):
    """Remembers what the graph waits for."""

    def __init__(self) -> None:
        self.interrupts: tuple[Interrupt, ...] = ()

    @property
    def ignore_chain(self) -> bool:
        return True

    def on_interrupt(self, event: GraphInterruptEvent) -> None:
        asked = tuple(Interrupt(each.id, encode(each.value)) for each in event.interrupts)
        self.interrupts = asked or (BREAKPOINT,)


def _only_text(source: Source, message: BaseMessage) -> bool:
    """The chunk says nothing but text: what else it carries was said with an earlier chunk of the same call."""
    return (
        type(message) is AIMessageChunk
        and type(message.content) is str
        and not message.tool_call_chunks
        and message.usage_metadata is None
        and not message.additional_kwargs
        and (not message.response_metadata or message.response_metadata == source.response_metadata)
    )


def _stream_writer() -> Callable[[Any], None] | None:
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):  # the tool was not called by a node
        return None
