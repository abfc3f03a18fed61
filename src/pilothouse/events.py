"""What flows: the events of a run, and the records that a run log keeps of them.

A run is a list of events, numbered 1, 2, 3… without gaps. The union is closed: a codec matches every member and ends
with `assert_never`. Payloads that only clients look at travel as encoded JSON (`msgspec.Raw`), so that they are encoded
once, where they arise, and copied from there on.

`namespace` is the path of subgraphs an event comes from, `()` for the agent itself, in LangGraph's notation (`node:task-id`).
"""

from typing import Literal, NewType, TypeAlias

import msgspec

ThreadId = NewType("ThreadId", str)
RunId = NewType("RunId", str)
AgentId = NewType("AgentId", str)
Offset = NewType("Offset", int)
"""An event's place in its run's log: 1 is the first; 0 means "before the first"."""
Attempt = NewType("Attempt", int)
"""The n-th try at a run, from 1: the fencing token of every write."""

Json: TypeAlias = msgspec.Raw
"""Encoded JSON: UTF-8 bytes of one value."""

RunOutcome = Literal["success", "error", "cancelled", "interrupted", "timeout", "budget_exceeded"]


class _Event(msgspec.Struct, frozen=True, tag_field="e", omit_defaults=True):
    pass


class RunStarted(_Event, frozen=True, tag="run"):
    """An attempt at the run begins. The first event of a log has attempt 1; later ones mark a takeover."""

    run_id: RunId
    thread_id: ThreadId
    agent_id: AgentId
    attempt: Attempt


class MessageDelta(_Event, frozen=True, tag="delta"):
    """More text of a message that a model is writing: `text` is to be appended. Neighbours are coalesced."""

    message_id: str
    text: str
    meta: Json
    """The object that LangGraph gives with each chunk (`langgraph_node`, `langgraph_step`, …)."""
    namespace: tuple[str, ...] = ()


class MessageChunk(_Event, frozen=True, tag="chunk"):
    """A piece of a message that is more than text (tool call arguments, reasoning, usage), as LangChain dumps it."""

    message_id: str
    chunk: Json
    meta: Json
    namespace: tuple[str, ...] = ()


class MessageFinished(_Event, frozen=True, tag="message"):
    """A whole message that was not streamed (a tool's result, a node that returned a message), or the end of a
    streamed one where the engine says so; `message` is the message as LangChain dumps it."""

    message_id: str
    message: Json
    meta: Json
    namespace: tuple[str, ...] = ()


class ToolStarted(_Event, frozen=True, tag="tool_start"):
    """A tool call begins."""

    call_id: str
    name: str
    arguments: Json
    namespace: tuple[str, ...] = ()


class ToolFinished(_Event, frozen=True, tag="tool_end"):
    """A tool call ended; `error` says why when it failed."""

    call_id: str
    name: str
    result: Json
    error: str | None = None
    namespace: tuple[str, ...] = ()


class StateUpdated(_Event, frozen=True, tag="updates"):
    """A step's writes: `{node: update}`."""

    data: Json
    namespace: tuple[str, ...] = ()


class StateValues(_Event, frozen=True, tag="values"):
    """The whole state after a step."""

    data: Json
    namespace: tuple[str, ...] = ()


class TaskChanged(_Event, frozen=True, tag="tasks"):
    """A task of a step starts (`id, name, input, triggers`) or ends (`id, name, result, error, interrupts`)."""

    data: Json
    namespace: tuple[str, ...] = ()


class CheckpointSaved(_Event, frozen=True, tag="checkpoints"):
    """The engine saved its state: the checkpoint in the shape of LangGraph's `checkpoints` stream mode."""

    data: Json
    namespace: tuple[str, ...] = ()


class DebugEmitted(_Event, frozen=True, tag="debug"):
    """LangGraph's `debug` stream mode, as it is."""

    data: Json
    namespace: tuple[str, ...] = ()


class CustomEmitted(_Event, frozen=True, tag="custom"):
    """Something the agent or a tool wrote to the stream itself."""

    data: Json
    namespace: tuple[str, ...] = ()


class RunError(msgspec.Struct, frozen=True):
    """Why a run failed: a stable code (see `pilothouse.errors`) and a message that is safe to show."""

    code: str
    message: str


class Interrupt(msgspec.Struct, frozen=True):
    """The run waits for a human: resume with `command.resume`."""

    id: str
    value: Json


class RunEnded(_Event, frozen=True, tag="end"):
    """The last event of every log, exactly once."""

    outcome: RunOutcome
    error: RunError | None = None
    interrupts: tuple[Interrupt, ...] = ()


RunEvent: TypeAlias = (
    RunStarted
    | MessageDelta
    | MessageChunk
    | MessageFinished
    | ToolStarted
    | ToolFinished
    | StateUpdated
    | StateValues
    | TaskChanged
    | CheckpointSaved
    | DebugEmitted
    | CustomEmitted
    | RunEnded
)


class Record(msgspec.Struct, frozen=True):
    """An event with its place in the log of its run, and when it was written (Unix milliseconds)."""

    offset: Offset
    event: RunEvent
    at_ms: int = 0
