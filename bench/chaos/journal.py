"""What agents and tools really did, kept outside of every server: an HTTP server that writes down what it is told."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """`at` is a moment (Unix milliseconds, when it arrived here)."""

    at_ms: float
    facts: dict[str, Any]


class Journal:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.url = ""
        self._changed = asyncio.Condition()

    def of(self, what: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.facts.get("at") == what]

    async def wait_for(self, what: str, count: int = 1, *, within: float = 20, **facts: Any) -> Entry:
        """The `count`-th entry of this kind with these facts, as soon as it is there."""

        def found() -> list[Entry]:
            return [entry for entry in self.of(what) if facts.items() <= entry.facts.items()]

        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. A request to `/hang…` is written down and never answered."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *headers = head.decode("latin-1").split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in headers if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                path = request.split()[1]
                facts = {"at": path} if path.startswith("/hang") else json.loads(body)
                self.entries.append(Entry(time.time() * 1000, facts))
                async with self._changed:
                    self._changed.notify_all()
                if path.startswith("/hang"):
                    await reader.read()
                    break
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                if fields.get("connection") == "close":
                    break
        writer.close()


@asynccontextmanager
async def journal() -> AsyncGenerator[Journal]:
    one = Journal()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, backlog=1000)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
