"""Runs: one execution of an agent on a thread, its log, and the queue of those that wait."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Literal, Protocol

import msgspec

from pilothouse.events import (
    AgentId,
    Attempt,
    Json,
    Offset,
    Record,
    RunEnded,
    RunEvent,
    RunId,
    RunOutcome,
    ThreadId,
)
from pilothouse.ports.limits import Usage
from pilothouse.ports.principals import Principal
from pilothouse.ports.tracing import current_traceparent

RunStatus = Literal["pending", "running", "success", "error", "timeout", "interrupted"]
"""The Agent Protocol's words. A cancelled run is `interrupted`."""

MultitaskStrategy = Literal["reject", "enqueue", "interrupt", "rollback"]
CancelAction = Literal["interrupt", "rollback"]
StreamMode = Literal[
    "values",
    "messages",
    "messages-tuple",
    "updates",
    "events",
    "tasks",
    "checkpoints",
    "debug",
    "custom",
    "tools",
]


class RunInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent is to do: the fields of the Agent Protocol that reach the engine."""

    input: Json | None = None
    command: Json | None = None
    """`{update?, resume?, goto?}` instead of an input."""
    config: Json | None = None
    """LangGraph's `{configurable?, recursion_limit?, tags?}`."""
    context: Json | None = None
    checkpoint: Json | None = None
    """Where to start from: `{checkpoint_id, checkpoint_ns?}`; without it, the thread's newest state."""
    stream_modes: tuple[StreamMode, ...] = ("values",)
    """What the log is to hold besides messages, tools and the end."""
    stream_subgraphs: bool = False
    interrupt_before: tuple[str, ...] | Literal["*"] = ()
    interrupt_after: tuple[str, ...] | Literal["*"] = ()
    durability: Literal["sync", "async", "exit"] = "async"


class Run(msgspec.Struct, frozen=True):
    """A run as it stands. Times are Unix milliseconds; `metadata` is a JSON object."""

    run_id: RunId
    thread_id: ThreadId
    agent_id: AgentId
    principal: Principal
    created_at_ms: int
    updated_at_ms: int
    metadata: Json
    request: RunInput
    status: RunStatus = "pending"
    attempt: Attempt = Attempt(0)
    multitask_strategy: MultitaskStrategy = "enqueue"
    delete_thread_after: bool = False
    """A stateless run: its thread goes when it ends."""
    number: int = 0
    """The run's place in the order in which the runs of its thread began, from 1; 0 before it has begun. A run that is
    cancelled before that gets its number then. Runs of a thread follow each other, so no event of a run is older than one
    of a run with a lower number."""
    crashes: int = 0
    """How many attempts in a row ended with their process, or were cut off, and saved no checkpoint before."""
    begun_at_ms: int = 0
    """When its first attempt began; 0 before that."""
    usage: Usage = msgspec.field(default_factory=Usage)
    """What it has spent so far."""
    after: RunOutcome | None = None
    """Of a run under way, as its lease has it: how the run before it on its thread ended; None if there was none."""
    trace: str = ""
    """The W3C `traceparent` of what asked for the run; empty if there was none."""
    due_at_ms: int = 0
    """When it was to begin; 0 means as soon as possible."""


class NewRun(msgspec.Struct, frozen=True):
    """What `Runs.create` needs."""

    thread_id: ThreadId
    agent_id: AgentId
    request: RunInput
    metadata: Json = Json(b"{}")
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_thread_missing: Literal["create", "reject"] = "reject"
    delete_thread_after: bool = False
    delay: timedelta | None = None
    resumes: bool = False
    """It answers what the thread waits for."""
    webhook: str | None = None
    """Where to tell that it ended."""
    idempotency_key: str | None = None
    """A run that was created on this thread with the same key, within a day, is returned instead of a second one."""
    trace: str = msgspec.field(default_factory=current_traceparent)
    """The W3C `traceparent` of what asks for the run; empty if there is none."""


class Runs(Protocol):
    """The runs of each principal's threads. A run of somebody else does not exist: `NotFound`."""

    async def create(self, principal: Principal, new: NewRun) -> Run:
        """Write the run, the first event of its log and its place in the queue, in one atomic step.

        A run waits while another is at work on its thread, by its multitask strategy. Raises `Conflict` where that is
        `reject`, and for an answer (`resumes`) where nothing waits for one, or somebody else's is under way; `NotFound` if
        the thread is missing and may not be made; `InvalidRequest` if the idempotency key came with another request.
        """
        ...

    async def get(self, principal: Principal, thread_id: ThreadId, run_id: RunId) -> Run:
        """Raises `NotFound`."""
        ...

    async def list(
        self,
        principal: Principal,
        thread_id: ThreadId,
        *,
        limit: int = 10,
        offset: int = 0,
        status: RunStatus | None = None,
    ) -> Sequence[Run]:
        """The thread's runs, newest first. Raises `NotFound` if there is no such thread."""
        ...

    async def search(
        self,
        principal: Principal,
        *,
        limit: int = 10,
        offset: int = 0,
        status: RunStatus | None = None,
    ) -> Sequence[Run]:
        """Runs of all threads, newest first: the 100 newest of each of the user's 500 threads that changed last. Runs without
        a thread of their caller's are not among them."""
        ...

    async def cancel(
        self, principal: Principal, thread_id: ThreadId, run_id: RunId, action: CancelAction = "interrupt"
    ) -> None:
        """End the run, wherever it is: at once if it waits, else its runner is told. Of a run that has ended with a question
        the question is withdrawn; ending any other ended run does nothing.

        Raises `NotFound`.
        """
        ...

    async def thread_of(self, principal: Principal, run_id: RunId) -> ThreadId:
        """The thread of a run that is known by its id alone. Raises `NotFound`."""
        ...

    async def delete(self, principal: Principal, thread_id: ThreadId, run_id: RunId) -> None:
        """Delete the run and its log. Raises `NotFound`, and `Conflict` while it is under way."""
        ...


