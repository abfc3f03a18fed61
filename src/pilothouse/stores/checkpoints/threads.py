"""A thread's checkpoints as a whole: copied, deleted, thinned. Knows nothing of LangGraph."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import Redis

from pilothouse.events import RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.stores import keys
from pilothouse.stores.checkpoints import scripts
from pilothouse.stores.checkpoints.scripts import decode_frame, thread_keys, translated
from pilothouse.stores.tool_calls.scripts import forget_runs

_CHUNK = 500
_CHUNK_BYTES = 1 << 20


class RedisCheckpoints:
    """The port `Checkpoints`. A copy lives for `ttl`, unless something is written to it."""

    def __init__(self, redis: Redis, ttl: timedelta) -> None:
        self._redis = redis
        self._ttl = ttl

    async def copy_thread(self, principal: Principal, source: ThreadId, target: ThreadId) -> None:
        """Copy every checkpoint to a thread that has none, and what is known of tool calls. They may lie in different slots."""
        with translated():
            fields, names, lists = thread_keys(keys.thread(principal, source))
            to_fields, to_names, to_lists = thread_keys(keys.thread(principal, target))
            index = await self._index(names)
            if not index:
                return
            await self._copy_string(lists, to_lists)
            await self._copy_hash(fields, to_fields)
            await self._copy_hash(keys.calls(principal, source), keys.calls(principal, target))
            # The index comes last: what it names is all there.
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zadd(to_names, dict.fromkeys(index, 0))
                pipe.pexpire(to_names, self._ttl)
                await pipe.execute()

    async def delete_thread(self, principal: Principal, thread_id: ThreadId) -> None:
        """Delete every checkpoint of a thread, and what is known of its tool calls."""
        with translated():
            names = thread_keys(keys.thread(principal, thread_id))
            await self._redis.unlink(*names, keys.calls(principal, thread_id))

    async def delete_for_runs(
        self, principal: Principal, thread_id: ThreadId, run_ids: Sequence[RunId]
    ) -> None:
        """Delete the checkpoints that these runs saved, with the writes to them, and what is known of their tool calls."""
        frames = await self.frames(principal, thread_id, await self.names(principal, thread_id))
        saved = [name for name, frame in frames if decode_frame(frame)[1].run_id in run_ids]
        await self.drop(principal, thread_id, saved)
        with translated():
            await forget_runs(self._redis, keys.calls(principal, thread_id), run_ids)

    async def delete_for_runs_anywhere(self, principal: Principal, run_ids: Sequence[RunId]) -> None:
        """The same, for runs whose threads are not known: looks at every thread of the user."""
        if not run_ids:
            return
        before, after = keys.thread(principal, ThreadId("")).partition("}")[2], ":cp"
        with translated():
            scan = self._redis.scan_iter(f"ph:{{*}}{before}*{after}", count=1000)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # untyped in redis-py
            found = [key async for key in cast("AsyncIterator[bytes]", scan)]
        for key in found:
            thread_id = ThreadId(key.decode().partition(before)[2].removesuffix(after))
            await self.delete_for_runs(principal, thread_id, run_ids)

    async def names(
        self, principal: Principal, thread_id: ThreadId, namespace: str | None = None
    ) -> list[str]:
        r"""`NS \0 ID` of the thread's checkpoints, or of those in one namespace; newest first."""
        key = thread_keys(keys.thread(principal, thread_id))[1]
        with translated():
            if namespace is None:
                found = await self._index(key)
            else:
                found = await self._index(key, f"[{namespace}\0", f"({namespace}\1")
        return sorted((name.decode() for name in found), key=checkpoint_id_of, reverse=True)

    async def frames(
        self, principal: Principal, thread_id: ThreadId, names: Sequence[str]
    ) -> list[tuple[str, bytes]]:
        """Name and frame of each of these checkpoints that is there, in their order."""
        key = thread_keys(keys.thread(principal, thread_id))[0]
        frames: list[bytes | None] = []
        with translated():
            for start in range(0, len(names), _CHUNK):
                fields = [f"c{name}" for name in names[start : start + _CHUNK]]
                frames += await cast("Awaitable[Any]", self._redis.hmget(key, fields))
        return [(name, frame) for name, frame in zip(names, frames, strict=True) if frame is not None]

    async def drop(self, principal: Principal, thread_id: ThreadId, names: Sequence[str]) -> None:
        """Delete these checkpoints, the writes to them, and the values that no other one sees."""
        if names:
            await scripts.run(
                self._redis, scripts.DROP, thread_keys(keys.thread(principal, thread_id)), *names
            )

    async def _index(self, key: str, first: str = "-", last: str = "+") -> list[bytes]:
        return cast("list[bytes]", await self._redis.zrangebylex(key, first, last))

    async def _copy_hash(self, source: str, target: str) -> None:
        cursor: int | None = None
        while cursor != 0:
            cursor, found = await cast("Awaitable[Any]", self._redis.hscan(source, cursor or 0, count=_CHUNK))
            if found:
                async with self._redis.pipeline(transaction=False) as pipe:
                    pipe.hset(target, mapping=found)
                    pipe.pexpire(target, self._ttl)
                    await pipe.execute()

    async def _copy_string(self, source: str, target: str) -> None:
        length = await self._redis.strlen(source)
        for start in range(0, length, _CHUNK_BYTES):
            part = await self._redis.getrange(source, start, min(start + _CHUNK_BYTES, length) - 1)
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.setrange(target, start, part)
                pipe.pexpire(target, self._ttl)
                await pipe.execute()


def checkpoint_id_of(name: str) -> str:
    return name.rpartition("\0")[2]
