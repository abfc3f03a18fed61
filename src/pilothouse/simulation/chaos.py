"""Breaks something now and then."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random

from pilothouse.simulation.instances import Instance

FREEZE = timedelta(seconds=1), timedelta(seconds=20)
_REASON = "chaos"


async def break_things(ready: Callable[[], Sequence[Instance]], every: timedelta, seed: int | None) -> None:
    """For ever: each time one of the four breakages, on one of the instances that are ready then."""
    chance = Random(seed)  # noqa: S311  nothing is secret here
    breakages = (kill, terminate, freeze_for_a_while, cut)
    async with asyncio.TaskGroup() as tasks:
        while True:
            await asyncio.sleep(every.total_seconds())
            if instances := ready():
                breakage = chance.choice(breakages)
                tasks.create_task(breakage(chance.choice(instances), chance))


async def kill(instance: Instance, _chance: Random) -> None:
    await instance.kill()


async def terminate(instance: Instance, _chance: Random) -> None:
    """While requests run: Cloud Run mostly waits until they have ended, but need not."""
    await instance.stop()


async def freeze_for_a_while(instance: Instance, chance: Random) -> None:
    """A blocked event loop, as the others see it."""
    shortest, longest = FREEZE
    instance.pause(_REASON)
    await asyncio.sleep(chance.uniform(shortest.total_seconds(), longest.total_seconds()))
    instance.resume(_REASON)


async def cut(instance: Instance, _chance: Random) -> None:
    instance.cut()
