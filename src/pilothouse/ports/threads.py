"""Threads: conversations of one user."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, Protocol

import msgspec

from pilothouse.events import Interrupt, Json, RunError, RunId, ThreadId
from pilothouse.ports.principals import Principal

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]


class Thread(msgspec.Struct, frozen=True):
    """A conversation. Times are Unix milliseconds; `metadata` is a JSON object."""

    thread_id: ThreadId
    created_at_ms: int
    updated_at_ms: int
    metadata: Json
    status: ThreadStatus = "idle"
    graph_id: str | None = None
    """The agent that ran last on the thread: whose state it is."""
    error: RunError | None = None
    interrupts: tuple[Interrupt, ...] = ()
    runs_begun: int = 0
    """The number of the run that began last (see `Run.number`)."""


class ThreadQuery(msgspec.Struct, frozen=True):
    """Which threads: those whose metadata contains every pair of `metadata`, newest first unless said otherwise."""

    metadata: Mapping[str, object] = {}
    graph_id: str | None = None
    """The agent that ran last, or where none ran, the `graph_id` of the metadata."""
    status: ThreadStatus | None = None
    ids: Sequence[ThreadId] | None = None
    limit: int = 10
    offset: int = 0
    sort_by: Literal["thread_id", "created_at", "updated_at", "status"] = "updated_at"
    descending: bool = True


class Threads(Protocol):
    """The threads of each principal. A thread of somebody else does not exist: `NotFound`."""

    async def create(
        self,
        principal: Principal,
        thread_id: ThreadId,
        metadata: Mapping[str, object],
        *,
        if_exists: Literal["raise", "do_nothing"] = "raise",
        ttl: timedelta | None = None,
    ) -> Thread:
        """The new thread, or with `do_nothing` the one that is there. Raises `Conflict` if it exists."""
        ...

    async def get(self, principal: Principal, thread_id: ThreadId) -> Thread:
        """Raises `NotFound`."""
        ...

    async def merge_metadata(
        self, principal: Principal, thread_id: ThreadId, metadata: Mapping[str, object]
    ) -> Thread:
        """The thread with these pairs set in its metadata; the others stay. Raises `NotFound`."""
        ...

    async def delete(self, principal: Principal, thread_id: ThreadId) -> Sequence[RunId]:
        """Delete the thread with its runs and their logs; runs that are under way are cancelled and may write no more.

        Returns the runs that were deleted. Checkpoints are the caller's to delete. Raises `NotFound`.
        """
        ...

    async def search(self, principal: Principal, query: ThreadQuery) -> tuple[Sequence[Thread], int]:
        """One page of the matching threads, and how many match in all."""
        ...
