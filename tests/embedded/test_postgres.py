"""The embedded PostgreSQL as its caller meets it."""

import asyncio
import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg
import pytest
import uvloop

from pilothouse.errors import ConfigurationError
from pilothouse.stores.embedded import locks
from pilothouse.stores.embedded.accounts import account_for
from pilothouse.stores.embedded.postgres import running_postgres
from pilothouse.stores.embedded.postgres_binaries import packaged_binaries, reachable_binaries, run
from pilothouse.stores.embedded.valkey import running_valkey
from pilothouse.stores.health import check_redis

from .conftest import Home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")


async def query(url: str, statement: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else []


def test_the_first_start_says_what_it_does_and_the_next_is_silent(data: Path) -> None:
    said: list[str] = []

    async def scenario() -> None:
        async with running_postgres(data, said.append):
            assert any("Preparing the database" in line for line in said)
        said.clear()
        async with running_postgres(data, said.append):
            assert said == []

    asyncio.run(scenario())


def test_it_sorts_alike_on_every_machine_and_has_vectors_and_no_network(data: Path) -> None:
    async def scenario() -> None:
        async with running_postgres(data) as url:
            assert await query(url, "SELECT 'a' > 'B', lower('ÄÖ') = 'äö'") == [(True, True)]
            await query(url, "CREATE EXTENSION vector")
            assert await query(url, "SELECT '[1,2]'::vector <-> '[1,3]'") == [(1.0,)]
            assert await query(url, "SHOW listen_addresses") == [("",)]
            assert psutil.Process(Home("postgres", data).pid).net_connections("inet") == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "name", ["a" * 120, "with spaces & ünïcödé %"], ids=["too long for a socket", "spaces"]
)
def test_any_data_directory_will_do(data: Path, name: str) -> None:
    async def scenario() -> None:
        for _ in range(2):
            async with running_postgres(data / name) as url:
                assert await query(url, "SELECT 1") == [(1,)]

    asyncio.run(scenario())


def test_both_servers_start_under_uvloop_too(data: Path) -> None:
    async def scenario() -> None:
        async with running_valkey(data) as redis_url, running_postgres(data) as url:
            assert (await check_redis(redis_url)).startswith("Valkey")
            assert await query(url, "SELECT 1") == [(1,)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


@as_root
def test_root_hands_the_server_to_another_account_and_opens_no_directory_for_it(data: Path) -> None:
    deep = data / "closed" / "deeper"
    deep.mkdir(parents=True)
    (data / "closed").chmod(0o700)
    before = [directory.stat() for directory in (data, data / "closed", deep)]

    async def scenario() -> None:
        async with running_postgres(deep):
            assert psutil.Process(Home("postgres", deep).pid).uids().effective != 0

    asyncio.run(scenario())
    after = [directory.stat() for directory in (data, data / "closed", deep)]
    assert [(s.st_mode, s.st_uid) for s in after] == [(s.st_mode, s.st_uid) for s in before]


@as_root
def test_programs_that_the_account_can_not_reach_are_copied_once(data: Path) -> None:
    account = account_for(data / "new", "")
    closed = data / "closed"
    installation = Path(shutil.copytree(packaged_binaries(), closed / packaged_binaries().name))
    closed.chmod(0o700)
    data.chmod(0o755)
    said: list[str] = []

    async def scenario() -> None:
        for _ in range(2):
            copy = await reachable_binaries(installation, account, said.append, shared=data / "shared")
            assert copy.is_relative_to(data / "shared")
            await run([str(copy / "bin" / "postgres"), "--version"], Path("/"), account)
        assert len(said) == 1

    asyncio.run(scenario())
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_data_of_another_major_version_are_left_alone(data: Path) -> None:
    async def scenario() -> None:
        async with running_postgres(data):
            pass
        version = data / "postgres" / "data" / "PG_VERSION"
        version.write_text("16\n")
        with pytest.raises(ConfigurationError, match="made by PostgreSQL 16, and this is 18"):
            async with running_postgres(data):
                pass
        assert version.read_text() == "16\n"

    asyncio.run(scenario())


def test_a_first_start_that_was_cut_short_is_done_again(data: Path) -> None:
    async def start() -> None:
        async with running_postgres(data):
            pass

    async def cut_short() -> None:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(start())
            begun = locks.eventually(lambda: any(data.glob("postgres/new-*/global")), timedelta(seconds=20))
            assert await begun
            task.cancel()

    asyncio.run(cut_short())
    assert not (data / "postgres" / "data").exists()
    asyncio.run(start())
    assert not list(data.glob("postgres/new-*"))
