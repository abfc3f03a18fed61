"""Waiting for what nobody tells, under a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def seen(look: Callable[[], Awaitable[T]], holds: Callable[[T], object] = bool) -> T:
    """What a look brings, as soon as it holds."""
    async with asyncio.timeout(10):
        while not holds(found := await look()):  # noqa: ASYNC110  it is in a store, which tells nobody
            await asyncio.sleep(0.005)
    return found
