import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.server.serving import Served
from tests.streaming_v2.instances import instance

DEADLINE_SECONDS = 50

Scenario: TypeAlias = Callable[[Served], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path, valkey_url: str) -> Callable[[Scenario], None]:
    """Runs a scenario with a server."""

    async def serve(scenario: Scenario) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), instance(valkey_url, tmp_path) as served:
            await scenario(served)

    return lambda scenario: asyncio.run(serve(scenario))
