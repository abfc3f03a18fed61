"""One instance of the server as far as runs go: what `wiring` puts together, without HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from pilothouse.events import AgentId, Json, MessageDelta, Offset, Record, RunEnded, ThreadId
from pilothouse.ports.principals import LOCAL, Principal
from pilothouse.ports.runs import MultitaskStrategy, NewRun, Run, RunInput, RunLease
from pilothouse.stores.client import Redis, connect
from pilothouse.stores.runs.backlog import Backlog
from pilothouse.stores.runs.log import RedisRunLog, Tails
from pilothouse.stores.runs.queue import RedisRunQueue
from pilothouse.stores.runs.runs import Caps, RedisRuns
from pilothouse.stores.runs.signals import Signals
from pilothouse.stores.runs.threads import RedisThreads

TTL = timedelta(hours=1)
UNLIMITED = Caps()

Handle = Callable[[RunLease], Awaitable[None]]


@dataclass
class Instance:
    redis: Redis
    threads: RedisThreads
    runs: RedisRuns
    log: RedisRunLog
    queue: RedisRunQueue
    tasks: asyncio.TaskGroup
    stopping: asyncio.Event
    backlog: Backlog

    def work(self, handle: Handle, slots: int = 10) -> asyncio.Task[None]:
        async def bury(principal: Principal, thread_id: ThreadId) -> None:
            await self.threads.delete(principal, thread_id)

        return self.tasks.create_task(self.queue.work(handle, bury, slots, self.stopping))

    async def start_run(
        self,
        thread_id: ThreadId | None = None,
        *,
        strategy: MultitaskStrategy = "enqueue",
        delay: timedelta | None = None,
        principal: Principal = LOCAL,
    ) -> Run:
        new = NewRun(
            thread_id or ThreadId(str(uuid4())),
            AgentId("agent"),
            RunInput(),
            Json(b"{}"),
            multitask_strategy=strategy,
            if_thread_missing="create",
            delay=delay,
        )
        return await self.runs.create(principal, new)

    async def read(self, run: Run, after: int = 0) -> list[Record]:
        """Follow to the end, under a deadline."""
        async with asyncio.timeout(20):
            return [
                record
                async for batch in self.log.follow(run.principal, run.thread_id, run.run_id, Offset(after))
                for record in batch
            ]


@asynccontextmanager
async def instance(url: str, caps: Caps = UNLIMITED) -> AsyncIterator[Instance]:
    redis = connect(url)
    tails, signals, backlog = Tails(), Signals(redis), Backlog(redis, caps.waiting_runs)
    queue = RedisRunQueue(redis, tails, signals, TTL, backlog)
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(signals.run())
        one = Instance(
            redis,
            RedisThreads(redis, TTL),
            RedisRuns(redis, TTL, backlog, caps, queue),
            RedisRunLog(redis, tails, signals),
            queue,
            tasks,
            asyncio.Event(),
            backlog,
        )
        working: list[asyncio.Task[None]] = []
        start = one.work
        one.work = lambda handle, slots=10: working.append(start(handle, slots)) or working[-1]
        try:
            yield one
        finally:
            for task in (listening, *working):
                task.cancel()
    await redis.aclose()


def says(*texts: str) -> Handle:
    """A handler that appends these texts one by one, then succeeds."""

    async def handle(lease: RunLease) -> None:
        for text in texts:
            await lease.append([delta(text)])
        await lease.finish(RunEnded("success"))

    return handle


def delta(text: str) -> MessageDelta:
    return MessageDelta("m1", text, Json(b"{}"))


def texts(records: list[Record]) -> list[str]:
    return [record.event.text for record in records if isinstance(record.event, MessageDelta)]
