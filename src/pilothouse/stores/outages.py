"""Loops that live as long as the server, and wait out outages of Redis."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from redis.exceptions import RedisError

from pilothouse.errors import StoreUnavailable
from pilothouse.stores.client import stop_if_cancelled

logger = logging.getLogger(__name__)


async def every(period: timedelta, step: Callable[[], Awaitable[None]]) -> None:
    """Take the step, and again a period after its end, until cancelled. One that finds no Redis is tried again as late."""
    while True:
        try:
            await step()
            stop_if_cancelled()
        except (StoreUnavailable, RedisError) as error:
            logger.warning("redis failed; trying again", extra={"cause": str(error)})
        await asyncio.sleep(period.total_seconds())
