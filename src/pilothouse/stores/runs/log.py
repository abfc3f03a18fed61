"""The run log on Redis Streams, and following it.

A follower has read up to an offset and wants what comes after. It looks in two places, in this order:

1. the run's *tail*: the newest records that a lease in this process appended, kept in memory from the moment Redis had
   them. It serves a follower whose next record it holds.
2. the stream in Redis, from the follower's offset on.

When both have nothing new it waits for a hint: the tail's, or Redis pub/sub for a run that works elsewhere. Both places
number records alike, so there is no seam between stored and live: a hint only ever means "look again".

While Redis is away a follower waits, as if nothing happened: its client hears heartbeats.
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import msgspec

from pilothouse.errors import NotFound, ServerStopping, StoreUnavailable
from pilothouse.events import Offset, Record, RunEnded, RunEvent, RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import Run
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.runs.records import run_from
from pilothouse.stores.runs.signals import Signals

logger = logging.getLogger(__name__)

T = TypeVar("T")

encode_event = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(RunEvent).decode

CANCELLED = encode_event(RunEnded("cancelled"))
"""The end of a run that is cancelled before it begins."""

_TAIL_RECORDS = 512
_READ_AT_ONCE = 500
_READERS = 64
"""So many followers read at once: each takes a connection."""
_LOCAL_START = timedelta(milliseconds=20)
"""A run that starts in this process does so well within this; until then no subscription is made for it."""
_HEARTBEAT = timedelta(seconds=15)
_RUNS_AT_ONCE = 100
_LOOK_FOR_RUNS = timedelta(seconds=5)
_LOOK_AGAIN = timedelta(seconds=1)
"""Hints may be lost: a follower of a run that works elsewhere looks at the stream this often."""


class Tail:
    """The newest records of a run, from the lease in this process that appends them."""

    def __init__(self, principal: Principal, thread_id: ThreadId) -> None:
        self.principal = principal
        self.thread_id = thread_id
        self.live = False
        """Whether a lease of this process is at work on the run: then nobody else appends."""
        self.followers = 0
        self.changed = asyncio.Event()
        """Set at the next change. Take it before you look; each change brings a new one."""
        self._first: int | None = None
        self._records: list[Record] = []

    def begin(self, last: Offset) -> None:
        """A lease begins; `last` is the newest offset in the log."""
        self.live, self._first, self._records = True, last + 1, []
        self.wake()

    def push(self, records: Sequence[Record]) -> None:
        self._records.extend(records)
        if len(self._records) > 2 * _TAIL_RECORDS:
            del self._records[:-_TAIL_RECORDS]
            self._first = self._records[0].offset
        self.wake()

    def end(self) -> None:
        """The lease is over. What it appended stays to be read."""
        self.live = False
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def after(self, offset: Offset) -> Sequence[Record] | None:
        """The records after an offset, or None if the first of them is not here."""
        if self._first is None or offset + 1 < self._first:
            return None
        return self._records[offset + 1 - self._first :]


class Tails:
    """The tails of this process: a run has one while a lease or a follower of it is here."""

    def __init__(self) -> None:
        self._tails: dict[RunId, Tail] = {}

    def get(self, run_id: RunId) -> Tail | None:
        return self._tails.get(run_id)

    def open(self, run_id: RunId, principal: Principal, thread_id: ThreadId) -> Tail:
        return self._tails.setdefault(run_id, Tail(principal, thread_id))

    def close(self, run_id: RunId) -> None:
        """Forget the tail if nobody needs it any more."""
        tail = self._tails.get(run_id)
        if tail and not tail.live and not tail.followers:
            del self._tails[run_id]

    def wake_all(self) -> None:
        for tail in self._tails.values():
            tail.wake()


class RedisRunLog:
    """The port `RunLog`."""

    def __init__(self, redis: Redis, tails: Tails, signals: Signals) -> None:
        self._redis = redis
        self._tails = tails
        self._signals = signals
        self._closed = False
        self._reading = asyncio.Semaphore(_READERS)
        self._thread_followers: set[asyncio.Event] = set()

    def close(self) -> None:
        """End every follower's iteration with `ServerStopping`: this process is about to go."""
        self._closed = True
        self._tails.wake_all()
        for waiting in self._thread_followers:
            waiting.set()

    @contextmanager
    def _woken_at_close(self, event: asyncio.Event) -> Generator[None]:
        self._thread_followers.add(event)
        try:
            yield
        finally:
            self._thread_followers.discard(event)

    async def follow(
        self, principal: Principal, thread_id: ThreadId, run_id: RunId, after: Offset = Offset(0)
    ) -> AsyncGenerator[Sequence[Record], None]:
        tail = self._tails.get(run_id)
        if tail is None or tail.principal != principal or tail.thread_id != thread_id:
            await self._check_owner(principal, thread_id, run_id)
            tail = self._tails.open(run_id, principal, thread_id)
        tail.followers += 1
        try:
            with ExitStack() as subscription:
                follower = _Follower(run_id, tail, after)
                async for batch in self._batches(follower, subscription):
                    yield batch
        finally:
            tail.followers -= 1
            self._tails.close(run_id)

    async def follow_thread(
        self, principal: Principal, thread_id: ThreadId, after: int = 0
    ) -> AsyncGenerator[Sequence[Run], None]:
        key, begun = keys.begun(principal, thread_id), asyncio.Event()
        with self._signals.listening(key, lambda _: begun.set()), self._woken_at_close(begun):
            runs = await self._begun(key, after)
            yield runs
            quiet = _Quiet()
            while True:
                if runs:
                    after = runs[-1].number
                else:
                    await set_within(begun, _LOOK_FOR_RUNS)
                if self._closed:
                    raise ServerStopping
                begun.clear()
                runs = await _or_nothing(self._begun(key, after))
                if runs or quiet.is_long():
                    yield runs
                    quiet = _Quiet()

    async def _begun(self, key: str, after: int) -> Sequence[Run]:
        """The next runs after a number. Runs that have expired are passed over."""
        ids = [RunId(raw.decode()) for raw in await self._redis.zrangebyscore(key, after + 1, math.inf)]
        for start in range(0, len(ids), _RUNS_AT_ONCE):
            some = ids[start : start + _RUNS_AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for run_id in some:
                    pipe.hgetall(keys.run(run_id))
                loaded = await pipe.execute()
            if runs := [run_from(i, fields) for i, fields in zip(some, loaded, strict=True) if fields]:
                return runs
        return ()

    async def _batches(
        self, follower: "_Follower", subscription: ExitStack
    ) -> AsyncGenerator[Sequence[Record], None]:
        tail, quiet, patience = follower.tail, _Quiet(), _LOCAL_START
        while True:
            changed = tail.changed
            if batch := await _or_nothing(self._look(follower)):
                yield batch
                if isinstance(batch[-1].event, RunEnded):
                    return
                follower.after, quiet = batch[-1].offset, _Quiet()
                continue
            if self._closed:
                raise ServerStopping
            if await set_within(changed, patience):
                continue
            if patience == _LOCAL_START and not tail.live:
                wake = self._signals.listening(f"ph:log:{follower.run_id}", lambda _: tail.wake())
                subscription.enter_context(wake)
            patience = _LOOK_AGAIN
            if quiet.is_long():
                yield ()
                quiet = _Quiet()

    async def _look(self, follower: "_Follower") -> Sequence[Record]:
        batch = follower.tail.after(follower.after)
        if batch or (batch is not None and follower.tail.live):
            return batch
        return await self._read(follower.run_id, follower.after)

    async def _read(self, run_id: RunId, after: Offset) -> Sequence[Record]:
        """What the stream holds after an offset. Of a log that has expired, only the end is known."""
        async with self._reading, self._redis.pipeline(transaction=False) as pipe:
            # The record before the stream: a run that has ended by now has its whole log in the stream.
            pipe.hmget(keys.run(run_id), "offset", "end", "updated")
            pipe.xrange(keys.log(run_id), min=f"({after}-0", count=_READ_AT_ONCE)
            (offset, end, updated), entries = await pipe.execute()
        if entries:
            return [_record(entry_id, fields) for entry_id, fields in entries]
        if offset is None:
            raise no_such_run(run_id)
        if end is not None:
            return [Record(Offset(int(offset)), _decode_event(end), int(updated))]
        return ()

    async def _check_owner(self, principal: Principal, thread_id: ThreadId, run_id: RunId) -> None:
        user, thread = await self._redis.hmget(keys.run(run_id), "user", "thread")
        if user != principal.user.encode() or thread != thread_id.encode():
            raise no_such_run(run_id)


@dataclass(slots=True)
class _Follower:
    run_id: RunId
    tail: Tail
    after: Offset


class _Quiet:
    """How long nothing has happened."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()

    def is_long(self) -> bool:
        return self._clock() - self._since >= _HEARTBEAT.total_seconds()


async def _or_nothing(looking: Awaitable[Sequence[T]]) -> Sequence[T]:
    """What there is to see; nothing while Redis is away: the follower looks again."""
    try:
        return await looking
    except StoreUnavailable as error:
        logger.info("redis is away; followers wait", extra={"cause": str(error)})
        return ()


def _record(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Record:
    return Record(Offset(int(entry_id[:-2])), _decode_event(fields[b"e"]), int(fields[b"t"]))


async def set_within(event: asyncio.Event, time: timedelta) -> bool:
    try:
        async with asyncio.timeout(time.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False


def no_such_run(run_id: RunId) -> NotFound:
    return NotFound(f"There is no run {run_id} on this thread: check the ids; old runs expire.")
