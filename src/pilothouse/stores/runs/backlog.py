"""How many runs wait for a worker: counted every second, not with each run."""

from datetime import timedelta

from pilothouse.errors import TooBusy
from pilothouse.stores import keys
from pilothouse.stores.client import Redis
from pilothouse.stores.runs.records import now_ms
from pilothouse.stores.runs.threads import milliseconds

_SOON = timedelta(seconds=2)
"""A delayed run counts as due a little early: the request that was asked for it comes once, and clocks differ."""


class Backlog:
    """The runs that are due, on all instances. Between counts it adds those that were created here."""

    def __init__(self, redis: Redis, limit: int | None = None) -> None:
        self.waiting = 0
        self.under_way = 0
        self._redis = redis
        self._limit = limit

    async def count(self) -> None:
        """Raises `StoreUnavailable`."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(keys.PARTITIONS):
                pipe.xlen(keys.queue(partition))
                pipe.xpending(keys.queue(partition), keys.WORKERS)
                pipe.zcount(f"{keys.prefix(partition)}:delayed", 0, now_ms() + milliseconds(_SOON))
            replies = await pipe.execute()
        self.under_way = sum(summary["pending"] for summary in replies[1::3])
        self.waiting = sum(replies[::3]) - self.under_way + sum(replies[2::3])

    def admit(self) -> None:
        """One more run is to be created. Raises `TooBusy`."""
        if self._limit is not None and self.waiting >= self._limit:
            raise TooBusy(f"{self.waiting} runs are waiting for a worker: try again a little later.")
        self.waiting += 1
