"""Real processes that have CPU only while they answer a request, as on Cloud Run with request-based billing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis
from tests.processes import serving
from tests.push.freezing import FrontDoor
from tests.push.places import Google, google, run_of, start, status, write_configuration

RUNS = 10


@dataclass
class Place:
    http: httpx.AsyncClient
    google: Google
    door: FrontDoor

    async def until_left_alone(self) -> None:
        """No push is asked for or held, and every process is frozen."""
        await self.google.tasks.until(lambda tasks: bool(tasks.dispatches) and not tasks.kept)
        await self.door.until_frozen()

    async def statuses(self, paths: list[str]) -> list[str]:
        return await asyncio.gather(*(status(self.http, path) for path in paths))


@asynccontextmanager
async def frozen_outside_requests(
    folder: Path, redis_url: str, ports: list[int], *, pushes: bool = True, grace: float = 0.1
) -> AsyncIterator[Place]:
    door_port, *ports = ports
    url = f"http://127.0.0.1:{door_port}"
    env = {"PILOTHOUSE_REDIS": redis_url}
    async with (
        asyncio.timeout(50),
        google() as cloud,
        FrontDoor(door_port, grace) as door,
        httpx.AsyncClient(base_url=url, timeout=40) as http,
    ):
        root = write_configuration(folder / "served", cloud if pushes else None, url)
        starting = [serving(root, port=port, data=folder / "data", env=env) for port in ports]
        servers = await asyncio.gather(*(asyncio.to_thread(server.__enter__) for server in starting))
        try:
            async with door.guard(*servers):
                yield Place(http, cloud, door)
        finally:
            for server, started in zip(servers, starting, strict=True):
                server.kill()
                started.__exit__(None, None, None)


def test_background_runs_are_executed_though_no_client_is_there(
    tmp_path: Path, valkey_url: str, free_ports: list[int]
) -> None:
    async def main() -> None:
        async with frozen_outside_requests(tmp_path, valkey_url, free_ports[:2]) as place:
            paths = [await start(place.http, "slow", "20") for _ in range(RUNS)]
            await place.until_left_alone()
            assert await place.statuses(paths) == ["success"] * RUNS

    asyncio.run(main())


def test_without_a_push_they_make_no_headway(tmp_path: Path, valkey_url: str, free_ports: list[int]) -> None:
    async def main() -> None:
        async with frozen_outside_requests(tmp_path, valkey_url, free_ports[:2], pushes=False) as place:
            paths = [await start(place.http, "slow", "20") for _ in range(RUNS)]
            await place.door.until_frozen()
            await asyncio.sleep(4)  # twice as long as they need
            assert "success" not in await place.statuses(paths)

    asyncio.run(main())


def test_a_run_goes_on_when_the_client_that_followed_it_has_gone(
    tmp_path: Path, valkey_url: str, free_ports: list[int]
) -> None:
    async def main() -> None:
        async with frozen_outside_requests(tmp_path, valkey_url, free_ports[:2], grace=0.5) as place:
            await start(place.http, "slow", "1")  # the instance has begun: its client of Cloud Tasks is open
            await place.until_left_alone()
            async with place.http.stream("POST", "/runs/stream", json=run_of("slow", "20")) as stream:
                await anext(stream.aiter_bytes())
                path = stream.headers["content-location"]
            await place.google.statuses(2)
            await place.until_left_alone()
            assert await place.statuses([path]) == ["success"]

    asyncio.run(main())


async def until_nobody_waits(redis_url: str) -> None:
    """Until no frozen process has a read open, which would be given the next run."""
    with redis.Redis.from_url(redis_url) as client:
        while True:
            if client.info("clients")["blocked_clients"] == 0:
                return
            await asyncio.sleep(0.05)


@pytest.mark.slow
def test_a_run_goes_on_elsewhere_when_the_push_reaches_another_instance_than_its_own(
    tmp_path: Path, valkey_url: str, free_ports: list[int]
) -> None:
    async def main() -> None:
        async with frozen_outside_requests(tmp_path, valkey_url, free_ports[:3]) as place:
            await until_nobody_waits(valkey_url)
            path = await start(place.http, "slow", "20")
            await place.until_left_alone()
            assert await place.statuses([path]) == ["success"]
            thread, _, run = path.removeprefix("/threads/").partition("/runs/")
            log = await place.http.get(f"/threads/{thread}/runs/{run}/stream")
            assert '"attempt":2' in log.text

    asyncio.run(main())
