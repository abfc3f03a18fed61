"""A whole server with a scripted model, and a collector of what it measures."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from tests.server.conftest import Silent
from tests.telemetry.receiver import Receiver

from pilothouse.settings import load
from pilothouse.testing.loopback import LoopbackServer
from pilothouse.testing.model_servers import ModelServer
from pilothouse.wiring import open_app

DEADLINE_SECONDS = 50
AGENTS = """
model = "ollama/scripted"
[agents.assistant]
tools = ["calculate"]
[agents.echo]
function = "./functions.py:echo"
[agents.broken]
function = "./functions.py:broken"
"""
FUNCTIONS = """
async def echo(messages):
    yield messages[-1].content

async def broken(messages):
    raise ValueError("the secret is " + messages[-1].content)
"""


@dataclass
class Instance:
    """One server of a scenario."""

    http: httpx.AsyncClient
    sdk: LangGraphClient


@dataclass
class Stage:
    """What a scenario has: a model, and instances as it wants them."""

    model: ModelServer
    open: Callable[[], AbstractAsyncContextManager[Instance]]


Scenario: TypeAlias = Callable[[Stage], Awaitable[None]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().serving() as receiver:
        yield receiver


@pytest.fixture
def play(tmp_path: Path, valkey_url: str) -> Callable[..., None]:
    """Plays a scenario; its instances have these variables of the environment besides."""

    def play(scenario: Scenario, **environ: str) -> None:
        async def on_stage() -> None:
            async with asyncio.timeout(DEADLINE_SECONDS), ModelServer() as model:
                (tmp_path / "pilothouse.toml").write_text(AGENTS)
                (tmp_path / "functions.py").write_text(FUNCTIONS)
                variables = {
                    "PILOTHOUSE_REDIS": valkey_url,
                    "PILOTHOUSE_DATA": str(tmp_path / "data"),
                    "OLLAMA_HOST": model.host,
                    **environ,
                }
                await scenario(Stage(model, lambda: _instance(tmp_path, variables)))

        asyncio.run(on_stage())

    return play


@asynccontextmanager
async def _instance(folder: Path, variables: dict[str, str]) -> AsyncGenerator[Instance]:
    settings = load(folder, environ=variables)
    async with (
        open_app(settings, Silent()) as app,
        LoopbackServer(app.asgi) as server,
        httpx.AsyncClient(base_url=server.url, timeout=20) as http,
        get_client(url=server.url, api_key=None) as sdk,
    ):
        yield Instance(http, sdk)
