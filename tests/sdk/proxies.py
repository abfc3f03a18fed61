"""Connections that break."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx


@dataclass
class CuttingProxy:
    """Passes TCP connections on, and cuts the first ones off in the middle of what the server sends."""

    target: httpx.URL
    after_bytes: int
    cuts_left: int
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self.target.host, self.target.port)
        up = asyncio.ensure_future(copy(reader, server_writer))
        down = asyncio.ensure_future(self._down(server_reader, writer))
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        server_writer.transport.abort()
        writer.transport.abort()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while data := await reader.read(4096):
            room = self.after_bytes - sent if self.cuts_left else len(data)
            writer.write(data[:room])
            await writer.drain()
            sent += len(data)
            if self.cuts_left and sent >= self.after_bytes:
                self.cuts_left -= 1
                return


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def cutting_proxy(target: str, *, after_bytes: int, cuts: int) -> AsyncGenerator[CuttingProxy]:
    proxy = CuttingProxy(httpx.URL(target), after_bytes, cuts)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy
