"""Threads on the wire: what clients ask for and what they get."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pilothouse.errors import InvalidRequest
from pilothouse.events import AgentId, Interrupt, Json
from pilothouse.ports.engines import StateSnapshot
from pilothouse.ports.threads import Thread, ThreadQuery, ThreadStatus
from pilothouse.wire import decoding
from pilothouse.wire.assistants import assistant_id
from pilothouse.wire.interrupts import questions
from pilothouse.wire.paging import Limit, Skip
from pilothouse.wire.replies import instant

Object = Mapping[str, Any]


class Ttl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the thread is kept after its last change, in minutes."""

    ttl: Annotated[float, Meta(gt=0)]
    strategy: Literal["delete"] = "delete"


class SuperstepUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    values: Any = None
    command: Any = None
    as_node: str | None = None


class Superstep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    updates: Sequence[SuperstepUpdate]


class ThreadCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    thread_id: str | None = None
    metadata: Object | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None
    ttl: Ttl | Annotated[float, Meta(gt=0)] | None = None
    supersteps: Sequence[Superstep] | None = None

    def lifetime(self) -> timedelta | None:
        minutes = self.ttl.ttl if isinstance(self.ttl, Ttl) else self.ttl
        return None if minutes is None else timedelta(minutes=minutes)


class ThreadPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metadata: Object | None = None
    ttl: Any = None


SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]


class ThreadSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metadata: Object | None = None
    values: Object | None = None
    ids: Sequence[str] | None = None
    status: ThreadStatus | None = None
    limit: Limit | None = None
    offset: Skip | None = None
    sort_by: SortBy | None = None
    sort_order: Literal["asc", "desc", "ASC", "DESC"] | None = None
    select: Sequence[str] | None = None

    def query(self) -> ThreadQuery:
        """Without `values`, which the store does not know."""
        metadata, agent = split_metadata(self.metadata)
        return ThreadQuery(
            metadata=metadata,
            graph_id=agent,
            status=self.status,
            ids=None if self.ids is None else [decoding.thread_id(text) for text in self.ids],
            limit=10 if self.limit is None else self.limit,
            offset=self.offset or 0,
            sort_by="updated_at" if self.sort_by in (None, "state_updated_at") else self.sort_by,
            descending=(self.sort_order or "desc").lower() == "desc",
        )


class ThreadCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metadata: Object | None = None
    values: Object | None = None
    status: ThreadStatus | None = None

    def query(self) -> ThreadQuery:
        """Without `values`, and for no thread itself."""
        metadata, agent = split_metadata(self.metadata)
        return ThreadQuery(metadata=metadata, graph_id=agent, status=self.status, limit=0)


def split_metadata(metadata: Object | None) -> tuple[Object, str | None]:
    """The metadata to look for, and apart from it the agent: clients find an agent's threads by `graph_id` or
    `assistant_id` in the metadata, where LangGraph's server writes them."""
    rest = dict(metadata or {})
    agent = rest.pop("assistant_id", None)
    agent = rest.pop("graph_id", agent)
    return rest, agent


