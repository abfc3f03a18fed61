"""What goes wrong, when, and to whom: drawn by chance from a seed."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.chaos.cluster import Cluster, Instance

Kind = Literal["kill", "term", "stop", "redis"]
LABELS: dict[Kind, str] = {
    "kill": "kill -9 of an instance",
    "term": "SIGTERM to an instance",
    "stop": "SIGSTOP of an instance, then SIGCONT",
    "redis": "Redis stopped and started",
}


@dataclass
class Fault:
    kind: Kind
    target: str
    at_ms: float
    """Unix milliseconds of the signal."""
    held: Sequence[str] = ()
    """The runs that the instance was executing."""
    lingered: bool = False
    """Whether it was told to go, and had to be killed."""


@dataclass
class Plan:
    kills: int
    terms: int
    stops: int
    redis: int
    gap_seconds: tuple[float, float] = (4.0, 8.0)
    stop_seconds: tuple[float, float] = (8.0, 20.0)
    redis_seconds: tuple[float, float] = (1.0, 10.0)
    restart_seconds: tuple[float, float] = (0.5, 3.0)

    def kinds(self, chance: random.Random) -> list[Kind]:
        counts = (self.kills, self.terms, self.stops, self.redis)
        kinds: list[Kind] = [kind for kind, count in zip(LABELS, counts, strict=True) for _ in range(count)]
        chance.shuffle(kinds)
        return kinds


class Faults:
    """At most one instance is harmed at a time besides a paused one, so that somebody is left to take over; and Redis goes
    away only while nothing else is under way, so that what it costs is not taken for what a kill costs."""

    def __init__(
        self, plan: Plan, of: Cluster, chance: random.Random, held_by: Callable[[int], Sequence[str]]
    ) -> None:
        self.happened: list[Fault] = []
        self.planned = plan.kills + plan.terms + plan.stops + plan.redis
        self._plan = plan
        self._cluster = of
        self._chance = chance
        self._held_by = held_by

    async def happen(self) -> None:
        async with asyncio.TaskGroup() as healing:
            for kind in self._plan.kinds(self._chance):
                await asyncio.sleep(self._chance.uniform(*self._plan.gap_seconds))
                await self._until_healthy(3 if kind in ("redis", "stop") else 2)
                if kind == "redis":
                    await self._restart_redis()
                else:
                    target = await self._choose()
                    fault = Fault(kind, target.name, time.time() * 1000, self._held_by(target.pid))
                    self.happened.append(fault)
                    healing.create_task(self._harm(fault, target))

    async def _choose(self) -> Instance:
        """One that executes runs: else there would be nothing to be seen."""
        while not (busy := [one for one in self._cluster.healthy() if self._held_by(one.pid)]):  # noqa: ASYNC110  # the same
            await asyncio.sleep(0.1)
        return self._chance.choice(busy)

    async def _harm(self, fault: Fault, target: Instance) -> None:
        if fault.kind == "stop":
            target.pause()
            await asyncio.sleep(self._chance.uniform(*self._plan.stop_seconds))
            target.go_on()
        else:
            if fault.kind == "kill":
                await target.kill()
            else:
                target.terminate()
                fault.lingered = not await target.wait()
            await asyncio.sleep(self._chance.uniform(*self._plan.restart_seconds))
            await target.start()

    async def _restart_redis(self) -> None:
        redis = self._cluster.redis
        self.happened.append(Fault("redis", redis.name, time.time() * 1000))
        redis.terminate()
        await redis.wait()
        await asyncio.sleep(self._chance.uniform(*self._plan.redis_seconds))
        await redis.start()

    async def _until_healthy(self, count: int) -> None:
        while len(self._cluster.healthy()) < min(count, len(self._cluster.instances)):  # noqa: ASYNC110  # processes set no events
            await asyncio.sleep(0.1)
