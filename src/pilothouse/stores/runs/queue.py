"""The queue of runs on Redis Streams: one stream a partition, its pending list holds the leases.

- A worker reads with XREADGROUP; from then on the entry is pending under its name: that is the lease.
- It renews its leases every `_RENEW_EVERY` (the entry's idle time goes back to 0), and learns on the way whether a run
  was cancelled or taken over.
- An entry that was idle for `_LAPSE` belongs to a dead worker: any other takes it over with XAUTOCLAIM.
- Taking a run raises its attempt, in the script BEGIN; every later write of an older attempt is refused. So a worker
  that was cut off and wakes up can do no harm, whatever it believes.
"""

import asyncio
import logging
import math
import random
import secrets
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeAlias, TypeVar, cast

from redis.exceptions import RedisError, ResponseError

from pilothouse.errors import StoreUnavailable
from pilothouse.events import Offset, Record, RunId, ThreadId
from pilothouse.ports.principals import Principal, UserId
from pilothouse.ports.runs import CancelAction, QueueLoad, Run, RunLease
from pilothouse.stores import keys
from pilothouse.stores.client import Redis, stop_if_cancelled
from pilothouse.stores.runs import scripts
from pilothouse.stores.runs.backlog import Backlog
from pilothouse.stores.runs.lease import LeaseScripts, RedisLease
from pilothouse.stores.runs.log import CANCELLED, Tails, set_within
from pilothouse.stores.runs.records import now_ms, pairs, run_from
from pilothouse.stores.runs.signals import Signals
from pilothouse.stores.runs.threads import milliseconds

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_BLOCK_MS = 1000
_BLOCK_WHEN_FULL_MS = 50
_LAPSE = timedelta(seconds=6)
_RENEW_EVERY = timedelta(seconds=2)
_PROMOTE_EVERY = timedelta(seconds=1)
_COUNT_EVERY = timedelta(seconds=1)
_BURY_EVERY = timedelta(seconds=10)
_RETRY_SECONDS = 0.5
_HAND_BACK_SECONDS = 2


