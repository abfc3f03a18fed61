"""Redis pub/sub, one connection a process: hints that something happened. What happened is read from where it is stored.

A hint may be lost (pub/sub keeps nothing), so whoever waits for one also looks for itself from time to time.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager

from redis.exceptions import RedisError

from pilothouse.stores.client import PubSub, Redis, stop_if_cancelled

logger = logging.getLogger(__name__)

Listener = Callable[[bytes], None]

_KEEPALIVE = "ph:keepalive"
_RETRY_SECONDS = 0.5
_CLOSE_SECONDS = 2


class Signals:
    """Subscribe to channels while `run` runs."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Deliver hints until cancelled. After an outage of Redis everything is subscribed to anew, on a new connection."""
        while True:
            pubsub = self._redis.pubsub()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive(pubsub))
                    tasks.create_task(self._follow_subscriptions(pubsub))
            # When a connection breaks, redis-py mends it in the task that reads and in the one that subscribes alike, and
            # where they meet it fails with errors of any kind.
            except* (RedisError, OSError, RuntimeError, AttributeError) as errors:
                logger.warning("redis subscription lost", extra={"cause": str(errors.exceptions[0])})
            finally:
                await _close(pubsub)
            await asyncio.sleep(_RETRY_SECONDS)

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

    async def _follow_subscriptions(self, pubsub: PubSub) -> None:
        """Keep the server's idea of our channels equal to ours."""
        subscribed: set[str] = set()
        while True:
            self._changed.clear()
            wanted = set(self._listeners)
            if new := wanted - subscribed:
                await pubsub.subscribe(*new)
            if old := subscribed - wanted:
                await pubsub.unsubscribe(*old)
            subscribed = wanted
            stop_if_cancelled()
            await self._changed.wait()

    async def _receive(self, pubsub: PubSub) -> None:
        await pubsub.subscribe(_KEEPALIVE)
        async for message in pubsub.listen():
            if message["type"] == "message":
                self._deliver(message["channel"].decode(), message["data"])
            elif message["type"] == "subscribe":  # what came before this was missed: look for it now
                self._deliver(message["channel"].decode(), b"")

    def _deliver(self, channel: str, data: bytes) -> None:
        for listener in tuple(self._listeners.get(channel, ())):
            listener(data)


async def _close(pubsub: PubSub) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pubsub.aclose()
    except (RedisError, OSError, RuntimeError, AttributeError, TimeoutError) as error:
        logger.info("redis subscription was not closed", extra={"cause": str(error)})
