"""Runs on the wire: what clients ask for and what they get."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

from pilothouse.events import AgentId, Json, Record, RunEnded, StateValues, ThreadId
from pilothouse.ports.runs import CancelAction, MultitaskStrategy, NewRun, Run, RunInput, RunStatus
from pilothouse.wire.assistants import assistant_id
from pilothouse.wire.decoding import OptionalJson, decode_body, json_object, json_value
from pilothouse.wire.interrupts import questions
from pilothouse.wire.paging import Limit, Skip
from pilothouse.wire.replies import instant
from pilothouse.wire.stream_modes import stream_modes
from pilothouse.wire.streaming_v1 import ErrorData, error_of

Durability = Literal["sync", "async", "exit"]
Nodes = str | Sequence[str] | None


class RunCreate(msgspec.Struct, frozen=True):
    """A run to start. Unknown fields are ignored: each release of the SDKs sends more of them.

    Known and without effect: `stream_resumable` (every stream is), `feedback_keys`, `langsmith_tracer`, `strict_resume`.
    """

    assistant_id: str
    input: OptionalJson = UNSET
    command: OptionalJson = UNSET
    config: OptionalJson = UNSET
    context: OptionalJson = UNSET
    metadata: OptionalJson = UNSET
    checkpoint: OptionalJson = UNSET
    checkpoint_id: str | None = None
    stream_mode: str | Sequence[str] | None = None
    stream_subgraphs: bool | None = None
    interrupt_before: Nodes = None
    interrupt_after: Nodes = None
    multitask_strategy: MultitaskStrategy | None = None
    if_not_exists: Literal["create", "reject"] | None = None
    on_disconnect: Literal["cancel", "continue"] | None = None
    on_completion: Literal["delete", "keep", "complete", "continue"] | None = None
    after_seconds: Annotated[float, Meta(ge=0, le=366 * 86400)] | None = None
    durability: Durability | None = None
    checkpoint_during: bool | None = None
    """The old form of `durability`."""
    webhook: str | None = None

    @property
    def delay(self) -> timedelta | None:
        return timedelta(seconds=self.after_seconds) if self.after_seconds else None


def new_run(body: RunCreate, agent_id: AgentId, thread_id: ThreadId, key: str | None = None) -> NewRun:
    """The run that a client asks for on a thread of its own choice. Raises `InvalidRequest`."""
    return NewRun(
        thread_id=thread_id,
        agent_id=agent_id,
        request=run_input(body),
        metadata=json_object(body.metadata, "metadata") or Json(b"{}"),
        multitask_strategy=body.multitask_strategy or "enqueue",
        if_thread_missing=body.if_not_exists or "reject",
        delay=body.delay,
        resumes=_resumes(body),
        idempotency_key=key,
        webhook=body.webhook,
    )


def new_stateless_run(
    body: RunCreate, agent_id: AgentId, thread_id: ThreadId, key: str | None = None
) -> NewRun:
    """The run that a client asks for without a thread: it gets a new one, which goes when it ends unless it is to be kept."""
    new = new_run(body, agent_id, thread_id, key)
    return msgspec.structs.replace(
        new, if_thread_missing="create", delete_thread_after=body.on_completion in (None, "delete")
    )


class _Command(msgspec.Struct):
    resume: OptionalJson = UNSET


class _Configurable(msgspec.Struct):
    checkpoint_id: str | None = None


class _Config(msgspec.Struct):
    configurable: _Configurable | None = None


def _resumes(body: RunCreate) -> bool:
    """Whether the run answers what its thread waits for. An answer at a past checkpoint is given anew."""
    command = json_object(body.command, "command")
    if command is None or msgspec.json.decode(command, type=_Command).resume is UNSET:
        return False
    return (
        body.checkpoint_id is None and not json_object(body.checkpoint, "checkpoint") and not _rewinds(body)
    )


def _rewinds(body: RunCreate) -> bool:
    config = json_object(body.config, "config")
    if config is None:
        return False
    configurable = decode_body(bytes(config), _Config).configurable
    return configurable is not None and configurable.checkpoint_id is not None


def run_input(body: RunCreate) -> RunInput:
    """What the agent is to do. Raises `InvalidRequest`."""
    checkpoint = json_object(body.checkpoint, "checkpoint")
    if checkpoint is None and body.checkpoint_id:
        checkpoint = Json(msgspec.json.encode({"checkpoint_id": body.checkpoint_id}))
    return RunInput(
        input=json_value(body.input),
        command=json_object(body.command, "command"),
        config=json_object(body.config, "config"),
        context=json_object(body.context, "context"),
        checkpoint=checkpoint,
        stream_modes=stream_modes(body.stream_mode),
        stream_subgraphs=body.stream_subgraphs or False,
        interrupt_before=_nodes(body.interrupt_before),
        interrupt_after=_nodes(body.interrupt_after),
        durability=_durability(body),
    )


def _nodes(names: Nodes) -> tuple[str, ...] | Literal["*"]:
    if isinstance(names, str):
        return "*" if names == "*" else (names,)
    return tuple(names or ())


def _durability(body: RunCreate) -> Durability:
    if body.durability is None and body.checkpoint_during is not None:
        return "async" if body.checkpoint_during else "exit"
    return body.durability or "async"


class RunList(msgspec.Struct, frozen=True):
    """The query of a thread's runs."""

    limit: Limit = 10
    offset: Skip = 0
    status: RunStatus | None = None
    select: list[str] | None = None


