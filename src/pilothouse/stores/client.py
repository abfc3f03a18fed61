"""The Redis commands that we use, with their types.

redis-py's own annotations describe every protocol version and the sync twin at once, so that each reply is a union. These
describe what our client, async and with undecoded replies, really returns. They are also the whole portable command set:
Redis 7.0 without modules, as Memorystore has it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar, cast

from pilothouse.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SILENCE_SECONDS = 5
_MOST_CONNECTIONS = 1000
"""redis-py's own limit is reached by a hundred requests at once."""
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5

Value: TypeAlias = str | bytes | int | float
Entries: TypeAlias = Sequence[tuple[bytes, Mapping[bytes, bytes]]]


class Script(Protocol):
    """A Lua script, sent by its hash. In a pipeline its reply comes from `execute`."""

    def __call__(
        self, *, keys: Sequence[str], args: Sequence[Value] = (), client: "Pipeline | None" = None
    ) -> Awaitable[Any]: ...


class Pipeline(Protocol):
    """Commands that are sent together; `execute` returns their replies in order."""

    def exists(self, name: str) -> object: ...
    def hgetall(self, name: str) -> object: ...
    def hmget(self, name: str, *fields: str) -> object: ...
    def lrange(self, name: str, start: int, end: int) -> object: ...
    def pexpire(self, name: str, time: int) -> object: ...
    def xrange(self, name: str, min: str, *, count: int) -> object: ...  # noqa: A002  redis-py's name
    def hget(self, name: str, key: str) -> object: ...
    def xlen(self, name: str) -> object: ...
    def xpending(self, name: str, groupname: str) -> object: ...
    def zadd(self, name: str, mapping: Mapping[str, float], *, nx: bool = False) -> object: ...
    def zcount(self, name: str, min: float, max: float) -> object: ...  # noqa: A002  redis-py's names
    def zrangebyscore(self, name: str, min: float, max: float) -> object: ...  # noqa: A002  redis-py's names
    async def execute(self) -> list[Any]: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PubSub(Protocol):
    async def subscribe(self, *channels: str) -> None: ...
    async def unsubscribe(self, *channels: str) -> None: ...
    def listen(self) -> AsyncIterator[Mapping[str, Any]]: ...
    async def aclose(self) -> None: ...


class Redis(Protocol):
    async def ping(self) -> bool: ...
    async def hgetall(self, name: str) -> dict[bytes, bytes]: ...
    async def hmget(self, name: str, *fields: str) -> list[bytes | None]: ...
    async def hset(self, name: str, *, mapping: Mapping[str, Value]) -> int: ...
    async def pexpire(self, name: str, time: int) -> bool: ...
    async def pttl(self, name: str) -> int: ...
    async def zadd(self, name: str, mapping: Mapping[str, float]) -> int: ...
    async def zrem(self, name: str, *members: str | bytes) -> int: ...
    async def zrevrange(self, name: str, start: int, end: int) -> list[bytes]: ...
    async def zrangebyscore(self, name: str, min: float, max: float) -> list[bytes]: ...  # noqa: A002  redis-py's names
    async def xgroup_create(self, name: str, groupname: str, *, id: str, mkstream: bool) -> bool: ...  # noqa: A002  redis-py's name
    async def xreadgroup(
        self, groupname: str, consumername: str, streams: Mapping[str, str], *, count: int, block: int
    ) -> Sequence[tuple[bytes, Entries]]: ...
    async def xautoclaim(
        self, name: str, groupname: str, consumername: str, min_idle_time: int, *, count: int
    ) -> tuple[bytes, Entries, Sequence[bytes]]: ...
    def pipeline(self, *, transaction: bool) -> Pipeline: ...
    def pubsub(self) -> PubSub: ...
    def register_script(self, script: str) -> Script: ...
    async def aclose(self) -> None: ...


def connect(url: str) -> Redis:
    """A client for `redis://`, `rediss://` or `unix://`; it connects with the first command.

    A command that fails because the server is away raises `StoreUnavailable`, and is not tried again: the server may have
    executed it. Raises `ValueError` for another scheme.
    """
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    from pilothouse.stores.redis_client import Client

    # A deadline costs redis-py a task for every command. The embedded server, behind a Unix socket, is watched by its guard
    # instead; a server on the network may hang without a word.
    deadline = None if url.startswith("unix:") else _SILENCE_SECONDS
    options = {
        "protocol": 2,
        "health_check_interval": 30,
        "socket_connect_timeout": 3,
        "socket_timeout": deadline,
        "max_connections": _MOST_CONNECTIONS,
        "retry": Retry(NoBackoff(), 0),
    }
    return cast("Redis", Client.from_url(url, **options))  # pyright: ignore[reportUnknownMemberType, reportArgumentType]  untyped there


async def outlasting_outages(step: Callable[[], Awaitable[T]], patience: timedelta) -> T:
    """What the step returns, tried again for as long as `StoreUnavailable` and patience last: it must be harmless twice."""
    try:
        return await step()
    except StoreUnavailable as error:
        logger.warning("redis is away; waiting for it", extra={"cause": str(error.__cause__ or error)})
    until = asyncio.get_running_loop().time() + patience.total_seconds()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        try:
            result = await step()
            stop_if_cancelled()
            return result
        except StoreUnavailable:
            if asyncio.get_running_loop().time() > until:
                raise


def stop_if_cancelled() -> None:
    """To be called after a command in a loop that must end when its task is cancelled.

    redis-py waits with `asyncio.wait_for`, which on Python 3.11 loses a cancellation that arrives together with the reply
    (gh-86296, fixed in 3.12). The task still knows that it was cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
