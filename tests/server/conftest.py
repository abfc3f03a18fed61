"""A whole server, on a real socket, with agents of these tests."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import msgspec
import pytest
from langgraph_sdk import get_client
from tests.server.serving import Served

from pilothouse.settings import load
from pilothouse.testing.loopback import LoopbackServer
from pilothouse.wiring import open_app

DEADLINE_SECONDS = 50


class Silent:
    """Hears what is being prepared, and says nothing."""

    def say(self, message: str) -> None: ...

    def advance(self, done: int, total: int, label: str) -> None: ...


Scenario: TypeAlias = Callable[[Served], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path, valkey_url: str) -> Callable[..., None]:
    """Runs a scenario with a server; settings that it needs are given as variables of the environment, or as `changes`."""

    async def serve(scenario: Scenario, changes: dict[str, Any], environ: dict[str, str]) -> None:
        settings = load(
            Path(__file__).parent / "agents",
            environ={"PILOTHOUSE_REDIS": valkey_url, "PILOTHOUSE_DATA": str(tmp_path / "data"), **environ},
        )
        settings = msgspec.structs.replace(settings, **changes)
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            open_app(settings, Silent()) as app,
            LoopbackServer(app.asgi) as server,
            httpx.AsyncClient(base_url=server.url, timeout=20) as http,
            get_client(url=server.url, api_key=None) as sdk,
        ):
            await scenario(Served(server.url, http, sdk, tmp_path))

    def run_scenario(scenario: Scenario, changes: dict[str, Any] | None = None, **environ: str) -> None:
        asyncio.run(serve(scenario, changes or {}, environ))

    return run_scenario