class CancelOptions(msgspec.Struct, frozen=True):
    """The query of a cancellation; `wait` answers only when the run has ended."""

    wait: bool = False
    action: CancelAction = "interrupt"


class JoinOptions(msgspec.Struct, frozen=True):
    """The query of a stream that is joined."""

    stream_mode: list[str] | None = None
    cancel_on_disconnect: bool = False


class RunsCancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several runs of one thread, or all that have a status."""

    thread_id: str | None = None
    run_ids: Sequence[str] | None = None
    status: Literal["pending", "running", "all"] | None = None


class RunReply(msgspec.Struct, frozen=True):
    run_id: str
    thread_id: str
    assistant_id: str
    created_at: datetime
    updated_at: datetime
    status: RunStatus
    metadata: Json
    kwargs: RunInput
    multitask_strategy: MultitaskStrategy


def run_reply(run: Run) -> RunReply:
    return RunReply(
        run_id=run.run_id,
        thread_id=run.thread_id,
        assistant_id=assistant_id(run.agent_id),
        created_at=instant(run.created_at_ms),
        updated_at=instant(run.updated_at_ms),
        status=run.status,
        metadata=run.metadata,
        kwargs=run.request,
        multitask_strategy=run.multitask_strategy,
    )


def error_result(code: str, message: str) -> bytes:
    """What clients that wait get of a run that failed."""
    return msgspec.json.encode({"__error__": ErrorData(code, message)})


class RunResult:
    """What a run came to, for clients that wait for its end: `absorb` its records, then ask for the `body`."""

    def __init__(self) -> None:
        self._values: Json | None = None
        self._end: RunEnded | None = None

    def absorb(self, record: Record) -> None:
        event = record.event
        if isinstance(event, StateValues) and not event.namespace:
            self._values = event.data
        elif isinstance(event, RunEnded):
            self._end = event

    def body(self) -> bytes | None:
        """The last values, with `__interrupt__` if a human is asked; `{"__error__": …}` of a failed run.

        None if the log has no values: then they are the thread's.
        """
        if self._end is not None and (error := error_of(self._end)):
            return error_result(error.error, error.message)
        return None if self._values is None else self.with_interrupts(bytes(self._values))

    def with_interrupts(self, values: bytes) -> bytes:
        """These values with what the run asks a human; `{}` if they are null."""
        asked = questions(self._end.interrupts) if self._end else []
        if not asked:
            return b"{}" if values == b"null" else values
        is_object = values.startswith(b"{")
        fields: dict[str, Any] = msgspec.json.decode(values, type=dict[str, Json]) if is_object else {}
        return msgspec.json.encode({**fields, "__interrupt__": asked})
