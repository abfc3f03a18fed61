"""One line about a server, for people: what it is, and whether it keeps data."""

import asyncio

from pilothouse.errors import ConfigurationError, StoreUnavailable
from pilothouse.stores.postgres import opened_database

ANSWER_SECONDS = 5


async def check_redis(url: str) -> str:
    """Such as `Valkey 9.1.2, append-only file on`.

    Raises `StoreUnavailable` with the reason, `ConfigurationError` if that is no address.
    """
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    try:
        client = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType] - untyped keywords
    except ValueError as error:
        raise ConfigurationError(f"The Redis address is wrong: {error}") from error
    try:
        async with asyncio.timeout(ANSWER_SECONDS), client:
            facts = await client.info()  # pyright: ignore[reportUnknownMemberType] - untyped keywords
    except TimeoutError as error:
        raise StoreUnavailable(f"The Redis server did not answer within {ANSWER_SECONDS} seconds.") from error
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"The Redis server can't be reached: {error}") from error
    valkey = facts.get("valkey_version")
    name = f"Valkey {valkey}" if valkey else f"Redis {facts['redis_version']}"
    if facts.get("aof_enabled"):
        return f"{name}, append-only file on"
    return f"{name}, append-only file off: a restart of the server may lose threads and runs"


async def check_postgres(url: str) -> str:
    """Such as `PostgreSQL 18.4, pgvector 0.8.5`.

    Raises `StoreUnavailable` with the reason, `ConfigurationError` if that is no address.
    """
    async with opened_database(url) as database, database.connection() as connection:
        cursor = await connection.execute(
            "SELECT split_part(current_setting('server_version'), ' ', 1),"
            " (SELECT default_version FROM pg_available_extensions WHERE name = 'vector')"
        )
        row = await cursor.fetchone()
    version, vector = row or ("", None)
    return f"PostgreSQL {version}, {f'pgvector {vector}' if vector else 'no pgvector'}"
