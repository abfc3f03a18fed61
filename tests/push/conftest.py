"""Each test begins with an empty Redis: a push is held for every run that there is."""

import asyncio
from collections.abc import Awaitable, Callable
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
