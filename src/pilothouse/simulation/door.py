"""The front door: takes requests from clients and has each answered by an instance that has room.

Until the first byte of a reply has gone to the client, what goes wrong is answered with a status; after it, the connection to the
client is cut, so that nobody takes a part for the whole. A client that goes away ends its request at once; the instance
learns of that, and of a timeout, by the end of its connection only.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from pilothouse.errors import TooBusy
from pilothouse.simulation.exchanges import Exchange, InstanceGone
from pilothouse.simulation.fleet import Fleet
from pilothouse.simulation.messages import MAX_HEAD_BYTES, BadMessage, read_head
from pilothouse.simulation.options import Options

_GONE = "The instance ended before it answered."
_TIMEOUT = "The request timeout is over."
_BAD = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

_Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Task[None]"]


class FrontDoor:
    def __init__(self, options: Options, fleet: Fleet) -> None:
        self._options = options
        self._fleet = fleet

    @asynccontextmanager
    async def open(self, listener: socket.socket) -> AsyncGenerator[None]:
        """Take requests until the end of the block; those that are under way then are cut off."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            clients: set[asyncio.Task[None]] = set()

            def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> asyncio.Task[None]:
                task = tasks.create_task(self._serve(reader, writer, tasks))
                clients.add(task)
                task.add_done_callback(clients.discard)
                return task

            self._server = await loop.create_server(lambda: _Client(serve), sock=listener)
            try:
                yield
            finally:
                self.close()
                for task in clients:
                    task.cancel()

    def close(self) -> None:
        """Take no more connections; those that there are go on."""
        self._server.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tasks: asyncio.TaskGroup
    ) -> None:
        """One request after the other. The end of the client's connection cancels this task."""
        try:
            while (head := await read_head(reader)) is not None:
                exchange = Exchange(head, reader, writer)
                await self._answer(exchange, tasks)
                if not exchange.keeps_alive:
                    break
        except BadMessage:
            writer.write(_BAD)
        except (OSError, InstanceGone):
            writer.transport.abort()
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange, tasks: asyncio.TaskGroup) -> None:
        """Raises `InstanceGone` where the connection must be cut."""
        try:
            async with (
                asyncio.timeout(self._options.timeout.total_seconds()),
                self._fleet.place(exchange.pinned) as instance,
            ):
                await exchange.pass_to(instance, tasks, affinity=self._options.session_affinity)
        except TooBusy as error:
            await exchange.refuse(429, str(error))
        except (TimeoutError, InstanceGone) as error:
            if exchange.has_begun:
                raise
            timed_out = isinstance(error, TimeoutError)
            await exchange.refuse(504 if timed_out else 503, _TIMEOUT if timed_out else _GONE)


class _Client(asyncio.StreamReaderProtocol):
    """A client's connection: its end cancels the task that serves it."""

    def __init__(self, serve: _Serve) -> None:
        super().__init__(asyncio.StreamReader(limit=MAX_HEAD_BYTES), self._connected)
        self._serve = serve
        self._serving: asyncio.Task[None] | None = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving = self._serve(reader, writer)

    def eof_received(self) -> bool:
        super().eof_received()
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end()

    def _end(self) -> None:
        if self._serving:
            self._serving.cancel()
            self._serving = None
