"""Simulated services, and gates that hold requests in them."""

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from tests.processes import environment

from pilothouse.simulation import CloudRun, Options

DEADLINE_SECONDS = 40


@dataclass
class Gate:
    """Holds the requests whose program connects to it; `left` when such a request's client has gone."""

    path: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached.set()
        telling = asyncio.ensure_future(self._listen(reader))
        await self.opened.wait()
        telling.cancel()
        writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        if await reader.readline() == b"left\n":
            self.left.set()


class Service:
    """A simulated service, with a client of its front door."""

    def __init__(self, run: CloudRun, http: httpx.AsyncClient, folder: Path, stack: AsyncExitStack) -> None:
        self.run = run
        self.http = http
        self._folder = folder
        self._stack = stack
        self._numbers = itertools.count()

    async def gate(self) -> Gate:
        gate = Gate(str(self._folder / f"gate{next(self._numbers)}"))
        await self._stack.enter_async_context(await asyncio.start_unix_server(gate.hold, gate.path))
        self._stack.callback(gate.opened.set)
        return gate

    async def held(self, **options: Any) -> tuple["asyncio.Task[httpx.Response]", Gate]:
        """A request that is in an instance, and the gate that holds it there."""
        gate = await self.gate()
        request = self.requesting(gate, **options)
        await gate.reached.wait()
        return request, gate

    def requesting(self, gate: Gate, **options: Any) -> "asyncio.Task[httpx.Response]":
        """A request that is on its way to the gate."""
        request = self.http.get("/hold", params={"gate": gate.path}, **options)
        return asyncio.ensure_future(request)

    async def about(self, **options: Any) -> Any:
        """What the program that answers says about the request and itself."""
        return (await self.http.get("/about", **options)).json()


Scenario: TypeAlias = Callable[[Service], Awaitable[None]]
Simulate: TypeAlias = Callable[..., None]


@asynccontextmanager
async def service(folder: Path, **options: Any) -> AsyncGenerator[Service]:
    program = (sys.executable, str(Path(__file__).with_name("program.py")))
    values = {"redis": "redis://unused", "command": program, "environ": environment()}
    values |= {"path": Path(__file__).parent, "data": folder, **options}
    async with CloudRun(Options(**values)) as run, AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=run.url, timeout=30))
        yield Service(run, http, folder, stack)


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Runs a scenario with a simulated service of these options."""

    async def simulated(scenario: Scenario, options: dict[str, Any]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS), service(tmp_path, **options) as served:
            await scenario(served)

    return lambda scenario, **options: asyncio.run(simulated(scenario, options))
