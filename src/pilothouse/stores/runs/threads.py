"""Threads in Redis."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from pilothouse.errors import Conflict, NotFound
from pilothouse.events import Json, RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.threads import Thread, ThreadQuery
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.runs import scripts
from pilothouse.stores.runs.records import now_ms, thread_from

_LOADED_AT_ONCE = 500


def milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)


def no_such_thread(thread_id: ThreadId) -> NotFound:
    return NotFound(f"There is no thread {thread_id}: create it with POST /threads, or check its id.")


class RedisThreads:
    """The port `Threads`. A thread lives for `ttl` after its last change."""

    def __init__(self, redis: Redis, ttl: timedelta) -> None:
        self._redis = redis
        self._ttl = ttl
        self._create = redis.register_script(scripts.CREATE_THREAD)
        self._delete = redis.register_script(scripts.DELETE_THREAD)

    async def create(
        self,
        principal: Principal,
        thread_id: ThreadId,
        metadata: Mapping[str, object],
        *,
        if_exists: Literal["raise", "do_nothing"] = "raise",
        ttl: timedelta | None = None,
    ) -> Thread:
        now, encoded = now_ms(), msgspec.json.encode(metadata)
        key = keys.thread(principal, thread_id)
        # The index comes first: an index entry without a thread is skipped, a thread without one would be lost.
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(keys.threads(principal), {thread_id: now}, nx=True)
            pipe.pexpire(keys.threads(principal), milliseconds(self._ttl))
            await self._create(keys=[key], args=[now, milliseconds(ttl or self._ttl), encoded], client=pipe)
            *_, created = await pipe.execute()
        if created:
            return Thread(thread_id, now, now, Json(encoded))
        if if_exists == "raise":
            raise Conflict(f"Thread {thread_id} exists already: use another id, or if_exists=do_nothing.")
        return await self.get(principal, thread_id)

    async def get(self, principal: Principal, thread_id: ThreadId) -> Thread:
        fields = await self._redis.hgetall(keys.thread(principal, thread_id))
        if not fields:
            raise no_such_thread(thread_id)
        return thread_from(thread_id, fields)

    async def merge_metadata(
        self, principal: Principal, thread_id: ThreadId, metadata: Mapping[str, object]
    ) -> Thread:
        thread = await self.get(principal, thread_id)
        merged = {**msgspec.json.decode(thread.metadata, type=dict[str, object]), **metadata}
        now = now_ms()
        encoded = msgspec.json.encode(merged)
        key = keys.thread(principal, thread_id)
        await self._redis.hset(key, mapping={"metadata": encoded, "updated": now})
        await self._redis.pexpire(key, milliseconds(self._ttl))
        return msgspec.structs.replace(thread, metadata=Json(encoded), updated_at_ms=now)

    async def delete(self, principal: Principal, thread_id: ThreadId) -> Sequence[RunId]:
        key = keys.thread(principal, thread_id)
        prefix = keys.prefix(keys.partition_of_thread(thread_id))
        run_ids = await self._delete(keys=[key], args=[prefix])
        if run_ids is None:
            raise no_such_thread(thread_id)
        await self._redis.zrem(keys.threads(principal), thread_id)
        return [RunId(run_id.decode()) for run_id in run_ids]

    async def search(self, principal: Principal, query: ThreadQuery) -> tuple[Sequence[Thread], int]:
        found = [t for t in await self._load(principal, query.ids) if _matches(t, query)]
        found.sort(key=lambda thread: _sort_key(thread, query), reverse=query.descending)
        return found[query.offset : query.offset + query.limit], len(found)

    async def _load(self, principal: Principal, ids: Sequence[ThreadId] | None) -> Sequence[Thread]:
        """The user's threads; index entries of threads that have expired are dropped on the way."""
        index = keys.threads(principal)
        if ids is None:
            ids = [ThreadId(raw.decode()) for raw in await self._redis.zrevrange(index, 0, -1)]
        threads: list[Thread] = []
        for start in range(0, len(ids), _LOADED_AT_ONCE):
            some = ids[start : start + _LOADED_AT_ONCE]
            async with self._redis.pipeline(transaction=False) as pipe:
                for thread_id in some:
                    pipe.hgetall(keys.thread(principal, thread_id))
                loaded = await pipe.execute()
            threads += [thread_from(i, fields) for i, fields in zip(some, loaded, strict=True) if fields]
            gone = [i for i, fields in zip(some, loaded, strict=True) if not fields]
            if gone:
                await self._redis.zrem(index, *gone)
        return threads


def _matches(thread: Thread, query: ThreadQuery) -> bool:
    if query.status is not None and thread.status != query.status:
        return False
    if not query.metadata and query.graph_id is None:
        return True
    metadata = msgspec.json.decode(thread.metadata, type=dict[str, object])
    if query.graph_id not in (None, thread.graph_id or metadata.get("graph_id")):
        return False
    return all(name in metadata and metadata[name] == value for name, value in query.metadata.items())


def _sort_key(thread: Thread, query: ThreadQuery) -> tuple[object, str]:
    by: object = {
        "thread_id": thread.thread_id,
        "status": thread.status,
        "created_at": thread.created_at_ms,
        "updated_at": thread.updated_at_ms,
    }[query.sort_by]
    return by, thread.thread_id
