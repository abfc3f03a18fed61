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
        self.crons_and_hooks = 0
        """Crons that are due, and webhooks that are to be called."""
        self._redis = redis
        self._limit = limit

    async def count(self) -> None:
        """Raises `StoreUnavailable`."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(keys.PARTITIONS):
                pipe.xlen(keys.queue(partition))
                pipe.xpending(keys.queue(partition), keys.WORKERS)
                soon = now_ms() + milliseconds(_SOON)
                pipe.zcount(f"{keys.prefix(partition)}:delayed", 0, soon)
                pipe.zcount(keys.due_crons(partition), 0, soon)
                pipe.zcount(keys.hooks(partition), 0, soon)
            replies = await pipe.execute()
        entries, groups, delayed, crons, hooks = (replies[n::5] for n in range(5))
        self.under_way = sum(group["pending"] for group in groups)
        self.waiting = sum(entries) - self.under_way + sum(delayed)
        self.crons_and_hooks = sum(crons) + sum(hooks)

    def admit(self) -> None:
        """One more run is to be created. Raises `TooBusy`."""
        if self._limit is not None and self.waiting >= self._limit:
            raise TooBusy(f"{self.waiting} runs are waiting for a worker: try again a little later.")

    def add(self) -> None:
        """It was, and waits."""
        self.waiting += 1
