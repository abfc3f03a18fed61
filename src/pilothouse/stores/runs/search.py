"""The runs of a user, across threads.

There is no index of them: each write of a run would have to keep one. The user's threads are in an index by their last
change, each has the list of its runs, and a run's id says when it was made.
"""

from collections.abc import Sequence

from pilothouse.events import RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import Run, RunStatus
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.runs.records import run_from

_THREADS = 500
_RUNS_OF_A_THREAD = 100
_AT_ONCE = 200


async def newest_runs(
    redis: Redis, principal: Principal, *, limit: int, offset: int, status: RunStatus | None
) -> Sequence[Run]:
    """See `Runs.search`."""
    ids = await _ids(redis, principal)
    if status is not None:
        ids = await _with_status(redis, ids, status, offset + limit)
    page = ids[offset : offset + limit]
    async with redis.pipeline(transaction=False) as pipe:
        for run_id in page:
            pipe.hgetall(keys.run(run_id))
        loaded = await pipe.execute()
    return [run_from(run_id, fields) for run_id, fields in zip(page, loaded, strict=True) if fields]


async def _ids(redis: Redis, principal: Principal) -> list[RunId]:
    """Newest first."""
    threads = [
        ThreadId(raw.decode()) for raw in await redis.zrevrange(keys.threads(principal), 0, _THREADS - 1)
    ]
    async with redis.pipeline(transaction=False) as pipe:
        for thread_id in threads:
            pipe.lrange(f"{keys.thread(principal, thread_id)}:runs", -_RUNS_OF_A_THREAD, -1)
        of_threads: list[list[bytes]] = await pipe.execute()
    ids = [RunId(raw.decode()) for raw_ids in of_threads for raw in reversed(raw_ids)]
    return sorted(ids, key=_millisecond, reverse=True)


def _millisecond(run_id: RunId) -> str:
    """When the run was made: ids are UUIDs of version 7. Those of one thread and millisecond keep the order of its list."""
    return run_id[:13]


async def _with_status(redis: Redis, ids: Sequence[RunId], status: RunStatus, enough: int) -> list[RunId]:
    found: list[RunId] = []
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        async with redis.pipeline(transaction=False) as pipe:
            for run_id in some:
                pipe.hmget(keys.run(run_id), "status")
            loaded: list[list[bytes | None]] = await pipe.execute()
        found += [run_id for run_id, (held,) in zip(some, loaded, strict=True) if held == status.encode()]
        if len(found) >= enough:
            break
    return found
