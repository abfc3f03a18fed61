"""How long the queue is."""

import asyncio
from datetime import timedelta

from redis.exceptions import RedisError

from pilothouse.errors import StoreUnavailable
from pilothouse.ports.runs import QueueDepth
from pilothouse.stores import keys
from pilothouse.stores.client import Redis

_DEADLINE = timedelta(seconds=2)

# KEYS queue -> how many entries nobody has taken, and how many somebody has
_DEPTH = """
local pending = redis.pcall('XPENDING', KEYS[1], 'workers')
local taken = pending.err and 0 or pending[1]
return {redis.call('XLEN', KEYS[1]) - taken, taken}
"""


class RedisQueueDepth:
    """Counts the runs of all partitions."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._depth = redis.register_script(_DEPTH)

    async def __call__(self) -> QueueDepth:
        """Raises `StoreUnavailable`, after 2 seconds at the latest."""
        try:
            async with (
                asyncio.timeout(_DEADLINE.total_seconds()),
                self._redis.pipeline(transaction=False) as pipe,
            ):
                for partition in range(keys.PARTITIONS):
                    await self._depth(keys=[keys.queue(partition)], client=pipe)
                counts: list[list[int]] = await pipe.execute()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"The queue can't be counted: {error}.") from error
        return QueueDepth(sum(waiting for waiting, _ in counts), sum(taken for _, taken in counts))
