"""The embedded Valkey as its caller meets it."""

import asyncio
import platform
import shutil
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pilothouse.errors import ConfigurationError, StoreUnavailable
from pilothouse.stores.embedded.valkey import running_valkey
from pilothouse.stores.health import check_redis


async def set_and_get(data: Path) -> None:
    async with running_valkey(data) as url, Redis.from_url(url) as client:
        await client.set("k", "v")
        assert await client.get("k") == b"v"


@pytest.mark.parametrize(
    "name",
    ["a" * 120, "with spaces, 100 % and ünïcödé", "a#b?c&d"],
    ids=["too long for a socket", "spaces", "url syntax"],
)
def test_any_data_directory_will_do(data: Path, name: str) -> None:
    asyncio.run(set_and_get(data / name))
    assert (data / name).is_dir()


def test_a_relative_data_directory_will_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    asyncio.run(set_and_get(Path("here")))
    assert (data / "here" / "valkey").is_dir()


def test_two_data_directories_have_two_servers(data: Path) -> None:
    async def scenario() -> None:
        async with running_valkey(data / "a") as a, running_valkey(data / "b") as b:
            assert a != b
            async with Redis.from_url(a) as one, Redis.from_url(b) as other:
                await one.set("k", "v")
                assert await other.get("k") is None

    asyncio.run(scenario())


def test_users_that_come_and_go_never_lose_their_server_or_a_write(data: Path) -> None:
    async def user() -> None:
        for _ in range(8):
            async with running_valkey(data) as url, Redis.from_url(url) as client:
                before = await client.info("server")
                await client.incr("uses")
                after = await client.info("server")
                assert before["run_id"] == after["run_id"]

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(user())
        async with running_valkey(data) as url, Redis.from_url(url) as client:
            assert await client.get("uses") == b"24"

    asyncio.run(scenario())


def test_a_copied_data_directory_has_a_server_of_its_own(data: Path) -> None:
    original, copy = data / ("o" * 120), data / ("c" * 120)
    asyncio.run(set_and_get(original))
    shutil.copytree(original, copy, symlinks=True)

    async def scenario() -> None:
        async with running_valkey(original) as a, running_valkey(copy) as b:
            assert a != b
            async with Redis.from_url(b) as client:
                assert await client.get("k") == b"v"

    asyncio.run(scenario())


def test_doctor_names_the_server_and_says_that_it_keeps_data(data: Path) -> None:
    async def scenario() -> None:
        async with running_valkey(data) as url:
            assert await check_redis(url) == "Valkey 9.1.2, append-only file on"

    asyncio.run(scenario())


def test_doctor_warns_of_a_server_that_keeps_nothing(debian_redis_url: str) -> None:
    line = asyncio.run(check_redis(debian_redis_url))
    assert line.startswith("Redis 7.0.")
    assert "may lose threads" in line


def test_doctor_says_why_a_server_can_not_be_reached(free_port: int) -> None:
    with pytest.raises(StoreUnavailable, match=f"can't be reached.*{free_port}"):
        asyncio.run(check_redis(f"redis://127.0.0.1:{free_port}"))
    with pytest.raises(ConfigurationError, match="The Redis address is wrong"):
        asyncio.run(check_redis("localhost:6379"))


def test_a_server_that_can_not_start_says_why_and_what_to_do(data: Path) -> None:
    asyncio.run(set_and_get(data))
    (data / "valkey" / "data" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense")
    with pytest.raises(ConfigurationError) as failure:
        asyncio.run(set_and_get(data))
    assert "PILOTHOUSE_REDIS=redis://" in str(failure.value)
    assert "manifest" in str(failure.value), "the end of the server's log"


def test_a_machine_without_the_binary_says_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(
        ConfigurationError, match=r"no embedded Valkey server for .* on riscv64. Set PILOTHOUSE_REDIS="
    ):
        asyncio.run(set_and_get(data))


def test_a_data_directory_that_can_not_be_made_is_named(data: Path) -> None:
    (data / "file").touch()
    with pytest.raises(ConfigurationError, match="file/valkey can't be made: File exists"):
        asyncio.run(set_and_get(data / "file"))


def test_the_socket_directory_of_somebody_else_is_refused(data: Path) -> None:
    long = data / ("a" * 120)
    asyncio.run(set_and_get(long))
    sockets = (long / "valkey" / "sockets").readlink()
    sockets.chmod(0o777)
    with pytest.raises(ConfigurationError, match="was made by somebody else"):
        asyncio.run(set_and_get(long))
    sockets.rmdir()
