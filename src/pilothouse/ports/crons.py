"""Crons: runs that start again and again, by a schedule."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NewType, Protocol

import msgspec

from pilothouse.errors import InvalidRequest
from pilothouse.events import AgentId, Json, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import MultitaskStrategy, RunInput
from pilothouse.schedules import Schedule

CronId = NewType("CronId", str)


class CronPlan(msgspec.Struct, frozen=True):
    """What a cron does, and when: all that its owner may change."""

    agent_id: AgentId
    schedule: Schedule
    request: RunInput
    payload: Json
    """What the caller asked for, as an object: `request` and the fields beside it were made from it."""
    end_time_ms: int | None = None
    """The last time at which it may fire."""
    metadata: Json = Json(b"{}")
    enabled: bool = True
    keep_thread: bool = False
    """Of a cron without a thread: whether the threads that its runs get stay when these end."""
    multitask_strategy: MultitaskStrategy = "enqueue"
    webhook: str | None = None

    @property
    def timing(self) -> tuple[Schedule, int | None, bool]:
        """All that says when it fires."""
        return self.schedule, self.end_time_ms, self.enabled

    def next_after(self, now_ms: int) -> int | None:
        """When it fires next; None if it is off, or will not any more. Raises `InvalidRequest`."""
        due = self.schedule.after(now_ms)
        over = due is None or (self.end_time_ms is not None and due > self.end_time_ms)
        return due if self.enabled and not over else None

    def check(self, now_ms: int) -> None:
        """Raises `InvalidRequest` if it is on, and will never fire."""
        if not self.enabled or self.next_after(now_ms) is not None:
            return
        if self.end_time_ms is not None and self.end_time_ms <= now_ms:
            raise InvalidRequest("The end_time is in the past: the cron would never run.")
        before = " before its end_time" if self.end_time_ms is not None else ""
        raise InvalidRequest(f"The schedule {self.schedule.expression!r} never comes due{before}.")


class Cron(msgspec.Struct, frozen=True):
    """A cron as it stands. Times are Unix milliseconds."""

    cron_id: CronId
    principal: Principal
    thread_id: ThreadId | None
    """Where its runs take place; None if each gets a thread of its own."""
    plan: CronPlan
    created_at_ms: int
    updated_at_ms: int
    next_run_ms: int | None
    version: int = 1
    """Counts the changes of the plan."""


class CronQuery(msgspec.Struct, frozen=True):
    """Which crons: those whose metadata contains every pair of `metadata`, newest first unless said otherwise."""

    agent_id: AgentId | None = None
    thread_id: ThreadId | None = None
    enabled: bool | None = None
    metadata: Mapping[str, object] = {}
    limit: int = 10
    offset: int = 0
    sort_by: Literal[
        "cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time"
    ] = "created_at"
    descending: bool = True


class Crons(Protocol):
    """The crons of each principal. A cron of somebody else does not exist: `NotFound`.

    A cron is kept until it is deleted; one that will not fire any more, for a year after its last change.
    """

    async def create(self, principal: Principal, thread_id: ThreadId | None, plan: CronPlan) -> Cron:
        """Write the cron; from then on it fires. Raises `InvalidRequest`."""
        ...

    async def get(self, principal: Principal, cron_id: CronId) -> Cron:
        """Raises `NotFound`."""
        ...

    async def update(
        self, principal: Principal, cron_id: CronId, change: Callable[[CronPlan], CronPlan]
    ) -> Cron:
        """The cron with its plan changed, and the next time made anew from it.

        `change` is called again if somebody else changed the cron meanwhile. Raises `NotFound`, and what `change` raises.
        """
        ...

    async def delete(self, principal: Principal, cron_id: CronId) -> None:
        """It fires no more; runs that it has started go on. Raises `NotFound`."""
        ...

    async def delete_for_thread(self, principal: Principal, thread_id: ThreadId) -> None:
        """Delete the crons of a thread, if it has any."""
        ...

    async def search(self, principal: Principal, query: CronQuery) -> tuple[Sequence[Cron], int]:
        """One page of the matching crons, and how many match in all."""
        ...


class DueCrons(Protocol):
    """Where the crons whose time has come are found."""

    async def watch(self, fire: Callable[[Cron, int], Awaitable[bool]]) -> None:
        """Hand each cron to `fire` within 2 s after its time, with that time, until cancelled.

        When `fire` returns true the cron goes on to its next time, which is in the future: times that were missed
        meanwhile are passed over. Else it is handed over again. Instances do not wait for each other: several may
        hand over the same time, so that `fire` must do the same whoever calls it and however often.
        """
        ...
