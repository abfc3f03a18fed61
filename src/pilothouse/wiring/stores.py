"""Which servers the stores talk to: those that the settings name, else the embedded ones."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from pilothouse.errors import ConfigurationError, StoreUnavailable
from pilothouse.settings import Settings
from pilothouse.stores.client import Redis, connect
from pilothouse.stores.crons.due import RedisDueCrons
from pilothouse.stores.crons.redis import RedisCrons
from pilothouse.stores.runs.backlog import Backlog
from pilothouse.stores.runs.log import RedisRunLog, Tails
from pilothouse.stores.runs.queue import RedisRunQueue
from pilothouse.stores.runs.runs import Caps, RedisRuns
from pilothouse.stores.runs.signals import Signals
from pilothouse.stores.runs.threads import RedisThreads
from pilothouse.stores.webhooks.redis import RedisWebhooks


@dataclass(frozen=True)
class RunStores:
    """Everything that lives in Redis."""

    redis: Redis
    threads: RedisThreads
    runs: RedisRuns
    log: RedisRunLog
    queue: RedisRunQueue
    crons: RedisCrons
    due_crons: RedisDueCrons
    webhooks: RedisWebhooks
    signals: Signals
    ttl: timedelta


@asynccontextmanager
async def open_run_stores(settings: Settings) -> AsyncGenerator[RunStores]:
    """Raises `ConfigurationError` or `StoreUnavailable` where Redis can't be reached."""
    async with redis_url(settings) as url, _client(url) as redis:
        ttl = timedelta(days=settings.thread_ttl_days)
        tails, signals = Tails(), Signals(redis)
        backlog = Backlog(redis, settings.limits.waiting_runs)
        queue = RedisRunQueue(redis, tails, signals, ttl, backlog)
        caps = Caps(settings.limits.user_runs, settings.limits.waiting_runs)
        yield RunStores(
            redis=redis,
            threads=RedisThreads(redis, ttl),
            runs=RedisRuns(redis, ttl, backlog, caps, queue),
            log=RedisRunLog(redis, tails, signals),
            queue=queue,
            crons=RedisCrons(redis),
            due_crons=RedisDueCrons(redis),
            webhooks=RedisWebhooks(redis),
            signals=signals,
            ttl=ttl,
        )


@asynccontextmanager
async def redis_url(settings: Settings) -> AsyncGenerator[str]:
    """The managed server that the settings name, else the embedded one, started."""
    if settings.redis:
        yield settings.redis
        return
    from pilothouse.stores.embedded.valkey import running_valkey

    async with running_valkey(settings.data_dir) as url:
        yield url


@asynccontextmanager
async def _client(url: str) -> AsyncGenerator[Redis]:
    try:
        client = connect(url)
    except ValueError as error:
        raise ConfigurationError(f"redis: {error}. Write redis://HOST:PORT, rediss:// or unix://.") from error
    try:
        await _require(client)
        yield client
    finally:
        await client.aclose()


async def _require(client: Redis) -> None:
    from redis.exceptions import RedisError

    try:
        await client.ping()
    except (StoreUnavailable, RedisError) as error:
        reason = error.__cause__ or error
        raise StoreUnavailable(f"Redis can't be reached ({reason}): check PILOTHOUSE_REDIS.") from error


@asynccontextmanager
async def postgres_url(settings: Settings, report: Callable[[str], None]) -> AsyncGenerator[str]:
    """The managed server that the settings name, else the embedded one, started."""
    if settings.postgres:
        yield settings.postgres
        return
    from pilothouse.stores.embedded.postgres import running_postgres

    async with running_postgres(settings.data_dir, report) as url:
        yield url
