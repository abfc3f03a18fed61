"""Each test begins with an empty Redis: a push is held for every run that there is."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
import redis
from tests.push.places import Pushed, pushed

Scenario: TypeAlias = Callable[[Pushed], Awaitable[None]]


@pytest.fixture(autouse=True)
def _empty_server(request: pytest.FixtureRequest) -> None:
    if "valkey_url" in request.fixturenames:
        with redis.Redis.from_url(request.getfixturevalue("valkey_url")) as client:
            client.flushall()


@pytest.fixture
def run(tmp_path: Path, valkey_url: str, free_port: int) -> Callable[..., None]:
    """Runs a scenario with a server that is pushed; settings of `[push]` beside."""

    async def serve(scenario: Scenario, push: dict[str, object]) -> None:
        async with pushed(tmp_path, valkey_url, free_port, **push) as place:
            await scenario(place)

    return lambda scenario, **push: asyncio.run(serve(scenario, push))


@pytest.fixture
def free_ports() -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return [int(probe.getsockname()[1]) for probe in probes]
