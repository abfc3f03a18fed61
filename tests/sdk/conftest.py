"""One server process for all tests of the SDKs, serving a project that was made for LangGraph's own server."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
from langgraph_sdk import get_client
from tests.processes import ServerProcess, serving
from tests.server.serving import Served

DEADLINE_SECONDS = 40

Scenario: TypeAlias = Callable[[Served], Awaitable[None]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    data = tmp_path_factory.mktemp("sdk") / "data"
    with serving(Path(__file__).parent / "project", port=port, data=data) as server:
        yield server


@pytest.fixture
def run(server: ServerProcess, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario with the SDK's client of the server."""

    async def connected(scenario: Scenario) -> None:
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            httpx.AsyncClient(base_url=server.url, timeout=30) as http,
            get_client(url=server.url, api_key=None) as sdk,
        ):
            await scenario(Served(server.url, http, sdk, tmp_path))

    return lambda scenario: asyncio.run(connected(scenario))
