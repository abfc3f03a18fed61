"""Servers of a page's test that the test itself scripts: they live on an event loop in a thread, since the browser's
driver is used without one."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from pilothouse.testing.model_servers import ModelServer

T = TypeVar("T")


class Loop:
    """An event loop in a thread."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def start(self, work: Coroutine[Any, Any, None]) -> Callable[[], None]:
        """Run it until the function that is returned is called."""
        running = asyncio.run_coroutine_threadsafe(work, self._loop)

        def stop() -> None:
            running.cancel()

        return stop


class Model:
    """A scripted model at a fixed port. Each request takes the next step of the script."""

    def __init__(self, loop: Loop, port: int) -> None:
        self._loop = loop
        self._server = ModelServer(port=port)
        self.reply = self._server.reply
        self.fail = self._server.fail

    def __enter__(self) -> Self:
        self._loop.do(self._open())
        return self

    async def _open(self) -> None:
        opened, self._closing = asyncio.Event(), asyncio.Event()
        self._serving = asyncio.create_task(self._serve(opened))  # noqa: TID251 - its parent is this object, which awaits it
        await opened.wait()

    async def _serve(self, opened: asyncio.Event) -> None:
        async with self._server:
            opened.set()
            await self._closing.wait()

    def __exit__(self, *_: object) -> None:
        self._loop.do(self._close())

    async def _close(self) -> None:
        self._closing.set()
        await self._serving

    def reply_in_two(self, text: str) -> Callable[[], None]:
        """The first word, and the rest when the function that is returned is called."""
        released = asyncio.Event()
        self._server.reply(text, hold=released)
        return lambda: self._loop.do(_set(released))

    def wait_for_requests(self, count: int) -> None:
        self._loop.do(asyncio.wait_for(self._server.wait_for_requests(count), 15))

    @property
    def questions(self) -> list[list[str]]:
        """What people had asked, at each request."""
        return [
            [str(message["content"]) for message in request.body["messages"] if message["role"] == "user"]
            for request in self._server.requests
        ]


async def _set(event: asyncio.Event) -> None:
    event.set()


class Cable:
    """Between the browser and the server: it can be cut, and mended."""

    def __init__(self, loop: Loop, server_port: int) -> None:
        self._loop = loop
        self._server_port = server_port
        self.port = 0

    def __enter__(self) -> Self:
        self._links: set[asyncio.StreamWriter] = set()
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def mend(self) -> None:
        self._loop.do(self._listen())

    def cut(self) -> None:
        self._loop.do(self._break())

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _break(self) -> None:
        self._listener.close()
        for writer in self._links:
            writer.transport.abort()
        await self._listener.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        self._links |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        finally:
            self._links -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
    except OSError:
        writer.transport.abort()
