"""Crons on the wire: what clients ask for and what they get."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from pilothouse.events import AgentId, Json, ThreadId
from pilothouse.ports.crons import Cron, CronPlan, CronQuery
from pilothouse.schedules import Schedule
from pilothouse.wire import decoding
from pilothouse.wire.assistants import assistant_id
from pilothouse.wire.decoding import OptionalJson, json_object
from pilothouse.wire.paging import Limit, Skip
from pilothouse.wire.replies import instant
from pilothouse.wire.runs import Durability, Nodes, RunCreate, run_input

OnRunCompleted = Literal["delete", "keep"]
SortBy = Literal[
    "cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time"
]
Object = Mapping[str, Any]

_object = msgspec.json.Decoder(dict[str, Json])


class CronCreate(RunCreate, frozen=True, kw_only=True):
    """A run to start again and again. Unknown fields are ignored."""

    schedule: str
    timezone: str | None = None
    end_time: datetime | None = None
    """Without an offset it is UTC."""
    enabled: bool | None = None
    on_run_completed: OnRunCompleted | None = None
    """Of a cron without a thread: what becomes of the one that each of its runs gets; `delete` if not told."""


def cron_plan(body: CronCreate, agent_id: AgentId, payload: Json | None = None) -> CronPlan:
    """What a cron is to do; `payload` is the body's own object, made of it if not given. Raises `InvalidRequest`."""
    return CronPlan(
        agent_id=agent_id,
        schedule=Schedule(body.schedule, body.timezone),
        request=run_input(body),
        payload=payload or _payload(body),
        end_time_ms=None if body.end_time is None else _milliseconds(body.end_time),
        metadata=json_object(body.metadata, "metadata") or Json(b"{}"),
        enabled=body.enabled is not False,
        keep_thread=body.on_run_completed == "keep",
        multitask_strategy=body.multitask_strategy or "enqueue",
        webhook=body.webhook,
    )


def _payload(body: msgspec.Struct) -> Json:
    """The fields that the client gave."""
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    given = {name: value for name, value in fields.items() if value is not None and value is not UNSET}
    return Json(msgspec.json.encode(given))


def _milliseconds(time: datetime) -> int:
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


Text: TypeAlias = str | UnsetType | None
Flag: TypeAlias = bool | UnsetType | None
NodeNames: TypeAlias = Nodes | UnsetType


class CronPatch(msgspec.Struct, frozen=True):
    """What is to change of a cron. A null takes a field away. Unknown fields are ignored."""

    schedule: str | UnsetType = UNSET
    timezone: Text = UNSET
    end_time: datetime | UnsetType | None = UNSET
    enabled: Flag = UNSET
    on_run_completed: OnRunCompleted | UnsetType | None = UNSET
    input: OptionalJson = UNSET
    config: OptionalJson = UNSET
    context: OptionalJson = UNSET
    metadata: OptionalJson = UNSET
    webhook: Text = UNSET
    interrupt_before: NodeNames = UNSET
    interrupt_after: NodeNames = UNSET
    multitask_strategy: str | UnsetType | None = UNSET
    stream_mode: str | Sequence[str] | UnsetType | None = UNSET
    stream_subgraphs: Flag = UNSET
    stream_resumable: Flag = UNSET
    durability: Durability | UnsetType | None = UNSET

    def apply(self, plan: CronPlan) -> CronPlan:
        """Raises `InvalidRequest`."""
        changes = _object.decode(msgspec.json.encode(self))
        merged = {**_object.decode(plan.payload), **changes}
        left = {name: value for name, value in merged.items() if bytes(value) != b"null"}
        payload = msgspec.json.encode(left)
        return cron_plan(decoding.decode_body(payload, CronCreate), plan.agent_id, Json(payload))


class CronSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: Object | None = None
    limit: Limit | None = None
    offset: Skip | None = None
    sort_by: SortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: Sequence[str] | None = None

    def query(self, agent_id: AgentId | None) -> CronQuery:
        return CronQuery(
            agent_id=agent_id,
            thread_id=_thread(self.thread_id),
            enabled=self.enabled,
            metadata=self.metadata or {},
            limit=10 if self.limit is None else self.limit,
            offset=self.offset or 0,
            sort_by=self.sort_by or "created_at",
            descending=self.sort_order != "asc",
        )


class CronCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: Object | None = None

    def query(self, agent_id: AgentId | None) -> CronQuery:
        """For no cron itself."""
        return CronQuery(
            agent_id=agent_id,
            thread_id=_thread(self.thread_id),
            enabled=self.enabled,
            metadata=self.metadata or {},
            limit=0,
        )


def _thread(text: str | None) -> ThreadId | None:
    return None if text is None else decoding.thread_id(text)


class CronReply(msgspec.Struct, frozen=True):
    """A cron as clients get it."""

    cron_id: str
    assistant_id: str
    thread_id: str | None
    on_run_completed: OnRunCompleted | None
    end_time: datetime | None
    schedule: str
    timezone: str | None
    created_at: datetime
    updated_at: datetime
    payload: Json
    user_id: str
    next_run_date: datetime | None
    metadata: Json
    enabled: bool
    now: datetime
    """The server's time."""


def cron_reply(cron: Cron) -> CronReply:
    plan, keep = cron.plan, "keep" if cron.plan.keep_thread else "delete"
    return CronReply(
        cron_id=cron.cron_id,
        assistant_id=assistant_id(plan.agent_id),
        thread_id=cron.thread_id,
        on_run_completed=None if cron.thread_id else keep,
        end_time=_instant(plan.end_time_ms),
        schedule=plan.schedule.expression,
        timezone=plan.schedule.timezone,
        created_at=instant(cron.created_at_ms),
        updated_at=instant(cron.updated_at_ms),
        payload=plan.payload,
        user_id=cron.principal.user,
        next_run_date=_instant(cron.next_run_ms),
        metadata=plan.metadata,
        enabled=plan.enabled,
        now=datetime.now(UTC),
    )


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else instant(milliseconds)
