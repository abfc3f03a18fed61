"""The deliveries of webhooks in Redis. A lease is the time until which nobody else takes the delivery."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec

from pilothouse.errors import StoreUnavailable
from pilothouse.events import RunEnded, RunEvent, RunId
from pilothouse.ports.webhooks import Webhook, WebhookLease
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.outages import every
from pilothouse.stores.runs.records import now_ms, pairs, run_from
from pilothouse.stores.runs.threads import milliseconds
from pilothouse.stores.webhooks import scripts

logger = logging.getLogger(__name__)

_LOOK_EVERY = timedelta(seconds=1)
_LEASE = timedelta(seconds=30)
_event = msgspec.json.Decoder(RunEvent)


class RedisWebhookLease:
    """The port `WebhookLease`."""

    def __init__(self, queue: "RedisWebhooks", webhook: Webhook) -> None:
        self.webhook = webhook
        self._queue = queue
        self._run_id = webhook.run.run_id
        self._keys = [keys.hook(self._run_id), keys.hooks(keys.partition_of_run(self._run_id))]

    async def keep(self, body: bytes) -> None:
        await self._queue.keep_script(keys=self._keys[:1], args=[self.webhook.attempt, body])

    async def settle(self) -> None:
        await self._queue.settle_script(keys=self._keys, args=[self._run_id])

    async def postpone(self, delay: timedelta) -> None:
        due = self._queue.clock() + milliseconds(delay)
        await self._queue.postpone_script(keys=self._keys, args=[self._run_id, self.webhook.attempt, due])


class RedisWebhooks:
    """The port `WebhookQueue`. `clock` tells Unix milliseconds."""

    def __init__(
        self,
        redis: Redis,
        clock: Callable[[], int] = now_ms,
        period: timedelta = _LOOK_EVERY,
        lease: timedelta = _LEASE,
    ) -> None:
        self.clock = clock
        self.keep_script = redis.register_script(scripts.KEEP)
        self.settle_script = redis.register_script(scripts.SETTLE)
        self.postpone_script = redis.register_script(scripts.POSTPONE)
        self._claim = redis.register_script(scripts.CLAIM)
        self._redis = redis
        self._period = period
        self._lease = milliseconds(lease)

    async def work(self, deliver: Callable[[WebhookLease], Awaitable[None]], slots: int) -> None:
        under_way = 0

        async def handle(lease: RedisWebhookLease) -> None:
            nonlocal under_way
            try:
                await deliver(lease)
            except StoreUnavailable as error:  # it is delivered again when the lease is over
                facts = {"run_id": lease.webhook.run.run_id, "cause": str(error)}
                logger.warning("webhook waits for redis", extra=facts)
            finally:
                under_way -= 1

        async with asyncio.TaskGroup() as tasks:

            async def look() -> None:
                nonlocal under_way
                for partition in await self._due():
                    if under_way >= slots:
                        return
                    for lease in await self._take(partition, slots - under_way):
                        under_way += 1
                        tasks.create_task(handle(lease))

            await every(self._period, look)

    async def _due(self) -> Sequence[int]:
        """The partitions where something is due, in any order."""
        now = self.clock()
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(keys.PARTITIONS):
                pipe.zcount(keys.hooks(partition), 0, now)
            due = [partition for partition, count in enumerate(await pipe.execute()) if count]
        random.shuffle(due)
        return due

    async def _take(self, partition: int, limit: int) -> Sequence[RedisWebhookLease]:
        now = self.clock()
        taken = await self._claim(
            keys=[keys.hooks(partition)],
            args=[keys.prefix(partition), now, now + self._lease, limit],
        )
        return [RedisWebhookLease(self, _webhook(RunId(i.decode()), pairs(flat))) for i, flat in taken]


def _webhook(run_id: RunId, fields: dict[bytes, bytes]) -> Webhook:
    end = _event.decode(fields[b"end"])
    assert isinstance(end, RunEnded), "what ends a run"
    return Webhook(
        run=run_from(run_id, fields),
        end=end,
        url=fields[b"webhook"].decode(),
        attempt=int(fields[b"hook_tries"]),
        body=fields.get(b"hook_body"),
    )
