"""An instance: one `pilothouse serve`, from its start to its end."""

import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from enum import Enum

from pilothouse.simulation.events import Events
from pilothouse.simulation.options import Options
from pilothouse.simulation.processes import Leash, signal_group

HOST = "127.0.0.1"
START = timedelta(minutes=4)
"""Cloud Run's: so long may an instance take until it is ready."""
GRACE = timedelta(seconds=10)
"""Cloud Run's: from SIGTERM to SIGKILL."""
_PROBE_SECONDS = 0.02
_PROBE = f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
_LOG_TAIL_BYTES = 1_000
_PORTS = range(12_000, 32_000)


class State(Enum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    ENDED = "ended"


class Instance:
    """`given` counts the requests that it was given, `in_flight` those of them that are not answered; `connections` are the
    front door's to it."""

    def __init__(self, number: int, revision: str, options: Options, events: Events) -> None:
        self.number = number
        self.port = _free_port()
        self.log = options.logs / f"instance-{number}.log"
        self.state = State.STARTING
        self.startup = timedelta()
        """How long it took until it was ready."""
        self.in_flight = 0
        self.given = 0
        self.idle_since = 0.0
        self.connections: set[asyncio.WriteTransport] = set()
        self.settled = asyncio.Event()
        """It is ready, or will never be."""
        self.ended = asyncio.Event()
        self._revision = revision
        self._options = options
        self._events = events
        self._process: asyncio.subprocess.Process | None = None
        self._pauses: set[str] = set()

    @property
    def url(self) -> str:
        """Past the front door."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_frozen(self) -> bool:
        return bool(self._pauses)

    async def live(self, leash: Leash, on_change: Callable[[], None]) -> None:
        """Start it and return when it has ended; `on_change` is called after each change of its state."""
        try:
            async with leash.process(self._command(), self._environ(), self.log) as process:
                self._process = process
                if self.state is not State.STARTING:  # told to stop before there was anything to tell
                    return
                self._events.record(self.number, "started", f"(process {process.pid}, port {self.port})")
                await self._become_ready(process, on_change)
                await process.wait()
        finally:
            self._end(on_change)

    async def _become_ready(self, process: asyncio.subprocess.Process, on_change: Callable[[], None]) -> None:
        began = time.monotonic()
        if await _answers(process, self.port):
            if self.state is State.STARTING:
                self.startup = timedelta(seconds=time.monotonic() - began)
                self.state = State.READY
                self.idle_since = time.monotonic()
                self._events.record(self.number, "ready", f"in {self.startup.total_seconds():.1f} s")
                self.settled.set()
                on_change()
        elif self.state is State.STARTING:
            self._events.record(self.number, "failed", f"to start; its log is {self.log}")
            signal_group(process, signal.SIGKILL)

    def _end(self, on_change: Callable[[], None]) -> None:
        self.state = State.ENDED
        status = self._process.returncode if self._process else None
        self._events.record(self.number, "ended", _ending(status))
        self.settled.set()
        self.ended.set()
        on_change()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when it has ended. It has CPU meanwhile, and gets no request."""
        if self.state in (State.STARTING, State.READY):
            self.state = State.STOPPING
            self.settled.set()
            self._events.record(self.number, "stopping")
            self._signal(signal.SIGTERM)
        if self._pauses:
            self._pauses.clear()
            self._signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(GRACE.total_seconds()):
                await self.ended.wait()
        except TimeoutError:
            await self.kill("after 10 s")

    async def kill(self, detail: str = "") -> None:
        """SIGKILL, with no warning."""
        if self.state is not State.ENDED:
            self.state = State.STOPPING
            self._events.record(self.number, "killed", detail)
            self._signal(signal.SIGKILL)
            await self.ended.wait()

    def pause(self, reason: str) -> None:
        """SIGSTOP, until there is no reason left."""
        if self.state is not State.READY or reason in self._pauses:
            return
        if not self._pauses:
            self._signal(signal.SIGSTOP)
            self._events.record(self.number, "frozen", f"({reason})")
        self._pauses.add(reason)

    def resume(self, reason: str) -> None:
        """SIGCONT, unless another reason keeps it frozen."""
        if reason in self._pauses:
            self._pauses.remove(reason)
            if not self._pauses:
                self._signal(signal.SIGCONT)
                self._events.record(self.number, "continued")

    def cut(self) -> None:
        """Break all connections between the front door and it, in both directions at once."""
        self._events.record(self.number, "cut", f"({len(self.connections)} connections)")
        for connection in list(self.connections):
            connection.abort()

    def last_words(self) -> str:
        written = self.log.read_bytes() if self.log.exists() else b""
        return written[-_LOG_TAIL_BYTES:].decode(errors="replace").strip() or "(nothing)"

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            signal_group(self._process, number)

    def _command(self) -> Sequence[str]:
        return self._options.command or [
            sys.executable,
            *("-m", "pilothouse", "serve", str(self._options.path)),
            *("--host", HOST),  # with K_SERVICE the default is every interface
            *("--port", str(self.port)),
            *("--data", str(self._options.data)),
            *self._options.arguments,
        ]

    def _environ(self) -> Mapping[str, str]:
        environ = self._options.environ
        if environ is None:
            environ = dict(os.environ)  # noqa: TID251  it is handed on, not read
        service = self._revision.rpartition("-")[0]
        return {
            **environ,
            "PORT": str(self.port),
            "K_SERVICE": service,
            "K_CONFIGURATION": service,
            "K_REVISION": self._revision,
            "PILOTHOUSE_REDIS": self._options.redis or "",
        }


async def _answers(process: asyncio.subprocess.Process, port: int) -> bool:
    """Wait until it does; False if it ended, or took longer than Cloud Run waits."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START.total_seconds()):
            while process.returncode is None:
                if await _probe(port):
                    return True
                await asyncio.sleep(_PROBE_SECONDS)
    return False


async def _probe(port: int) -> bool:
    """The startup probe: TCP, then `/ok`."""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(_PROBE)
            return b" 200 " in await reader.readline()
        finally:
            writer.transport.abort()
    return False


def _free_port() -> int:
    """None of those that the system gives to connections: one could have it before the instance listens there."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


def _ending(status: int | None) -> str:
    if status is None:
        return "before it began"
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
