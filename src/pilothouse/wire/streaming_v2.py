"""A thread's runs as the Agent Protocol's event stream (version 2).

The stream belongs to the thread: its runs follow each other, and each is told from the records of its log, so that every
instance tells the same. Rules:

- `seq` says where an event stands: the number of its run, the offset of its record, its place among the events of that
  record. It only grows, and says where to go on after a cut. It has gaps.
- All events of a run are made before they are filtered: what a client asked for changes no `seq`.
- Where the state is interrupted, `__interrupt__` is left out of values and updates. What is asked is told as
  `input.requested` when the run has ended: from then on it can be answered.
- The agent is at the namespace `[]`, each subgraph at its own. `lifecycle` tells of both: a subgraph has started with the
  first event from it, and ended with the task that ran it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, assert_never

import msgspec

from pilothouse.events import (
    CheckpointSaved,
    CustomEmitted,
    DebugEmitted,
    Json,
    MessageChunk,
    MessageDelta,
    MessageFinished,
    Record,
    RunEnded,
    RunEvent,
    RunStarted,
    StateUpdated,
    StateValues,
    TaskChanged,
    ToolFinished,
    ToolStarted,
)
from pilothouse.ports.runs import Run, StreamMode
from pilothouse.wire.sse import one_line
from pilothouse.wire.streaming_v1 import error_of, tool_data
from pilothouse.wire.streaming_v2_messages import MessageEvent, MessageFact, Messages, Namespace

Fields: TypeAlias = dict[str, Any]
Status = Literal["started", "running", "completed", "failed", "interrupted"]

STREAM_MODES: tuple[StreamMode, ...] = (
    "values",
    "updates",
    "messages",
    "tools",
    "tasks",
    "checkpoints",
    "custom",
)
"""What the log of a run must hold for every channel."""

# 2^19 runs of a thread, 2^24 records of a run, 2^10 events of a record: below 2^53, which JavaScript can count to.
_OFFSET_BITS = 24
_PLACE_BITS = 10
_RUN_BITS = _OFFSET_BITS + _PLACE_BITS
_LAST_PLACE = (1 << _PLACE_BITS) - 1
_TAKEN_OVER = "The server that worked on the run was lost; another one goes on with it."


def before_run(number: int) -> int:
    """The `seq` after which a thread's n-th run follows. All earlier runs are before it, and all of this one after."""
    return number << _RUN_BITS


def run_number(seq: int) -> int:
    """The first run that has events after this `seq`."""
    return max(seq >> _RUN_BITS, 1)


class Event(NamedTuple):
    """One event of the stream. `data` may hold encoded JSON."""

    seq: int
    run_id: str
    method: str
    namespace: Namespace
    at_ms: int
    data: Any
    node: str | None = None

    @property
    def event_id(self) -> str:
        """Unique in the thread. Clients read the run's id out of those that are not the agent's own doing."""
        ours = self.method in ("lifecycle", "input.requested")
        return f"synth:{self.run_id}:{self.seq}" if ours else str(self.seq)

    def encode(self) -> bytes:
        params: Fields = {"namespace": self.namespace, "timestamp": self.at_ms, "data": self.data}
        if self.node is not None:
            params["node"] = self.node
        return _encode(
            {
                "type": "event",
                "event_id": self.event_id,
                "seq": self.seq,
                "method": self.method,
                "params": params,
            }
        )

    def frame(self) -> bytes:
        """As a server-sent event."""
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (self.seq, self.method.encode(), one_line(self.encode()))


class _Fact(NamedTuple):
    method: str
    namespace: Namespace
    data: Any
    node: str | None = None


class _Interrupt(msgspec.Struct, frozen=True):
    id: str = ""


class _Task(msgspec.Struct, frozen=True):
    id: str
    name: str
    result: Json | msgspec.UnsetType = msgspec.UNSET
    error: Any = None
    interrupts: tuple[_Interrupt, ...] = ()


class _Metadata(msgspec.Struct, frozen=True):
    source: str = "loop"
    step: int | None = None


