"""Following a thread: the events of its runs, one after the other, live or ended."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

from pilothouse.errors import NotFound
from pilothouse.events import RunEnded, RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import Run
from pilothouse.server.parts import Parts
from pilothouse.wire.streaming_v2 import Event, RunEvents, before_run, run_number

T = TypeVar("T")
EventBatches: TypeAlias = AsyncGenerator[Sequence[Event], None]

_STILL_NEWS = timedelta(minutes=2)
_AT_ONCE = timedelta(milliseconds=200)
CAUGHT_UP = timedelta(milliseconds=100)
"""A log from which nothing comes for so long is read to its end, for now."""


class Following:
    def __init__(self, parts: Parts) -> None:
        self._threads = parts.threads
        self._runs = parts.runs
        self._log = parts.log

    async def now(self, principal: Principal, thread_id: ThreadId) -> int:
        """The `seq` from which a client follows that does not say from where.

        What is under way is told from the start of its run. If nothing is, the newest run is told again if it waits for
        a human, or ended so lately that the client may have started it or been cut off from it. But SDKs begin to follow
        a thread and start a run on it at the same time, and take the end of any run for the end of theirs: so a run
        that has ended is told again only if none follows it at once.
        """
        try:
            thread = await self._threads.get(principal, thread_id)
        except NotFound:
            return 0
        async with aclosing(self._log.follow_thread(principal, thread_id, thread.runs_begun - 1)) as batches:
            newest = next(reversed(await anext(batches)), None)
            if newest is None:
                return before_run(thread.runs_begun + 1)
            ended = newest.status not in ("pending", "running")
            if not ended or thread.status == "interrupted":
                return before_run(newest.number)
            over = thread.status == "busy" or not _is_news(newest) or await next_batch(batches, _AT_ONCE)
        return before_run(newest.number + 1 if over else newest.number)

    async def events(self, principal: Principal, thread_id: ThreadId, since: int) -> EventBatches:
        """Batches of all events after `since`, without end; an empty one when nothing happened for a while."""
        async with aclosing(self._log.follow_thread(principal, thread_id, run_number(since) - 1)) as batches:
            async for runs in batches:
                if not runs:
                    yield ()
                for run in runs:
                    async with aclosing(self._events_of(run)) as events_of_run:
                        async for events in events_of_run:
                            news = [event for event in events if event.seq > since]
                            if news or not events:
                                yield news

    async def _events_of(self, run: Run) -> EventBatches:
        """The events of a run; it is over when it is deleted."""
        told = RunEvents(run)
        batches = self._log.follow(run.principal, run.thread_id, run.run_id)
        try:
            async with aclosing(batches) as closing:
                async for batch in closing:
                    yield [event for record in batch for event in told.of(record)]
        except NotFound:
            return

    async def tree(self, principal: Principal, thread_id: ThreadId, run_id: RunId | None) -> dict[str, Any]:
        """The agent and its subgraphs as they stand, in this run or in the one that began last. Raises `NotFound`."""
        run = await self._run(principal, thread_id, run_id)
        told, asked_at_ms = RunEvents(run), time.time_ns() // 1_000_000
        async with aclosing(self._log.follow(principal, thread_id, run.run_id)) as batches:
            while batch := await next_batch(batches, CAUGHT_UP):
                for record in batch:
                    told.of(record)
                if isinstance(batch[-1].event, RunEnded) or batch[-1].at_ms > asked_at_ms:
                    break
        return told.tree()

    async def _run(self, principal: Principal, thread_id: ThreadId, run_id: RunId | None) -> Run:
        if run_id is not None:
            return await self._runs.get(principal, thread_id, run_id)
        thread = await self._threads.get(principal, thread_id)
        async with aclosing(self._log.follow_thread(principal, thread_id, thread.runs_begun - 1)) as batches:
            if runs := await anext(batches):
                return runs[-1]
        raise NotFound(f"No run has begun on thread {thread_id}: start one with run.start.")


async def next_batch(batches: AsyncGenerator[Sequence[T], None], within: timedelta) -> Sequence[T]:
    """The next batch; empty if there is none in this time."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            return await anext(batches)
    except TimeoutError:
        return ()


def _is_news(run: Run) -> bool:
    return time.time() * 1000 - run.updated_at_ms < _STILL_NEWS.total_seconds() * 1000
