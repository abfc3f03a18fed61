"""What is PostgreSQL's own in the item store: its tables, its connections, its errors."""

import asyncio
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from pilothouse.errors import ConfigurationError, StoreUnavailable
from pilothouse.ports.principals import LOCAL
from pilothouse.stores.health import check_postgres
from pilothouse.stores.items.postgres import postgres_items
from pilothouse.stores.postgres import opened_database


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_url.replace("/postgres?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_processes_that_open_an_empty_database_at_once_make_its_tables_once(empty_database: str) -> None:
    async def open_and_put(n: int) -> None:
        async with postgres_items(empty_database) as items:
            await items.put(LOCAL, ("opened",), str(n), {})

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            for n in range(5):
                tasks.create_task(open_and_put(n))
        async with postgres_items(empty_database) as items:
            assert [await items.get(LOCAL, ("opened",), str(n)) is None for n in range(5)] == [False] * 5

    asyncio.run(scenario())


def test_only_the_steps_that_are_new_are_run(empty_database: str) -> None:
    async def scenario() -> None:
        async with opened_database(empty_database) as database:
            await database.migrate("a", ["CREATE TABLE a (n int)"])
            await database.migrate("b", ["CREATE TABLE b (n int)"])
            await database.migrate("a", ["SELECT 1/0", "ALTER TABLE a ADD m int"])
            async with database.connection() as connection:
                cursor = await connection.execute(
                    "SELECT component, version FROM pilothouse_versions ORDER BY 1"
                )
                assert await cursor.fetchall() == [("a", 2), ("b", 1)]

    asyncio.run(scenario())


def test_a_step_that_fails_leaves_the_database_as_it_was(empty_database: str) -> None:
    async def scenario() -> None:
        async with opened_database(empty_database) as database:
            with pytest.raises(psycopg.errors.UndefinedTable):
                await database.migrate("a", ["CREATE TABLE a (n int)", "ALTER TABLE missing ADD m int"])
            await database.migrate("a", ["CREATE TABLE a (n int)"])

    asyncio.run(scenario())


def test_a_database_of_a_newer_release_is_left_alone(empty_database: str) -> None:
    async def scenario() -> None:
        async with opened_database(empty_database) as database:
            await database.migrate("items", ["SELECT 1"] * 99)
        with pytest.raises(ConfigurationError, match="a newer release was here"):
            async with postgres_items(empty_database):
                pass

    asyncio.run(scenario())


def test_calls_go_on_after_the_server_dropped_every_connection(empty_database: str) -> None:
    async def scenario() -> None:
        async with postgres_items(empty_database) as items:
            await items.put(LOCAL, ("a",), "k", {})
            with psycopg.connect(empty_database, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            assert await items.get(LOCAL, ("a",), "k")

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/db", "postgresql:///db?host=/nowhere"])
def test_a_server_that_is_not_there_is_named_without_its_password(url: str) -> None:
    async def scenario() -> None:
        async with postgres_items(url):
            pass

    with pytest.raises(
        StoreUnavailable, match=r"PostgreSQL can't be reached: .*(refused|No such file)"
    ) as error:
        asyncio.run(scenario())
    assert "hunter2" not in str(error.value)


def test_an_address_that_is_none_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError, match="write postgresql://") as error:
        asyncio.run(check_postgres("postgres=hunter2 oops"))
    assert "hunter2" not in str(error.value)


def test_doctor_names_the_server_and_its_vector_extension(postgres_url: str) -> None:
    assert asyncio.run(check_postgres(postgres_url)).startswith("PostgreSQL 18.4, pgvector 0.8")
