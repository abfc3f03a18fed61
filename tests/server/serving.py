"""What the tests of the server talk to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient


@dataclass
class Gate:
    """Where an agent waits (see `agents.graphs.EchoModel`) until it is let through."""

    path: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def word(self) -> str:
        return f"gate:{self.path}"

    def open(self) -> None:
        self._open.set()

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached.set()
        await self._open.wait()
        writer.write(b"\n")
        writer.close()


@dataclass
class Served:
    url: str
    http: httpx.AsyncClient
    sdk: LangGraphClient
    folder: Path

    @asynccontextmanager
    async def gate(self) -> AsyncGenerator[Gate]:
        gate = Gate(str(self.folder / "gate"))
        async with await asyncio.start_unix_server(gate.hold, gate.path):
            try:
                yield gate
            finally:
                gate.open()

    async def thread(self, **fields: Any) -> str:
        return str((await self.sdk.threads.create(**fields))["thread_id"])


def says(text: str) -> dict[str, Any]:
    """An input: a person says this."""
    return {"messages": [{"role": "user", "content": text}]}
