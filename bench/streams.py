"""How many clients one instance can stream to at once, what an idle stream holds in memory, and how soon first tokens come.

    python -m bench.streams [--clients 500] [--rate 50] [--seconds 20] [--write]

Needs Linux. This process is the load driver and does nothing else: the server is one of its own.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from bench.chaos.cluster import free_port
from bench.chaos.figures import median, percentile
from bench.load import Connection, drive
from bench.processes import Server, serving

HERE = Path(__file__).parent
AGENT = HERE / "agents" / "lg"
TOKENS = 100
DEADLINE = 120.0
HEARTBEAT_SECONDS = 15
"""So often does a stream say that it lives."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CONNECTING_AT_ONCE = 50

MEMORY_TARGET_KB = 60.0
FIRST_TARGET_MS = 500.0


class Stream:
    """One client, and the run that it started and follows."""

    def __init__(self, port: int) -> None:
        self.thread_id = str(uuid4())
        self.begun = asyncio.Event()
        self.first: float | None = None
        """When the first token came."""
        self.tokens = 0
        self.heartbeats = 0
        self.ended = False
        self._port = port
        self._connection = Connection()
        self._tail = b""
        self._newest = b""

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._connection, "127.0.0.1", self._port)

    async def run(self, **more: object) -> None:
        """Start a run and follow it to its end. Raises when the connection is cut."""
        body = {
            "assistant_id": "agent",
            "input": {"messages": [{"role": "user", "content": "hello"}]},
            "stream_mode": ["messages-tuple"],
            "if_not_exists": "create",
            **more,
        }
        path, data = f"/threads/{self.thread_id}/runs/stream", json.dumps(body).encode()
        status = await self._connection.post(path, "application/json", data, self._on_body)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {self._newest[:300]!r}")

    def _on_body(self, body: bytes) -> None:
        data = self._tail + body
        found = data.count(b"tok ") - self._tail.count(b"tok ")
        if found and self.first is None:
            self.first = time.perf_counter()
        self.tokens += found
        self.heartbeats += data.count(b"heartbeat") - self._tail.count(b"heartbeat")
        self.ended = self.ended or b"event: end" in data
        self._tail, self._newest = data[-9:], body
        self.begun.set()

    def close(self) -> None:
        self._connection.close()


@contextmanager
def server(environment: Mapping[str, str] | None = None) -> Generator[tuple[Server, int]]:
    """An instance with its embedded servers, ready; and its port."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name) / "agent", free_port()
        shutil.copytree(AGENT, folder, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-m", "pilothouse", "serve", ".", "--port", str(port), "--data", "./data"]
        with serving(command, folder, {"FAKE_TOKENS": str(TOKENS), **(environment or {})}) as process:
            process.wait_until_healthy(f"http://127.0.0.1:{port}/ok")
            yield process, port


def rss_kb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1024


@asynccontextmanager
async def idle_streams(port: int, count: int) -> AsyncGenerator[list[Stream], None]:
    """Streams of runs that are not due for an hour, each of its own thread; open and quiet."""
    streams = [Stream(port) for _ in range(count)]
    room = asyncio.Semaphore(_CONNECTING_AT_ONCE)

    async def follow(stream: Stream) -> None:
        with suppress(OSError):  # a stream that is cut is not `ended`, and so counts as dropped
            await stream.run(after_seconds=3600)

    async with asyncio.TaskGroup() as group:

        async def open_one(stream: Stream) -> None:
            async with room, asyncio.timeout(DEADLINE):
                await stream.connect()
                group.create_task(follow(stream))
                await stream.begun.wait()

        await asyncio.gather(*map(open_one, streams))
        try:
            yield streams
        finally:
            for stream in streams:
                stream.close()


async def cancel_all(port: int, streams: Sequence[Stream]) -> int:
    """Cancel each one's run. How many streams were told the end of theirs: the others were dropped."""
    control = Connection()
    await asyncio.get_running_loop().create_connection(lambda: control, "127.0.0.1", port)
    for stream in streams:
        body = json.dumps({"thread_id": stream.thread_id}).encode()
        await control.post("/runs/cancel", "application/json", body, lambda _: None)
    control.close()
    await _until(lambda: all(stream.ended for stream in streams), 10)
    return sum(stream.ended for stream in streams)


async def _until(holds: Callable[[], bool], within: float) -> None:
    """Or until the time is up."""
    deadline = time.monotonic() + within
    while not holds() and time.monotonic() < deadline:  # noqa: ASYNC110  # counters set no events
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Idle:
    clients: int
    kb_each: float
    heard_heartbeats: int
    alive: int


async def measure_idle(process: Server, port: int, clients: int, *, hold: bool) -> Idle:
    """Hold: until each has had a heartbeat."""
    async with idle_streams(port, 20) as warm_up:
        await cancel_all(port, warm_up)
    await drive("agent-protocol", port, runs=20, at_once=4, tokens=TOKENS)
    before = rss_kb(process.pid)
    async with idle_streams(port, clients) as streams:
        if hold:
            await _until(lambda: all(one.heartbeats for one in streams), 2 * HEARTBEAT_SECONDS)
        each = (rss_kb(process.pid) - before) / clients
        heard = sum(one.heartbeats > 0 for one in streams)
        return Idle(clients, each, heard, await cancel_all(port, streams))


