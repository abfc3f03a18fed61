"""A lease: the right to work on one run, and what is written with it."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import msgspec

from pilothouse.errors import LeaseLost
from pilothouse.events import Offset, Record, RunEnded, RunEvent, RunOutcome
from pilothouse.ports.runs import Run, RunStatus, StopReason
from pilothouse.ports.threads import ThreadStatus
from pilothouse.stores import keys
from pilothouse.stores.client import Redis, outlasting_outages, stop_if_cancelled
from pilothouse.stores.runs import scripts
from pilothouse.stores.runs.log import Tail, encode_event
from pilothouse.stores.runs.records import encode_usage, now_ms
from pilothouse.stores.runs.threads import milliseconds

_EPHEMERAL_STAYS = timedelta(minutes=1)
"""So long can the result of a stateless run still be fetched before its thread is deleted."""
_PATIENCE = timedelta(minutes=10)
"""So long is an outage of Redis waited out. After that the attempt is given up, and the run goes on when Redis is back."""

_RUN_STATUS: dict[RunOutcome, RunStatus] = {
    "success": "success",
    "error": "error",
    "cancelled": "interrupted",
    "interrupted": "interrupted",
    "timeout": "timeout",
    "budget_exceeded": "interrupted",
}
_THREAD_STATUS: dict[RunOutcome, ThreadStatus] = {
    "success": "idle",
    "error": "error",
    "cancelled": "idle",
    "interrupted": "interrupted",
    "timeout": "error",
    "budget_exceeded": "interrupted",
}


class Stop:
    """The port `StopSignal`."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._task: asyncio.Task[None] | None = None
        self._unbroken = 0
        self._handover_due = False

    def set(self, reason: StopReason) -> None:
        if self.reason is not None:
            return
        if reason == "handover" and self._unbroken:
            self._handover_due = True
            return
        self.reason = reason
        if self._task is not None:
            self._task.cancel()

    @contextmanager
    def unbroken(self) -> Generator[None]:
        self._unbroken += 1
        try:
            yield
        finally:
            self._unbroken -= 1
            if self._handover_due and not self._unbroken:
                self.set("handover")

    @contextmanager
    def bind(self, task: asyncio.Task[None]) -> Generator[None]:
        self._task = task
        if self.reason is not None:
            task.cancel()
        try:
            yield
        finally:
            self._task = None


class LeaseScripts:
    """What a lease writes with."""

    def __init__(self, redis: Redis, ttl: timedelta) -> None:
        self.ttl_ms = milliseconds(ttl)
        self.append = redis.register_script(scripts.APPEND)
        self.finish = redis.register_script(scripts.FINISH)
        self.release = redis.register_script(scripts.RELEASE)


class RedisLease:
    """The port `RunLease`. Appending and finishing outlast outages: each may be tried twice, and takes effect once."""

    def __init__(self, scripts: LeaseScripts, run: Run, entry: bytes, tail: Tail, last: Offset) -> None:
        self.run = run
        self.stop = Stop()
        self.entry = entry
        self._scripts = scripts
        self._tail = tail
        self._last = last
        self.usage = run.usage
        self._saved_usage = encode_usage(run.usage)

    def close(self) -> None:
        """Nothing more will be written with it."""
        self._tail.end()

    async def append(self, events: Sequence[RunEvent]) -> None:
        now = now_ms()
        payloads = [encode_event(event) for event in events]
        usage = self._usage_to_save()
        about = (self.run.attempt, self.run.run_id, now, self._last, usage)
        last = await outlasting_outages(
            lambda: self._scripts.append(keys=[keys.run(self.run.run_id)], args=[*about, *payloads]),
            _PATIENCE,
        )
        self._appended(last, events, now)
        self._saved_usage = usage or self._saved_usage
        stop_if_cancelled()

    async def finish(self, end: RunEnded) -> None:
        run, now = self.run, now_ms()
        doomed = now + milliseconds(_EPHEMERAL_STAYS) if run.delete_thread_after else 0
        outcome = (_RUN_STATUS[end.outcome], _THREAD_STATUS[end.outcome])
        failure, interrupts = msgspec.json.encode(end.error), msgspec.json.encode(end.interrupts)
        args = [
            *(self._prefix, run.attempt, run.run_id, now, self._scripts.ttl_ms),
            *(encode_event(end), *outcome, failure, interrupts, doomed, end.outcome, self._usage_to_save()),
        ]
        names = [keys.thread(run.principal, run.thread_id), keys.run(run.run_id)]
        last = await outlasting_outages(lambda: self._scripts.finish(keys=names, args=args), _PATIENCE)
        self._appended(last, [end], now)

    async def release(self) -> None:
        run = self.run
        released = await self._scripts.release(
            keys=[keys.run(run.run_id)], args=[self._prefix, run.attempt, run.run_id]
        )
        if not released:
            raise LeaseLost

    def _usage_to_save(self) -> bytes:
        """Empty where it is saved already."""
        usage = encode_usage(self.usage)
        return b"" if usage == self._saved_usage else usage

    @property
    def _prefix(self) -> str:
        return keys.prefix(keys.partition_of_run(self.run.run_id))

    def _appended(self, last: int, events: Sequence[RunEvent], now: int) -> None:
        if not last:
            self.stop.set("lost")
            raise LeaseLost
        self._last = Offset(last)
        first = last - len(events) + 1
        self._tail.push([Record(Offset(first + i), event, now) for i, event in enumerate(events)])
