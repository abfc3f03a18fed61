"""Run an ASGI app on a free loopback port, inside a test."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp


class LoopbackServer:
    """`async with LoopbackServer(app) as server:` then `server.url`. The port takes connections from the first line on,
    and none after the last; answers that are still being written then are cut off after a second."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self.port = port
        """0 until the server is entered, where none was asked for."""
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
            )
        )
        self._tasks = asyncio.TaskGroup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self.port = int(self._listener.getsockname()[1])
        await self._tasks.__aenter__()
        self._tasks.create_task(self._uvicorn.serve(sockets=[self._listener]))
        async with asyncio.timeout(10):
            await self._uvicorn.ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._uvicorn.should_exit = True
        # Without the body's error: it reaches the caller as it is, not in a group.
        await self._tasks.__aexit__(None, None, None)
        self._listener.close()


class _Uvicorn(uvicorn.Server):
    """Says when it listens, and leaves the process's signals to whoever runs the test."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