async def measure_streaming(port: int, clients: int) -> int:
    """How many of so many clients, each with a run of its own and all at once, saw every token and the end."""
    streams, failures = [Stream(port) for _ in range(clients)], list[Exception]()

    async def one(stream: Stream) -> None:
        try:
            await stream.connect()
            await stream.run()
        except (OSError, RuntimeError) as error:
            failures.append(error)
        stream.close()

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*map(one, streams))
    if failures:
        say(f"{len(failures)} failed, the first with {failures[0]}")
    return sum(stream.ended and stream.tokens == TOKENS for stream in streams)


@dataclass(frozen=True)
class Arrivals:
    rate: float
    first_ms: Sequence[float]
    """From the moment at which the run was due to be asked for."""
    failed: int
    cpu: float
    """The part of a core that the server took."""


async def measure_arrivals(process: Server, port: int, rate: float, seconds: float) -> Arrivals:
    """New runs at this rate, whether earlier ones have ended or not."""
    count = int(rate * seconds)
    streams = [Stream(port) for _ in range(count)]
    first_ms: list[float] = []

    async def one(stream: Stream, due: float) -> None:
        with suppress(OSError, RuntimeError):
            await stream.connect()
            await stream.run()
        stream.close()
        if stream.first is not None and stream.ended:
            first_ms.append((stream.first - due) * 1000)

    cpu, started = process.cpu_seconds(), time.perf_counter()
    async with asyncio.timeout(DEADLINE + seconds), asyncio.TaskGroup() as group:
        for number, stream in enumerate(streams):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(stream, due))
    busy = (process.cpu_seconds() - cpu) / (time.perf_counter() - started)
    return Arrivals(rate, first_ms, count - len(first_ms), busy)


async def saturating_rate(port: int) -> float:
    """Runs a second, 20 at a time: more than this a core can't do."""
    figures = await drive("agent-protocol", port, runs=300, at_once=20, tokens=TOKENS)
    if figures.errors:
        raise RuntimeError(figures.errors[0])
    return figures.runs_per_second


def say(what: str) -> None:
    sys.stderr.write(what + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.streams", description="Stream to many clients at once."
    )
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50, help="new runs a second")
    parser.add_argument("--seconds", type=float, default=20, help="for so long")
    parser.add_argument("--write", action="store_true", help="write the table to bench/STREAMS.md")
    asked = parser.parse_args()

    many = {"PILOTHOUSE_CONCURRENCY": str(asked.clients)}
    with server({"FAKE_DELAY_MS": "100", **many}) as (process, port):
        say(f"{asked.clients} idle streams")
        idle = asyncio.run(measure_idle(process, port, asked.clients, hold=True))
        say(f"{asked.clients} clients, each with a run of its own")
        whole = asyncio.run(measure_streaming(port, asked.clients))
    with server() as (process, port):
        say("the rate that saturates the core")
        asyncio.run(drive("agent-protocol", port, runs=40, at_once=4, tokens=TOKENS))
        saturating = asyncio.run(saturating_rate(port))
        rate = min(asked.rate, saturating)
        say(f"{rate:.0f} new runs a second for {asked.seconds:g} s")
        arrivals = asyncio.run(measure_arrivals(process, port, rate, asked.seconds))
    table = render(idle, whole, saturating, arrivals)
    print(table)
    if asked.write:
        (HERE / "STREAMS.md").write_text(table)
    good = (
        idle.alive == whole == asked.clients
        and idle.kb_each < MEMORY_TARGET_KB
        and not arrivals.failed
        and percentile(arrivals.first_ms, 99) < FIRST_TARGET_MS
    )
    raise SystemExit(not good)


def render(idle: Idle, whole: int, saturating: float, arrivals: Arrivals) -> str:
    first = arrivals.first_ms
    rows = [
        (
            f"idle streams open at once, of {idle.clients}",
            f"{idle.alive}, {idle.heard_heartbeats} heard a heartbeat",
        ),
        ("memory of an idle stream", f"{idle.kb_each:.1f} KB (at most {MEMORY_TARGET_KB:g})"),
        (f"clients that streamed a run each at once and saw all of it, of {idle.clients}", str(whole)),
        ("runs a second that saturate the core", f"{saturating:.0f}"),
        (
            f"first token at {arrivals.rate:.0f} new runs a second",
            f"{median(first):.0f} ms median, {percentile(first, 99):.0f} ms p99 (at most {FIRST_TARGET_MS:g})",
        ),
        ("runs of these that failed", str(arrivals.failed)),
        ("CPU meanwhile", f"{arrivals.cpu:.0%} of a core, Redis and guard included"),
    ]
    lines = ["| what | figure |", "| --- | --- |", *(f"| {name} | {figure} |" for name, figure in rows)]
    how = f"One instance with its embedded Valkey; {TOKENS} tokens a run. `python -m bench.streams --write` repeats it."
    return "\n".join(["# Streams: the last reading", "", how, "", *lines]) + "\n"


if __name__ == "__main__":
    main()