class RunLog(Protocol):
    """Follow the events of a run, live or ended, and the runs of a thread."""

    def follow(
        self, principal: Principal, thread_id: ThreadId, run_id: RunId, after: Offset = Offset(0)
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Batches of the records after an offset, in order, each once, up to and including `RunEnded`.

        Stored and live records come from one iterator with no seam. A batch is empty when nothing happened for a
        while (15 s), so that the caller can send a heartbeat. Close it (`contextlib.aclosing`). Raises `NotFound`.
        """
        ...

    def follow_thread(
        self, principal: Principal, thread_id: ThreadId, after: int = 0
    ) -> AsyncGenerator[Sequence[Run], None]:
        """Batches of the thread's runs whose number is above `after`, in order, each once: those that have begun, and
        without end those that will.

        The first batch comes at once, and is empty if there is no such run. Later ones are empty when nothing happened
        for a while (15 s). A thread that does not exist has no runs yet. Raises `ServerStopping` when this
        server ends. Close it (`contextlib.aclosing`).
        """
        ...


StopReason = CancelAction | Literal["lost", "handover", "budget"]
"""Somebody cancelled the run; its lease is lost; this instance ends and another is to go on; it may spend no more."""


class StopSignal(Protocol):
    """Asks a runner to stop."""

    reason: StopReason | None
    """None until it is set."""

    def set(self, reason: StopReason) -> None:
        """The first reason counts."""
        ...

    def unbroken(self) -> AbstractContextManager[None]:
        """Within the block a handover waits: a call is under way that can't be made twice."""
        ...

    def bind(self, task: "asyncio.Task[None]") -> AbstractContextManager[None]:
        """Within the block the signal cancels the task, once, and so does one that was set before."""
        ...


class RunLease(Protocol):
    """The right to work on one run: what a worker gets from the queue. Every write carries its attempt."""

    @property
    def run(self) -> Run: ...

    @property
    def stop(self) -> StopSignal: ...

    @property
    def usage(self) -> Usage:
        """What the run has spent. It may be changed, and is saved with the next write."""
        ...

    async def append(self, events: Sequence[RunEvent]) -> None:
        """Append to the log. Raises `LeaseLost` when a newer attempt exists, or the run is gone."""
        ...

    async def finish(self, end: RunEnded) -> None:
        """Append the end, settle run and thread, and let the thread's next run into the queue: one atomic step.

        Raises `LeaseLost`.
        """
        ...

    async def release(self) -> None:
        """Hand the run back: another worker takes it at once. Raises `LeaseLost`."""
        ...


class QueueLoad(msgspec.Struct, frozen=True):
    """How many runs there are to be executed."""

    waiting: int
    """Due, now or in a moment, and not taken yet; with the crons that are, and the webhooks that are to be called."""
    under_way: int
    """Taken, by whatever worker, dead ones included until their runs are taken over."""


class RunQueue(Protocol):
    """Where workers get runs.

    A lease is renewed while the process lives; without that it lapses within seconds, and another worker gets the run
    with the next attempt. Order within a thread is kept: only its first unfinished run is in the queue.
    """

    def hand_over(self) -> None:
        """Ask the runs that are under way here to stop, so that they go on elsewhere."""
        ...

    async def work(
        self,
        handle: Callable[[RunLease], Awaitable[None]],
        bury: Callable[[Principal, ThreadId], Awaitable[None]],
        slots: int,
        stopping: asyncio.Event,
    ) -> None:
        """Hand each run that is due to `handle`, at most `slots` at once; and each thread that is to go to `bury`, which
        deletes it: that of a stateless run, a while after its end. Neither may raise.

        Once `stopping` is set it takes no more runs, and returns when those under way have ended. When cancelled it
        cancels them. At the end it hands back whatever it still holds.
        """
        ...

    async def load(self) -> QueueLoad:
        """What the whole service has to do, now. Runs that wait for their thread are not counted: they are due when the
        one before them ends. Raises `StoreUnavailable`."""
        ...
