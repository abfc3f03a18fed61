"""Crons in Redis: the hash and its place among those that are due share a partition, so they change in one step.

The user's index comes before the cron when it is made, and goes after it: an entry without a cron is passed over.
"""

from collections.abc import Callable, Sequence
from uuid import uuid4

import msgspec

from pilothouse.errors import Conflict, NotFound
from pilothouse.events import ThreadId
from pilothouse.ports.crons import Cron, CronId, CronPlan, CronQuery
from pilothouse.ports.principals import Principal
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.crons import scripts
from pilothouse.stores.crons.records import cron_fields, cron_from
from pilothouse.stores.runs.records import now_ms

_KEPT_MS = 366 * 86_400_000
"""So long is a cron kept after the last time at which it fires, or was changed."""
_WRITES = 10


class RedisCrons:
    """The port `Crons`. `clock` tells Unix milliseconds."""

    def __init__(self, redis: Redis, clock: Callable[[], int] = now_ms) -> None:
        self._redis = redis
        self._clock = clock
        self._write = redis.register_script(scripts.WRITE)
        self._delete = redis.register_script(scripts.DELETE)

    async def create(self, principal: Principal, thread_id: ThreadId | None, plan: CronPlan) -> Cron:
        now = self._clock()
        plan.check(now)
        cron = Cron(
            cron_id=CronId(str(uuid4())),
            principal=principal,
            thread_id=thread_id,
            plan=plan,
            created_at_ms=now,
            updated_at_ms=now,
            next_run_ms=plan.next_after(now),
        )
        await self._redis.zadd(keys.crons(principal), {cron.cron_id: now})
        await self._save(cron, 0)
        return cron

    async def _save(self, cron: Cron, version: int) -> bool:
        """False if the cron has another version by now."""
        next_run = "" if cron.next_run_ms is None else cron.next_run_ms
        written = await self._write(
            keys=cron_keys(cron.principal, cron.cron_id),
            args=[
                *(
                    member_of(cron.principal, cron.cron_id),
                    next_run,
                    kept_ms(cron.next_run_ms, self._clock()),
                ),
                *(version, *cron_fields(cron)),
            ],
        )
        return bool(written)

    async def get(self, principal: Principal, cron_id: CronId) -> Cron:
        fields = await self._redis.hgetall(keys.cron(principal, cron_id))
        if not fields:
            raise _no_such_cron(cron_id)
        return cron_from(principal, cron_id, fields)

    async def update(
        self, principal: Principal, cron_id: CronId, change: Callable[[CronPlan], CronPlan]
    ) -> Cron:
        for _ in range(_WRITES):
            old = await self.get(principal, cron_id)
            plan, now, next_run = change(old.plan), self._clock(), old.next_run_ms
            if plan.timing != old.plan.timing:
                plan.check(now)
                next_run = plan.next_after(now)
            new = msgspec.structs.replace(
                old, plan=plan, updated_at_ms=now, next_run_ms=next_run, version=old.version + 1
            )
            if await self._save(new, old.version):
                return new
        raise Conflict(f"Cron {cron_id} is being changed by others all the time: try again.")

    async def delete(self, principal: Principal, cron_id: CronId) -> None:
        deleted = await self._delete(keys=cron_keys(principal, cron_id), args=[member_of(principal, cron_id)])
        await self._redis.zrem(keys.crons(principal), cron_id)
        if not deleted:
            raise _no_such_cron(cron_id)

    async def delete_for_thread(self, principal: Principal, thread_id: ThreadId) -> None:
        for cron in await self._load(principal):
            if cron.thread_id == thread_id:
                await self._delete(
                    keys=cron_keys(principal, cron.cron_id), args=[member_of(principal, cron.cron_id)]
                )
                await self._redis.zrem(keys.crons(principal), cron.cron_id)

    async def search(self, principal: Principal, query: CronQuery) -> tuple[Sequence[Cron], int]:
        found = [cron for cron in await self._load(principal) if _matches(cron, query)]
        found.sort(key=lambda cron: _sort_key(cron, query), reverse=query.descending)
        return found[query.offset : query.offset + query.limit], len(found)

    async def _load(self, principal: Principal) -> Sequence[Cron]:
        """The user's crons."""
        index = keys.crons(principal)
        ids = [CronId(raw.decode()) for raw in await self._redis.zrevrange(index, 0, -1)]
        if not ids:
            return ()
        async with self._redis.pipeline(transaction=False) as pipe:
            for cron_id in ids:
                pipe.hgetall(keys.cron(principal, cron_id))
            loaded = await pipe.execute()
        return [cron_from(principal, i, fields) for i, fields in zip(ids, loaded, strict=True) if fields]


def cron_keys(principal: Principal, cron_id: CronId) -> list[str]:
    return [keys.cron(principal, cron_id), keys.due_crons(keys.partition_of_cron(cron_id))]


def member_of(principal: Principal, cron_id: CronId) -> str:
    """What stands for a cron among those that will fire. A user's id has no space."""
    return f"{principal.user} {cron_id}"


def kept_ms(next_run_ms: int | None, now: int) -> int:
    return _KEPT_MS + max(0, (next_run_ms or now) - now)


def _matches(cron: Cron, query: CronQuery) -> bool:
    plan = cron.plan
    metadata = msgspec.json.decode(plan.metadata, type=dict[str, object])
    return (
        query.agent_id in (None, plan.agent_id)
        and query.thread_id in (None, cron.thread_id)
        and query.enabled in (None, plan.enabled)
        and all(name in metadata and metadata[name] == value for name, value in query.metadata.items())
    )


def _sort_key(cron: Cron, query: CronQuery) -> tuple[bool, object, str]:
    """Those without the value come last when rising, first when falling."""
    by: int | str | None = {
        "cron_id": cron.cron_id,
        "assistant_id": cron.plan.agent_id,
        "thread_id": cron.thread_id,
        "created_at": cron.created_at_ms,
        "updated_at": cron.updated_at_ms,
        "next_run_date": cron.next_run_ms,
        "end_time": cron.plan.end_time_ms,
    }[query.sort_by]
    return by is None, by or "", cron.cron_id


def _no_such_cron(cron_id: CronId) -> NotFound:
    return NotFound(f"There is no cron {cron_id}: check its id, or find it with POST /runs/crons/search.")
