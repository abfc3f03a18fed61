"""How one saver's writes reach Redis.

A round trip costs a run more than the bytes in it, so entries share them. What arrives while one is under way goes with
the next: whoever gets the lock first sends all that waits, for the others too. Within `async with`, moreover:

- what a task wrote (`patient`) waits up to `_PATIENCE` for the checkpoint that follows it as a rule;
- the checkpoint of a run's input, which another one follows at once, goes with that. `write` returns at once for it, and
  the end of the block sends it if nothing followed. Every other `write` returns when its entry is in Redis.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from itertools import count
from typing import Literal, NamedTuple

import msgspec
from redis.asyncio import Redis

from pilothouse.errors import LeaseLost
from pilothouse.events import Attempt, RunId
from pilothouse.stores import keys
from pilothouse.stores.checkpoints import scripts
from pilothouse.stores.client import outlasting_outages

_PATIENCE = 0.010
"""Seconds."""
_RUN_WAITS = timedelta(minutes=10)


class Fence(msgspec.Struct, frozen=True):
    """The right to write: it ends when a newer attempt at the run begins, or the run is deleted."""

    run_id: RunId
    attempt: Attempt


class ListVersion(NamedTuple):
    """A long list, and the part of it that is stored already: the first `base_length` bytes of its items, as version
    `base`; "" and 0 for none. Both versions are named by their field."""

    field: str
    base: str
    base_length: int
    header: bytes
    items: bytes


class Entry(msgspec.Struct, eq=False):
    """What one call writes: a checkpoint with its new blobs, or a set of writes. Names are as in `scripts`."""

    kind: Literal["input", "checkpoint", "writes", "patient writes"]
    thread: str
    name: str
    frame: bytes
    blobs: list[tuple[str, bytes]] = msgspec.field(default_factory=list[tuple[str, bytes]])
    lists: list[ListVersion] = msgspec.field(default_factory=list[ListVersion])


class Journal:
    """Writes entries, several in one round trip where they come together."""

    def __init__(self, redis: Redis, ttl_ms: int, fence: Fence | None) -> None:
        self._redis = redis
        self._ttl_ms = ttl_ms
        self._fence = fence
        self._waiting: list[Entry] = []
        self._lock = asyncio.Lock()
        self._sent = asyncio.Event()
        self._within = False
        self.patience = _RUN_WAITS if fence else timedelta(0)
        """So long is an outage of Redis waited out: a run waits, a request is told at once."""

    async def __aenter__(self) -> None:
        self._within = True

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._within = False
        if error is None:
            await self.flush()

    async def write(self, entry: Entry) -> None:
        """Return when the entry is in Redis. Raises `LeaseLost`, `StoreUnavailable`."""
        self._waiting.append(entry)
        if self._within and entry.kind == "input":
            return
        try:
            if self._within and entry.kind == "patient writes":
                await self._company()
            await self._write(entry)
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    async def flush(self) -> None:
        """Write what waits and has nobody who waits for it."""
        for entry in [entry for entry in self._waiting if entry.kind == "input"]:
            await self._write(entry)

    async def settle(self, thread: str) -> None:
        """Return when every entry of the thread that was given to `write` before is in Redis."""
        async with self._lock:
            waiting = [entry for entry in self._waiting if entry.thread == thread]
            if waiting:
                await self._send(waiting)

    async def _company(self) -> None:
        """Until something is sent, but not for long."""
        sent, timer = self._sent, asyncio.get_running_loop().call_later(_PATIENCE, self._sent.set)
        await sent.wait()
        timer.cancel()

    async def _write(self, entry: Entry) -> None:
        async with self._lock:
            if entry in self._waiting:
                await self._send([other for other in self._waiting if other.thread == entry.thread])

    async def _send(self, batch: Sequence[Entry]) -> None:
        """Entries of one thread. Those that could not be sent go on waiting: each caller tries its own."""
        if not await self._script(batch, whole_lists=False):
            await self._script(batch, whole_lists=True)
        for entry in batch:
            if entry in self._waiting:
                self._waiting.remove(entry)
        self._sent.set()
        self._sent = asyncio.Event()

    async def _script(self, batch: Sequence[Entry], *, whole_lists: bool) -> bool:
        """False if nothing was written, because a list was to go on from a version that is gone."""
        names, attempt = scripts.thread_keys(batch[0].thread), ""
        if self._fence:
            names.append(keys.run(self._fence.run_id))
            attempt = str(self._fence.attempt)
        items = scripts.pack(_items(batch, whole_lists=whole_lists))
        tries = count()

        def write() -> Awaitable[int]:
            again = int(next(tries) > 0)
            return scripts.run(self._redis, scripts.WRITE, names, self._ttl_ms, attempt, again, items)

        outcome = await outlasting_outages(write, self.patience)
        if outcome == 0:
            self._waiting = [entry for entry in self._waiting if entry.kind != "input"]
            raise LeaseLost
        return outcome == 1


def _items(batch: Sequence[Entry], *, whole_lists: bool) -> list[str | bytes | int]:
    """The entries as items for the script `WRITE`."""
    checkpoints: list[str] = []
    fields: list[str | bytes] = []
    writes: list[str | bytes] = []
    lists: list[str | bytes | int] = []
    for entry in batch:
        if "writes" in entry.kind:
            writes += (entry.name, entry.frame)
        else:
            checkpoints.append(entry.name)
            fields += ("c" + entry.name, entry.frame)
        for blob in entry.blobs:
            fields += blob
        for field, base, length, header, items in entry.lists:
            lists += (
                (field, "", 0, header, items)
                if whole_lists
                else (field, base, length, header, items[length:])
            )
    counts = (len(checkpoints), len(fields) // 2, len(writes) // 2, len(lists) // 5)
    return [*counts, *checkpoints, *fields, *writes, *lists]