class RedisRunQueue:
    """The port `RunQueue`."""

    def __init__(
        self, redis: Redis, tails: Tails, signals: Signals, ttl: timedelta, backlog: Backlog
    ) -> None:
        self._backlog = backlog
        self._lease_scripts = LeaseScripts(redis, ttl)
        self._begin = redis.register_script(scripts.BEGIN)
        self._renew = redis.register_script(scripts.RENEW)
        self._promote = redis.register_script(scripts.PROMOTE)
        self._hand_back = redis.register_script(scripts.HAND_BACK)
        self._redis = redis
        self._tails = tails
        self._signals = signals
        self._consumer = secrets.token_hex(8)
        self._leases: dict[RunId, RedisLease] = {}
        self._streams = [keys.queue(partition) for partition in range(keys.PARTITIONS)]
        self._worker: _Worker | None = None
        """While this process takes runs."""
        self._failed_at = -_LAPSE.total_seconds()
        """When Redis was away last, by the loop's clock."""

    @contextmanager
    def offer(self) -> "Generator[Offer]":
        """A slot for a run that is created within the block, where less than half of them are in use: the others are for the
        queue, so that other workers get their share."""
        worker = self._worker
        if worker is None or 2 * worker.room.left <= worker.room.slots:
            yield Offer("", None, self)
            return
        worker.room.enter()
        offer = Offer(self._consumer, worker, self)
        try:
            yield offer
        finally:
            if not offer.is_taken:
                worker.room.leave()

    def hand_over(self) -> None:
        for lease in tuple(self._leases.values()):
            lease.stop.set("handover")

    async def work(
        self,
        handle: Callable[[RunLease], Awaitable[None]],
        bury: Callable[[Principal, ThreadId], Awaitable[None]],
        slots: int,
        stopping: asyncio.Event,
    ) -> None:
        try:
            await self._work(handle, bury, slots, stopping)
        finally:
            await asyncio.shield(self._hand_back_all())

    async def _work(
        self,
        handle: Callable[[RunLease], Awaitable[None]],
        bury: Callable[[Principal, ThreadId], Awaitable[None]],
        slots: int,
        stopping: asyncio.Event,
    ) -> None:
        await self._outlasting_outages(self._make_groups)
        room = _Room(slots)
        with self._signals.listening("ph:cancel", self._cancelled):
            async with asyncio.TaskGroup() as tasks:

                def start(run_id: RunId, entry: bytes) -> None:
                    tasks.create_task(self._handle(run_id, entry, handle, room))

                def begin(lease: RedisLease) -> None:
                    tasks.create_task(self._handle_begun(lease, handle, room))

                self._worker = _Worker(room, start, begin)
                taking = [
                    tasks.create_task(self._take(start, room)),
                    tasks.create_task(self._every(_LAPSE / 4, lambda: self._take_over(start, room))),
                ]
                keeping = [
                    tasks.create_task(self._every(_RENEW_EVERY, self._renew_leases)),
                    tasks.create_task(self._promote_delayed()),
                    tasks.create_task(self._every(_COUNT_EVERY, self._backlog.count)),
                    tasks.create_task(self._every(_BURY_EVERY, lambda: self._bury(bury))),
                ]
                await stopping.wait()
                self._worker = None
                for task in taking:
                    task.cancel()
                await room.idle.wait()
                for task in keeping:
                    task.cancel()

    async def _hand_back_all(self) -> None:
        """What was delivered to this worker and never begun, or not let go of. If it fails, the leases lapse."""
        try:
            async with asyncio.timeout(_HAND_BACK_SECONDS), self._redis.pipeline(transaction=False) as pipe:
                for partition, stream in enumerate(self._streams):
                    args = [keys.prefix(partition), self._consumer]
                    await self._hand_back(keys=[stream], args=args, client=pipe)
                await pipe.execute()
        except (TimeoutError, StoreUnavailable, RedisError) as error:
            logger.warning("leases were left to lapse", extra={"cause": str(error)})

    async def _make_groups(self) -> None:
        for stream in self._streams:
            try:
                await self._redis.xgroup_create(stream, keys.WORKERS, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _take(self, start: "_Start", room: "_Room") -> None:
        """Read new entries for as long as there is room, from no more streams than there are free slots."""
        while True:
            free = await room.free()
            streams = dict.fromkeys(random.sample(self._streams, min(free, len(self._streams))), ">")
            block_ms = _BLOCK_MS if len(streams) == len(self._streams) else _BLOCK_WHEN_FULL_MS
            read = partial(
                self._redis.xreadgroup, keys.WORKERS, self._consumer, streams, count=1, block=block_ms
            )
            for _, entries in await self._outlasting_outages(read) or ():
                for entry, fields in entries:
                    room.enter()
                    start(RunId(fields[b"run"].decode()), entry)

    async def _take_over(self, start: "_Start", room: "_Room") -> None:
        """Take the runs of workers that stopped renewing. After an outage, in which nobody could, each gets the time to."""
        if asyncio.get_running_loop().time() - self._failed_at < _LAPSE.total_seconds():
            return
        for stream in self._streams:
            if not room.left:
                return
            _, entries, *_ = await self._redis.xautoclaim(
                stream, keys.WORKERS, self._consumer, milliseconds(_LAPSE), count=room.left
            )
            for entry, fields in entries:
                run_id = RunId(fields[b"run"].decode())
                if run_id not in self._leases:
                    room.enter()
                    start(run_id, entry)

    async def _handle(self, run_id: RunId, entry: bytes, handle: "_Handle", room: "_Room") -> None:
        prefix = keys.prefix(keys.partition_of_run(run_id))
        args = [prefix, entry, now_ms(), self._consumer]
        try:
            fields = pairs(await self._begin(keys=[keys.run(run_id)], args=args))
        except StoreUnavailable as error:
            logger.warning("run could not begin", extra={"run_id": run_id, "cause": str(error)})
            fields = {}
        except BaseException:
            room.leave()
            raise
        if not fields:
            room.leave()
            return
        run = run_from(run_id, fields)
        lease = self.open_lease(run, entry, Offset(int(fields[b"offset"]) + (run.attempt > 1)))
        if b"cancel" in fields:
            lease.stop.set(cast("CancelAction", fields[b"cancel"].decode()))
        await self._handle_begun(lease, handle, room)

    def open_lease(self, run: Run, entry: bytes, last: Offset, records: Sequence[Record] = ()) -> RedisLease:
        """`last` is the newest offset of the run's log, `records` what is known of it."""
        tail = self._tails.open(run.run_id, run.principal, run.thread_id)
        tail.begin(Offset(last - len(records)))
        tail.push(records)
        lease = self._leases[run.run_id] = RedisLease(self._lease_scripts, run, entry, tail, last)
        return lease

    async def _handle_begun(self, lease: RedisLease, handle: "_Handle", room: "_Room") -> None:
        try:
            await handle(lease)
        finally:
            lease.close()
            self._tails.close(lease.run.run_id)
            if self._leases.get(lease.run.run_id) is lease:
                del self._leases[lease.run.run_id]
            room.leave()

    async def _renew_leases(self) -> None:
        by_partition: dict[int, list[RedisLease]] = {}
        for lease in self._leases.values():
            by_partition.setdefault(keys.partition_of_run(lease.run.run_id), []).append(lease)
        for partition, leases in by_partition.items():
            held = [(lease.run.run_id, lease.run.attempt, lease.entry) for lease in leases]
            answers = await self._renew(
                keys=[keys.queue(partition)],
                args=[keys.prefix(partition), self._consumer, *(field for one in held for field in one)],
            )
            for lease, answer in zip(leases, answers, strict=True):
                if answer != b"ok":
                    lease.stop.set(answer.decode())

    async def load(self) -> QueueLoad:
        try:
            await self._backlog.count()
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._make_groups()  # nobody has worked here yet
            await self._backlog.count()
        waiting = self._backlog.waiting + self._backlog.crons_and_hooks
        return QueueLoad(max(waiting, 0), self._backlog.under_way)

    async def _promote_delayed(self) -> None:
        """Put runs into the queue when they are due. Others are told of one that is so in less than a period."""
        one_more = asyncio.Event()
        with self._signals.listening("ph:delayed", lambda _: one_more.set()):
            while True:
                one_more.clear()
                next_ms = await self._outlasting_outages(self._promote_due)
                wait_ms = min(milliseconds(_PROMOTE_EVERY), max(0, next_ms - now_ms()))
                await set_within(one_more, timedelta(milliseconds=wait_ms))

    async def _promote_due(self) -> float:
        """Returns when the next one is due."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(keys.PARTITIONS):
                prefix = keys.prefix(partition)
                args = [prefix, now_ms(), CANCELLED]
                await self._promote(keys=[f"{prefix}:delayed"], args=args, client=pipe)
            return min((float(due) for due in await pipe.execute() if due), default=math.inf)

    def _cancelled(self, message: bytes) -> None:
        action, _, run_id = message.decode().partition(" ")
        if lease := self._leases.get(RunId(run_id)):
            lease.stop.set(cast("CancelAction", action))

    async def _every(self, period: timedelta, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(period.total_seconds())
            await self._outlasting_outages(step)

    async def _bury(self, bury: Callable[[Principal, ThreadId], Awaitable[None]]) -> None:
        """Delete the threads whose time has come. The one who removes the entry does it."""
        for partition in range(keys.PARTITIONS):
            doomed = f"{keys.prefix(partition)}:doomed"
            for member in await self._redis.zrangebyscore(doomed, 0, now_ms()):
                if await self._redis.zrem(doomed, member):
                    user, _, thread_id = member.decode().partition(" ")
                    await bury(Principal(UserId(user)), ThreadId(thread_id))

    async def _outlasting_outages(self, step: Callable[[], Awaitable[_T]]) -> _T:
        while True:
            try:
                result = await step()
                stop_if_cancelled()
                return result
            except (StoreUnavailable, RedisError) as error:
                logger.warning("redis failed; trying again", extra={"cause": str(error.__cause__ or error)})
                self._failed_at = asyncio.get_running_loop().time()
                await asyncio.sleep(_RETRY_SECONDS)
                if "NOGROUP" in str(error):
                    await self._make_groups()


_Handle: TypeAlias = Callable[[RunLease], Awaitable[None]]
_Start: TypeAlias = Callable[[RunId, bytes], None]


class _Room:
    """How many more runs this worker can take."""

    def __init__(self, slots: int) -> None:
        self.slots = self.left = slots
        self.idle = asyncio.Event()
        """Set while no run is under way."""
        self._some = asyncio.Event()
        self._count(0)

    async def free(self) -> int:
        """How many, as soon as there is one."""
        await self._some.wait()
        return self.left

    def enter(self) -> None:
        self._count(-1)

    def leave(self) -> None:
        self._count(+1)

    def _count(self, change: int) -> None:
        self.left += change
        for event, holds in ((self._some, self.left > 0), (self.idle, self.left == self.slots)):
            if holds:
                event.set()
            else:
                event.clear()


@dataclass(frozen=True)
class _Worker:
    room: _Room
    start: _Start
    begin: Callable[[RedisLease], None]


class Offer:
    """A slot of this process for a run that is being created; none where the `consumer` is empty."""

    def __init__(self, consumer: str, worker: _Worker | None, queue: RedisRunQueue) -> None:
        self.consumer = consumer
        self.is_taken = False
        self._worker = worker
        self._queue = queue

    def begin(self, run: Run, entry: bytes, started: Record) -> None:
        """Work on the run, whose log so far is this record."""
        assert self._worker is not None, "only who offers a slot is given a run"
        self.is_taken = True
        self._worker.begin(self._queue.open_lease(run, entry, started.offset, [started]))

    def start(self, run_id: RunId, entry: bytes) -> None:
        """Work on a run that waited longer than the one that was created."""
        assert self._worker is not None, "only who offers a slot is given a run"
        self.is_taken = True
        self._worker.start(run_id, entry)
