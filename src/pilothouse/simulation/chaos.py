"""Breaks something now and then."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random

from pilothouse.simulation.instances import Instance

_REASON = "chaos"
_LONGEST_FREEZE = 4
"""Times the time between two breakages."""


async def break_things(ready: Callable[[], Sequence[Instance]], every: timedelta, seed: int | None) -> None:
    """For ever: each time one of four breakages, of one of the instances that are ready then."""
    chance = Random(seed)  # noqa: S311  nothing is secret here

    async def terminate(instance: Instance) -> None:
        """While it has requests: Cloud Run mostly waits until they have ended, but need not."""
        await instance.stop()

    async def freeze(instance: Instance) -> None:
        """For a while: to the others it looks as if it hung."""
        instance.pause(_REASON)
        await asyncio.sleep(every.total_seconds() * chance.uniform(0, _LONGEST_FREEZE))
        instance.resume(_REASON)

    async def cut(instance: Instance) -> None:
        instance.cut()

    async with asyncio.TaskGroup() as tasks:
        while True:
            await asyncio.sleep(every.total_seconds())
            breakage = chance.choice((Instance.kill, terminate, freeze, cut))
            if instances := ready():
                tasks.create_task(breakage(chance.choice(instances)))