class ThreadPrune(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    thread_ids: Sequence[str]
    strategy: Literal["delete", "keep_latest"] = "delete"


class StateUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    values: Any = None
    """An update, or a list of them: each is then a step."""
    as_node: str | None = None
    checkpoint: Object | None = None
    checkpoint_id: str | None = None


class StateAtCheckpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    checkpoint: Object
    subgraphs: bool | None = None
    select: Sequence[str] | None = None


class StateOptions(msgspec.Struct, frozen=True):
    """The query of a state."""

    subgraphs: bool = False
    select: list[str] | None = None


class HistorySearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None
    before: str | Object | None = None
    """A checkpoint, its id, or a config that holds one."""
    metadata: Object | None = None
    checkpoint: Object | None = None
    select: Sequence[str] | None = None


class HistoryOptions(msgspec.Struct, frozen=True):
    """The query of a history."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 10
    before: str | None = None


def checkpoint(of: str | Object | None, checkpoint_id: str | None = None) -> Object | None:
    """A checkpoint as engines know it: `{checkpoint_id, …}`, from any of the forms in which clients send it."""
    if of is None:
        return {"checkpoint_id": checkpoint_id} if checkpoint_id else None
    if isinstance(of, str):
        return {"checkpoint_id": of}
    inner = of.get("configurable", of)
    if not isinstance(inner, Mapping):
        raise InvalidRequest("The body is not valid: expected an object at `$.before.configurable`.")
    return {**inner}  # pyright: ignore[reportUnknownVariableType] - an object of any JSON


class ThreadError(msgspec.Struct, frozen=True):
    error: str
    message: str


class ThreadReply(msgspec.Struct, frozen=True):
    """A thread as clients get it."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: Json
    status: ThreadStatus
    error: ThreadError | None
    values: Json
    interrupts: Mapping[str, Json]
    config: Mapping[str, str] = {}


class _Task(msgspec.Struct, frozen=True):
    id: str
    interrupts: Json = msgspec.field(default_factory=lambda: Json(b"[]"))


class _State(msgspec.Struct, frozen=True):
    values: Json
    tasks: Sequence[_Task] = ()


_state = msgspec.json.Decoder(_State)
_object = msgspec.json.Decoder(dict[str, Json])
_NO_VALUES = Json(b"null")


def thread_reply(thread: Thread, state: StateSnapshot | None = None) -> ThreadReply:
    """The thread, with the values and interrupts of its state if that is given."""
    values, interrupts = _NO_VALUES, _by_id(thread.interrupts)
    if state is not None:
        parsed = _state.decode(state.data)
        values = parsed.values
        interrupts = {t.id: t.interrupts for t in parsed.tasks if bytes(t.interrupts) != b"[]"} or interrupts
    changed = instant(thread.updated_at_ms)
    error = ThreadError(thread.error.code, thread.error.message) if thread.error else None
    return ThreadReply(
        thread_id=thread.thread_id,
        created_at=instant(thread.created_at_ms),
        updated_at=changed,
        state_updated_at=changed,
        metadata=_shown_metadata(thread),
        status=thread.status,
        error=error,
        values=values,
        interrupts=interrupts,
    )


def _shown_metadata(thread: Thread) -> Json:
    if thread.graph_id is None:
        return thread.metadata
    agent = {"graph_id": thread.graph_id, "assistant_id": assistant_id(AgentId(thread.graph_id))}
    return Json(msgspec.json.encode({**_object.decode(thread.metadata), **agent}))


def _by_id(interrupts: Sequence[Interrupt]) -> dict[str, Json]:
    """Interrupts by task; where the task is not known, by their own ids."""
    return {i.id: Json(msgspec.json.encode([i])) for i in questions(interrupts)}


EMPTY_STATE = StateSnapshot(
    Json(
        b'{"values":{},"next":[],"tasks":[],"metadata":{},"created_at":null,"checkpoint":null,'
        b'"parent_checkpoint":null,"interrupts":[]}'
    )
)
"""The state of a thread on which nothing ran."""


class _Asked(msgspec.Struct, frozen=True):
    id: str


def with_interrupts(state: StateSnapshot, thread: Thread) -> StateSnapshot:
    """The thread's newest state with what its run asks beyond the agent's own questions: whether it may spend more."""
    whole = _object.decode(state.data)
    shown = {interrupt.id for interrupt in msgspec.json.decode(whole["interrupts"], type=list[_Asked])}
    more = [interrupt for interrupt in questions(thread.interrupts) if interrupt.id not in shown]
    if thread.status != "interrupted" or not more:
        return state
    known = msgspec.json.decode(whole["interrupts"], type=list[Json])
    interrupts = Json(msgspec.json.encode([*known, *more]))
    return StateSnapshot(Json(msgspec.json.encode({**whole, "interrupts": interrupts})))


def state_body(state: StateSnapshot, select: Sequence[str] | None = None) -> bytes:
    """The state, or of it only the named fields, and of `values` only the named keys (`values.KEY`)."""
    if not select:
        return bytes(state.data)
    whole = _object.decode(state.data)
    chosen = {name: whole[name] for name in select if name in whole}
    keys = {name.removeprefix("values.") for name in select if name.startswith("values.")}
    if keys and "values" not in chosen:
        values = _object.decode(whole["values"])
        chosen["values"] = Json(msgspec.json.encode({k: v for k, v in values.items() if k in keys}))
    return msgspec.json.encode(chosen)


def history_body(states: Sequence[StateSnapshot], select: Sequence[str] | None = None) -> bytes:
    return b"[" + b",".join(state_body(state, select) for state in states) + b"]"


def values_of(state: StateSnapshot) -> bytes:
    return bytes(_state.decode(state.data).values)
