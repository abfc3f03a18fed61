"""A run's log as the Agent Protocol's event stream (version 1).

Rules that clients depend on:

- `metadata` comes first, `end` last, and before it `error` if the run failed. Without `end` the SDK asks whether the run
  goes on and reconnects.
- A frame's id is the offset of its record, so `Last-Event-ID` says where to go on. `end` is sent again to a client that
  has seen it.
- What comes from a subgraph is named `mode|NAMESPACE|…`, and is sent only if the run was asked to stream subgraphs.
- What a run asks a human is in `__interrupt__` of the last `values` or `updates`.
"""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

import msgspec

from pilothouse.events import (
    CheckpointSaved,
    CustomEmitted,
    DebugEmitted,
    Interrupt,
    MessageChunk,
    MessageDelta,
    MessageFinished,
    Offset,
    Record,
    RunEnded,
    RunEvent,
    RunId,
    RunOutcome,
    RunStarted,
    StateUpdated,
    StateValues,
    TaskChanged,
    ToolFinished,
    ToolStarted,
)
from pilothouse.ports.runs import RunStatus, StreamMode
from pilothouse.wire.interrupts import questions
from pilothouse.wire.langchain_events import LangChainEvents
from pilothouse.wire.message_partials import MessagePartials
from pilothouse.wire.message_tuples import MessageTuples, event_name
from pilothouse.wire.sse import Frame, encode_frames, one_line

StateEvent: TypeAlias = (
    StateUpdated | StateValues | TaskChanged | CheckpointSaved | DebugEmitted | CustomEmitted
)

_MODE_OF: dict[type[StateEvent], StreamMode] = {
    StateUpdated: "updates",
    StateValues: "values",
    TaskChanged: "tasks",
    CheckpointSaved: "checkpoints",
    DebugEmitted: "debug",
    CustomEmitted: "custom",
}

STATUS_OF: dict[RunOutcome, RunStatus] = {
    "success": "success",
    "error": "error",
    "cancelled": "interrupted",
    "interrupted": "interrupted",
    "timeout": "timeout",
    "budget_exceeded": "interrupted",
}

_MESSAGES_OF_OUTCOME = {
    "error": "The agent raised an error.",
    "timeout": "The run took too long and was stopped.",
}


class ErrorData(msgspec.Struct, frozen=True):
    error: str
    message: str


class _Metadata(msgspec.Struct, frozen=True):
    run_id: str
    attempt: int


class _End(msgspec.Struct, frozen=True):
    run_id: str
    status: RunStatus


_encode = msgspec.json.Encoder().encode


def error_of(end: RunEnded) -> ErrorData | None:
    """Why the run failed, if it did."""
    if end.error is not None:
        return ErrorData(end.error.code, end.error.message)
    message = _MESSAGES_OF_OUTCOME.get(end.outcome)
    return ErrorData(end.outcome, message) if message else None


def error_frame(code: str, message: str) -> bytes:
    """A stream's end that is not in the log."""
    return encode_frames([(b"error", _encode(ErrorData(code, message)))], None)


class StreamEncoder:
    """Encodes one run for one client.

    Feed it every record after `follow_after`, in order: some modes depend on what came before the client's own offset.
    """

    def __init__(
        self,
        run_id: RunId,
        modes: Sequence[StreamMode],
        *,
        after: Offset = Offset(0),
        subgraphs: bool = False,
    ) -> None:
        self._run_id = run_id
        self._modes = frozenset(modes)
        self._after = after
        self._subgraphs = subgraphs
        self._messages: MessageTuples | MessagePartials | None = None
        if "messages-tuple" in self._modes:
            self._messages = MessageTuples()
        elif "messages" in self._modes:
            self._messages = MessagePartials()
        self._events = LangChainEvents(run_id) if "events" in self._modes else None
        self.follow_after = Offset(0) if self._messages else after
        self._interrupts_shown = self.follow_after > 0

    def encode(self, record: Record) -> bytes:
        """The frames of a record; empty if it says nothing to this client."""
        event = record.event
        frames = self._frames(event)
        if not frames or (record.offset <= self._after and not isinstance(event, RunEnded)):
            return b""
        return encode_frames(frames, record.offset)

    def _frames(self, event: RunEvent) -> list[Frame]:
        match event:
            case MessageDelta() | MessageChunk() | MessageFinished():
                shown = self._messages and self._visible(event.namespace)
                frames = self._messages.frames(event) if self._messages and shown else []
            case RunStarted():
                frames = [(b"metadata", _encode(_Metadata(event.run_id, event.attempt)))]
            case ToolStarted() | ToolFinished():
                frames = self._tool(event)
            case RunEnded():
                return self._end(event)
            case (
                StateUpdated()
                | StateValues()
                | TaskChanged()
                | CheckpointSaved()
                | DebugEmitted()
                | CustomEmitted()
            ):
                frames = self._state(event)
            case _:
                assert_never(event)
        return frames + self._events.frames(event) if self._events else frames

    def _visible(self, namespace: Sequence[str]) -> bool:
        return self._subgraphs or not namespace

    def _state(self, event: StateEvent) -> list[Frame]:
        mode = _MODE_OF[type(event)]
        if mode not in self._modes or not self._visible(event.namespace):
            return []
        data = one_line(bytes(event.data))
        if mode in ("values", "updates") and b'"__interrupt__"' in data:
            self._interrupts_shown = True
        return [(event_name(mode.encode(), event.namespace), data)]

    def _tool(self, event: ToolStarted | ToolFinished) -> list[Frame]:
        if "tools" not in self._modes or not self._visible(event.namespace):
            return []
        return [(event_name(b"tools", event.namespace), one_line(_encode(tool_data(event))))]

    def _end(self, event: RunEnded) -> list[Frame]:
        frames: list[Frame] = []
        if not self._interrupts_shown and (asked := questions(event.interrupts)):
            frames += self._interrupts(asked)
        if self._events:
            frames += self._events.frames(event)
        if error := error_of(event):
            frames.append((b"error", _encode(error)))
        frames.append((b"end", _encode(_End(self._run_id, STATUS_OF[event.outcome]))))
        return frames

    def _interrupts(self, interrupts: Sequence[Interrupt]) -> list[Frame]:
        mode = next((m for m in ("values", "updates") if m in self._modes), None)
        return [(mode.encode(), one_line(_encode({"__interrupt__": interrupts})))] if mode else []


def tool_data(event: ToolStarted | ToolFinished) -> dict[str, object]:
    """In the shape of LangGraph's `tools` stream mode."""
    call = {"tool_call_id": event.call_id, "tool_name": event.name}
    match event:
        case ToolStarted():
            return {"event": "tool-started", **call, "input": event.arguments}
        case ToolFinished(error=None):
            return {"event": "tool-finished", **call, "output": event.result}
        case ToolFinished():
            return {"event": "tool-error", **call, "message": event.error}
