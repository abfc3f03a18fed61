"""Drives one host: runs of the fake agent, each on a new thread or session, and how long they took.

A run counts only when all of its tokens were seen. The client is a few lines over httptools, for it shares the machine
with what it measures.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

RUN_DEADLINE = 120.0
"""Seconds."""


class Connection(asyncio.Protocol):
    """One request at a time over a connection that is kept."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if hasattr(self, "_ended") and not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("the server closed the connection"))

    def on_body(self, body: bytes) -> None:
        self._on_body(body)

    def on_message_complete(self) -> None:
        if not self._ended.done():
            self._ended.set_result(self._parser.get_status_code())

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def post(self, path: str, content_type: str, body: bytes, on_body: Callable[[bytes], None]) -> int:
        """The status, once the reply is there to its end."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._on_body = on_body
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        self._transport.write(head.encode() + b"\r\n" + body)
        return await self._ended

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Client:
    """One user of a host: runs the agent, one run after the other."""

    def __init__(self, wire: str, port: int, tokens: int) -> None:
        self._wire = wire
        self._port = port
        self._tokens = tokens
        self._connection = Connection()

    async def run(self) -> tuple[float, float]:
        """Seconds to the first token, and to the end. Raises when a token is missing."""
        started = time.perf_counter()
        first, seen, tail = 0.0, 0, b""

        def count(body: bytes) -> None:
            nonlocal first, seen, tail
            data = tail + body
            found = data.count(b"tok ")
            if found and not seen:
                first = time.perf_counter()
            seen += found
            tail = data[-3:]

        async with asyncio.timeout(RUN_DEADLINE):
            await WIRES[self._wire](self, count)
        if seen < self._tokens:
            raise RuntimeError(f"only {seen} of {self._tokens} tokens came")
        return first - started, time.perf_counter() - started

    async def post(
        self, path: str, body: object, on_body: Callable[[bytes], None] | None = None, *, form: bool = False
    ) -> bytes:
        if not self._connection.is_open:
            await asyncio.get_running_loop().create_connection(
                lambda: self._connection, "127.0.0.1", self._port
            )
        parts: list[bytes] = []
        status = await self._connection.post(
            path,
            "application/x-www-form-urlencoded" if form else "application/json",
            str(body).encode() if form else json.dumps(body).encode(),
            on_body or parts.append,
        )
        if status >= 300:
            raise RuntimeError(f"{path}: {status} {b''.join(parts)[:300]!r}")
        return b"".join(parts)

    def close(self) -> None:
        self._connection.close()


async def _agent_protocol(client: Client, count: Callable[[bytes], None]) -> None:
    thread_id = json.loads(await client.post("/threads", {}))["thread_id"]
    body = {
        "assistant_id": "agent",
        "input": {"messages": [{"role": "user", "content": "hello"}]},
        "stream_mode": ["messages-tuple"],
    }
    await client.post(f"/threads/{thread_id}/runs/stream", body, count)


async def _adk(client: Client, count: Callable[[bytes], None]) -> None:
    session = json.loads(await client.post("/apps/fake_agent/users/u/sessions", {}))["id"]
    body = {
        "app_name": "fake_agent",
        "user_id": "u",
        "session_id": session,
        "streaming": True,
        "new_message": {"role": "user", "parts": [{"text": "hello"}]},
    }
    await client.post("/run_sse", body, count)


async def _agno(client: Client, count: Callable[[bytes], None]) -> None:
    await client.post("/agents/agent/runs", "message=hello&stream=true", count, form=True)


async def _bare(client: Client, count: Callable[[bytes], None]) -> None:
    await client.post("/run", {"message": "hello"}, count)


WIRES = {"agent-protocol": _agent_protocol, "adk": _adk, "agno": _agno, "bare": _bare}


@dataclass
class Figures:
    """What a load came to."""

    wall_seconds: float = 0.0
    first_seconds: list[float] = field(default_factory=list)
    total_seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return len(self.total_seconds)

    @property
    def runs_per_second(self) -> float:
        return self.runs / self.wall_seconds

    @property
    def first_ms(self) -> float:
        """Median."""
        return sorted(self.first_seconds)[self.runs // 2] * 1000 if self.runs else float("nan")


async def drive(wire: str, port: int, *, runs: int, at_once: int, tokens: int) -> Figures:
    """That many runs, by that many users at once."""
    figures, left = Figures(), iter(range(runs))

    async def user() -> None:
        client = Client(wire, port, tokens)
        for _ in left:
            try:
                first, total = await client.run()
            except Exception as error:
                figures.errors.append(repr(error)[:300])
                client.close()
                client = Client(wire, port, tokens)
            else:
                figures.first_seconds.append(first)
                figures.total_seconds.append(total)
        client.close()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(user())
    figures.wall_seconds = time.perf_counter() - started
    return figures
