"""Finding the crons whose time has come. Every instance looks; only the first to move a cron on does so."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import chain

from pilothouse.errors import InvalidRequest, StoreUnavailable
from pilothouse.ports.crons import Cron, CronId
from pilothouse.ports.principals import Principal, UserId
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.crons import scripts
from pilothouse.stores.crons.records import cron_from
from pilothouse.stores.crons.redis import cron_keys, kept_ms, member_of
from pilothouse.stores.outages import every
from pilothouse.stores.runs.records import now_ms

logger = logging.getLogger(__name__)

_LOOK_EVERY = timedelta(seconds=1)
_AT_ONCE = 20

Fire = Callable[[Cron, int], Awaitable[bool]]


class RedisDueCrons:
    """The port `DueCrons`. `clock` tells Unix milliseconds."""

    def __init__(
        self, redis: Redis, clock: Callable[[], int] = now_ms, period: timedelta = _LOOK_EVERY
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._period = period
        self._advance = redis.register_script(scripts.ADVANCE)

    async def watch(self, fire: Fire) -> None:
        await every(self._period, lambda: self._look(fire))

    async def _look(self, fire: Fire) -> None:
        now = self._clock()
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(keys.PARTITIONS):
                pipe.zrangebyscore(keys.due_crons(partition), 0, now)
            due = list(chain.from_iterable(await pipe.execute()))
        random.shuffle(due)  # so that instances begin with different ones
        slots = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for member in due:
                tasks.create_task(self._hand_over(member, fire, slots))

    async def _hand_over(self, member: bytes, fire: Fire, slots: asyncio.Semaphore) -> None:
        user, _, cron_id = member.decode().partition(" ")
        async with slots:
            try:
                await self._fire(Principal(UserId(user)), CronId(cron_id), fire)
            except StoreUnavailable as error:  # in the group it would end the others
                logger.warning("cron waits for redis", extra={"cron_id": cron_id, "cause": str(error)})

    async def _fire(self, principal: Principal, cron_id: CronId, fire: Fire) -> None:
        fields = await self._redis.hgetall(keys.cron(principal, cron_id))
        if not fields:  # it has expired
            await self._redis.zrem(
                keys.due_crons(keys.partition_of_cron(cron_id)), member_of(principal, cron_id)
            )
            return
        cron = cron_from(principal, cron_id, fields)
        due = cron.next_run_ms
        if due is None or due > self._clock() or not await fire(cron, due):
            return
        now = self._clock()
        next_run = _next_run(cron, max(now, due))
        await self._advance(
            keys=cron_keys(principal, cron_id),
            args=[
                *(member_of(principal, cron_id), "" if next_run is None else next_run),
                *(kept_ms(next_run, now), due),
            ],
        )


def _next_run(cron: Cron, after: int) -> int | None:
    try:
        return cron.plan.next_after(after)
    except InvalidRequest as error:  # its zone is gone from this machine's database
        logger.warning("cron ends", extra={"cron_id": cron.cron_id, "reason": str(error)})
        return None
