"""A front door as Cloud Run's with request-based billing: outside its requests a process stands still."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Self

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.processes import ServerProcess

from pilothouse.server.streams import Streaming
from pilothouse.testing.loopback import LoopbackServer


@dataclass
class _Instance:
    server: ServerProcess
    grace: float
    open: int = 0
    """Requests under way."""
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    _timer: asyncio.TimerHandle | None = None

    def enter(self) -> None:
        self.open += 1
        if self._timer is not None:
            self._timer.cancel()
        self.server.process.send_signal(signal.SIGCONT)
        self.frozen.clear()

    def leave(self) -> None:
        self.open -= 1
        if not self.open:
            self._timer = asyncio.get_running_loop().call_later(self.grace, self.freeze)

    def freeze(self) -> None:
        self.server.process.send_signal(signal.SIGSTOP)
        self.frozen.set()


class FrontDoor:
    """Requests go to one instance after the other, which has CPU while one is open, and `grace` seconds longer."""

    def __init__(self, port: int, grace: float) -> None:
        self._grace = grace
        self._instances: list[_Instance] = []
        self._turns = iter(cycle(self._instances))
        self._http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))
        self._server = LoopbackServer(self, port)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__(None, None, None)
        await self._http.aclose()

    @asynccontextmanager
    async def guard(self, *servers: ServerProcess) -> AsyncIterator[None]:
        """Freeze these now; after the block they go on."""
        self._instances.extend(_Instance(server, self._grace) for server in servers)
        self._turns = iter(cycle(self._instances))
        try:
            for instance in self._instances:
                instance.freeze()
            yield
        finally:
            for instance in self._instances:
                instance.enter()

    async def until_frozen(self) -> None:
        for instance in self._instances:
            await instance.frozen.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, instance = Request(scope, receive), next(self._turns)
        instance.enter()
        try:
            headers = [(name, value) for name, value in request.headers.raw if name != b"host"]
            url = instance.server.url + request.url.path
            async with self._http.stream(
                request.method, url, headers=headers, content=await request.body()
            ) as reply:
                kept = [pair for pair in reply.headers.raw if pair[0].lower() != b"transfer-encoding"]
                if reply.headers["content-type"].startswith("text/event-stream"):
                    await Streaming(_chunks(reply), kept)(scope, receive, send)
                else:
                    await reply.aread()
                    await Response(reply.content, reply.status_code, dict(reply.headers))(
                        scope, receive, send
                    )
        finally:
            instance.leave()


async def _chunks(reply: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for chunk in reply.aiter_raw():
        yield chunk
