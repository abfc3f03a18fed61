"""A PostgreSQL database: pooled connections, schema versions, and its errors as ours."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, LiteralString

from pilothouse.errors import ConfigurationError, InvalidRequest, StoreUnavailable

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool

STATEMENT_SECONDS = 30
CONNECT_SECONDS = 10
POOL_SIZE = 10
MIGRATION_LOCK = 0x70696C6F74
"""The advisory lock that one process holds while it changes the schema."""


class Database:
    """Connections to one database, open while the block of `opened_database` lasts."""

    def __init__(self, pool: "AsyncConnectionPool[AsyncConnection[TupleRow]]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> "AsyncGenerator[AsyncConnection[TupleRow]]":
        """A connection for a few statements, each its own transaction.

        Raises `StoreUnavailable` if there is none in time or the work takes too long, `InvalidRequest` for what
        PostgreSQL can't store.
        """
        async with _translated_errors(), self._pool.connection() as connection:
            yield connection

    async def migrate(self, component: str, steps: "Sequence[LiteralString]") -> None:
        """Bring the tables of a component up to date. Version n is what the first n steps make.

        Processes that start at once wait for each other. Raises `ConfigurationError` if a newer release was here.
        """
        async with self.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS pilothouse_versions (component text PRIMARY KEY, version int NOT NULL)"
            )
            cursor = await connection.execute(
                "SELECT version FROM pilothouse_versions WHERE component = %s", [component]
            )
            row = await cursor.fetchone()
            version = row[0] if row else 0
            if version > len(steps):
                raise ConfigurationError(
                    f"The database has version {version} of {component!r}, and this Pilothouse knows {len(steps)}: "
                    "a newer release was here. Upgrade, or use another database."
                )
            for step in steps[version:]:
                await connection.execute(step)
            await connection.execute(
                "INSERT INTO pilothouse_versions VALUES (%s, %s)"
                " ON CONFLICT (component) DO UPDATE SET version = excluded.version",
                [component, len(steps)],
            )


@asynccontextmanager
async def opened_database(url: str) -> AsyncGenerator[Database]:
    """The database at `postgresql://…`.

    Raises `StoreUnavailable` with the server's own reason if it can't be reached, `ConfigurationError` if that is no
    address.
    """
    from psycopg import AsyncConnection, ProgrammingError
    from psycopg.conninfo import conninfo_to_dict
    from psycopg_pool import AsyncConnectionPool

    try:
        conninfo_to_dict(url)
    except ProgrammingError as error:  # not repeated: it may quote a password
        raise ConfigurationError(
            "The PostgreSQL address is wrong: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        ) from error
    # The pool would try for long, and then not say why.
    async with _translated_errors(), await AsyncConnection.connect(url, connect_timeout=CONNECT_SECONDS):
        pass
    pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
        url,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS},
        min_size=1,
        max_size=POOL_SIZE,
        timeout=CONNECT_SECONDS,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    async with pool:
        yield Database(pool)


@asynccontextmanager
async def _translated_errors() -> AsyncGenerator[None]:
    import psycopg

    try:
        async with asyncio.timeout(STATEMENT_SECONDS):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(f"PostgreSQL did not answer within {STATEMENT_SECONDS} seconds.") from error
    except psycopg.DataError as error:
        raise InvalidRequest(f"PostgreSQL can't store this: {str(error).strip()}.") from error
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"PostgreSQL can't be reached: {str(error).strip()}") from error