class _CheckpointId(msgspec.Struct, frozen=True):
    checkpoint_id: str


class _Checkpoint(msgspec.Struct, frozen=True):
    checkpoint: _CheckpointId | None = None
    parent_checkpoint: _CheckpointId | None = None
    metadata: _Metadata | None = None


_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Json])
_task = msgspec.json.Decoder(_Task)
_checkpoint = msgspec.json.Decoder(_Checkpoint)


class RunEvents:
    """Turns one run's records into events. Feed it every record from the first on, in order."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._messages = Messages(run.run_id)
        self._status: dict[Namespace, Status] = {(): "started"}
        self._asked_by: dict[str, Namespace] = {}
        """Which namespace asks a human, by interrupt."""

    def of(self, record: Record) -> list[Event]:
        first = before_run(self._run.number) + (record.offset << _PLACE_BITS)
        return [
            Event(
                first + min(place, _LAST_PLACE), self._run.run_id, method, namespace, record.at_ms, data, node
            )
            for place, (method, namespace, data, node) in enumerate(self._facts(record.event))
        ]

    def tree(self, namespace: Namespace = ()) -> Fields:
        """The agent and its subgraphs as far as they have come."""
        depth = len(namespace) + 1
        children = [self.tree(n) for n in self._status if len(n) == depth and n[:-1] == namespace]
        node: Fields = {"namespace": namespace, "status": self._status[namespace]}
        node["graph_name"] = self._graph_name(namespace)
        return {**node, "children": children} if children else node

    def _facts(self, event: RunEvent) -> Iterator[_Fact]:
        match event:
            case RunStarted():
                yield from self._started(event)
            case MessageDelta() | MessageChunk() | MessageFinished():
                yield from self._enter(event.namespace)
                yield from self._message(event)
            case ToolStarted() | ToolFinished():
                yield from self._enter(event.namespace)
                yield _Fact("tools", event.namespace, tool_data(event))
            case RunEnded():
                yield from self._ended(event)
            case StateUpdated() | StateValues() | TaskChanged() | CheckpointSaved() | CustomEmitted():
                yield from self._enter(event.namespace)
                yield from self._state(event)
            case DebugEmitted():
                return
            case _:
                assert_never(event)

    def _state(
        self, event: StateUpdated | StateValues | TaskChanged | CheckpointSaved | CustomEmitted
    ) -> Iterator[_Fact]:
        match event:
            case StateUpdated():
                yield from map(_told, self._messages.end_written(event.data))
                yield from _updates(event)
            case StateValues():
                yield from map(_told, self._messages.end_written(event.data))
                yield from _values(event)
            case TaskChanged():
                yield from self._task_changed(event)
                yield _Fact("tasks", event.namespace, event.data)
            case CheckpointSaved():
                yield from _envelope(event)
            case CustomEmitted():
                yield _Fact("custom", event.namespace, _custom(event.data))

    # The agent and its subgraphs.

    def _started(self, event: RunStarted) -> Iterator[_Fact]:
        if event.attempt > 1:
            yield from map(_told, self._messages.end_all(_TAKEN_OVER))
            yield from self._leave((), "failed", _TAKEN_OVER)
        yield self._lifecycle((), "running")

    def _enter(self, namespace: Namespace) -> Iterator[_Fact]:
        for depth in range(1, len(namespace) + 1):
            if (part := namespace[:depth]) not in self._status:
                yield self._lifecycle(part, "started")

    def _leave(self, namespace: Namespace, status: Status, error: str | None = None) -> Iterator[_Fact]:
        """Whatever is below a namespace has ended, the deepest first."""
        below = [n for n in self._status if len(n) > len(namespace) and n[: len(namespace)] == namespace]
        for part in sorted(below, key=len, reverse=True):
            if self._status[part] == "started":
                yield self._lifecycle(part, status, error)

    def _lifecycle(self, namespace: Namespace, status: Status, error: str | None = None) -> _Fact:
        self._status[namespace] = status
        data = {"event": status, "graph_name": self._graph_name(namespace)}
        return _Fact("lifecycle", namespace, {**data, "error": error} if error else data)

    def _graph_name(self, namespace: Namespace) -> str:
        return namespace[-1].partition(":")[0] if namespace else self._run.agent_id

    def _task_changed(self, event: TaskChanged) -> Iterator[_Fact]:
        task = _task.decode(event.data)
        if task.result is msgspec.UNSET and task.error is None and not task.interrupts:
            return
        path = (*event.namespace, f"{task.name}:{task.id}")
        for interrupt in task.interrupts:
            self._asked_by.setdefault(interrupt.id, event.namespace)
        yield from map(_told, self._messages.end_task(path))
        status, error = _outcome(task)
        yield from self._leave(path, status, error)
        if self._status.get(path) == "started":
            yield self._lifecycle(path, status, error)

    def _message(self, event: MessageEvent) -> Iterator[_Fact]:
        return map(_told, self._messages.feed(event))

    # The end.

    def _ended(self, event: RunEnded) -> Iterator[_Fact]:
        status, error = _end_of(event)
        yield from map(_told, self._messages.end_all(error))
        yield from self._leave((), status, error)
        for interrupt in event.interrupts:
            # The protocol says `payload`; the Python SDK reads `value`.
            asked = {"interrupt_id": interrupt.id, "payload": interrupt.value, "value": interrupt.value}
            yield _Fact("input.requested", self._asked_by.get(interrupt.id, ()), asked)
        yield self._lifecycle((), status, error)


def _told(fact: MessageFact) -> _Fact:
    return _Fact("messages", fact.namespace, fact.data, fact.node)


def _outcome(task: _Task) -> tuple[Status, str | None]:
    if task.interrupts:
        return "interrupted", None
    if task.error is not None:
        return "failed", task.error if isinstance(task.error, str) else msgspec.json.encode(
            task.error
        ).decode()
    return "completed", None


def _end_of(event: RunEnded) -> tuple[Status, str | None]:
    if event.outcome == "success":
        return "completed", None
    if event.outcome in ("interrupted", "budget_exceeded"):
        return "interrupted", None
    # A cancelled run waits for nobody: `interrupted` would let clients wait for its end for ever.
    if event.outcome == "cancelled":
        return "failed", "The run was cancelled."
    error = error_of(event)
    return "failed", error.message if error else event.outcome


def _values(event: StateValues) -> Iterator[_Fact]:
    data = event.data
    if b'"__interrupt__"' in bytes(data) and bytes(data).startswith(b"{"):
        fields = _object.decode(data)
        fields.pop("__interrupt__", None)
        if not fields:
            return
        data = fields
    yield _Fact("values", event.namespace, data)


def _updates(event: StateUpdated) -> Iterator[_Fact]:
    """One event for each node that wrote."""
    for node, update in _object.decode(event.data).items():
        if node == "__interrupt__":
            continue
        if bytes(update) == b"null":
            values: object = {}
        else:
            values = update if bytes(update).startswith(b"{") else {"value": update}
        yield _Fact("updates", event.namespace, {"node": node, "values": values}, node)


def _envelope(event: CheckpointSaved) -> Iterator[_Fact]:
    saved = _checkpoint.decode(event.data)
    if saved.checkpoint is None:
        return
    about = saved.metadata or _Metadata()
    data: Fields = {"id": saved.checkpoint.checkpoint_id, "step": about.step or 0, "source": about.source}
    if saved.parent_checkpoint is not None:
        data["parent_id"] = saved.parent_checkpoint.checkpoint_id
    yield _Fact("checkpoints", event.namespace, data)


def _custom(data: Json) -> Fields:
    """What was written, and its name if it has one: clients can ask for those of one name."""
    if bytes(data).startswith(b"{"):
        fields = _object.decode(data)
        name: object = msgspec.json.decode(fields["name"]) if "name" in fields else None
        if isinstance(name, str) and name:
            return {"name": name, "payload": fields.get("payload", data)}
    return {"payload": data}


def frames(events: Sequence[Event]) -> bytes:
    return b"".join([event.frame() for event in events])
