"""Redis pub/sub, one connection a process: hints that something happened. What happened is read from where it is stored.

A hint may be lost (pub/sub keeps nothing), so whoever waits for one also looks for itself from time to time.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager

from redis.exceptions import RedisError

from pilothouse.stores.client import Redis, stop_if_cancelled

logger = logging.getLogger(__name__)

Listener = Callable[[bytes], None]

_KEEPALIVE = "ph:keepalive"
_RETRY_SECONDS = 0.5


class Signals:
    """Subscribe to channels while `run` runs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub = redis.pubsub()
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Deliver hints until cancelled. Outages of Redis are waited out."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive())
                tasks.create_task(self._follow_subscriptions())
        finally:
            await self._pubsub.aclose()

    @contextmanager
    def listening(self, channel: str, listener: Listener) -> Generator[None]:
        """Call `listener` with each message on the channel, until the end of the block.

        It is also called, with nothing, when the subscription begins to hold and each time that it was renewed.
        """
        self._listeners[channel].add(listener)
        self._changed.set()
        try:
            yield
        finally:
            self._listeners[channel].discard(listener)
            if not self._listeners[channel]:
                del self._listeners[channel]
            self._changed.set()

    async def _follow_subscriptions(self) -> None:
        """Keep the server's idea of our channels equal to ours."""
        subscribed: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._listeners)
            try:
                if new := wanted - subscribed:
                    await self._pubsub.subscribe(*new)
                if old := subscribed - wanted:
                    await self._pubsub.unsubscribe(*old)
                subscribed = wanted
                stop_if_cancelled()
            except (RedisError, OSError) as error:
                logger.warning("redis subscription failed", extra={"cause": str(error)})
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await self._changed.wait()

    async def _receive(self) -> None:
        while True:
            try:
                await self._pubsub.subscribe(_KEEPALIVE)
                async for message in self._pubsub.listen():
                    if message["type"] == "message":
                        self._deliver(message["channel"].decode(), message["data"])
                    elif message["type"] == "subscribe":  # what came before this was missed: look for it now
                        self._deliver(message["channel"].decode(), b"")
            except (RedisError, OSError) as error:
                logger.warning("redis subscription lost", extra={"cause": str(error)})
                await asyncio.sleep(_RETRY_SECONDS)

    def _deliver(self, channel: str, data: bytes) -> None:
        for listener in tuple(self._listeners.get(channel, ())):
            listener(data)
