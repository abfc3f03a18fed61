"""A Cloud Run service on this machine: instances of the server behind a front door."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pilothouse.errors import ConfigurationError
from pilothouse.settings import Settings
from pilothouse.simulation.chaos import break_things
from pilothouse.simulation.cpu import CpuAlways, CpuDuringRequests
from pilothouse.simulation.door import FrontDoor
from pilothouse.simulation.events import Event, Events
from pilothouse.simulation.fleet import Fleet
from pilothouse.simulation.instances import HOST, Instance
from pilothouse.simulation.options import Options
from pilothouse.simulation.processes import Leash
from pilothouse.wiring.stores import redis_url

_BY_HAND = "by hand"


def _silent(_event: Event) -> None:
    pass


class CloudRun:
    """`async with CloudRun(Options(path=…, data=…, least=2)) as run:`, then `run.url` is the service.

    It is entered when the least instances are ready; raises `ConfigurationError` if one does not start. On leaving, the
    instances are stopped, which ends what requests they have, and no process is left. Nor is one if this process is killed.
    """

    def __init__(
        self,
        options: Options,
        *,
        listener: socket.socket | None = None,
        report: Callable[[Event], None] = _silent,
    ) -> None:
        """`listener` is where the front door is, by default a free port; `report` is told what happens to instances."""
        self._options = options
        self._listener = listener
        self._stack = AsyncExitStack()
        self.events = Events(report)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def instances(self) -> Sequence[Instance]:
        """Those that have not ended, oldest first."""
        return tuple(self._fleet.instances)

    @property
    def ready(self) -> Sequence[Instance]:
        """Those that are given requests, oldest first."""
        return tuple(self._fleet.ready)

    @property
    def longest_wait(self) -> timedelta:
        """So long does a request wait for an instance before it gets 429."""
        return self._fleet.longest_wait

    async def kill(self, instance: Instance) -> None:
        """SIGKILL; returns when it has ended. Another takes its place if it was one of the least, or is needed."""
        await instance.kill()

    async def stop(self, instance: Instance) -> None:
        """SIGTERM, also while it has requests, and SIGKILL after 10 seconds; returns when it has ended."""
        await instance.stop()

    def freeze(self, instance: Instance) -> None:
        """SIGSTOP: it is given requests as before and does not answer."""
        instance.pause(_BY_HAND)

    def thaw(self, instance: Instance) -> None:
        """SIGCONT."""
        instance.resume(_BY_HAND)

    def cut(self, instance: Instance) -> None:
        """Break the connections between the front door and it; the instance goes on."""
        instance.cut()

    async def restart(self) -> None:
        """A rolling restart, as a deploy makes one: for each instance a new one is started, and when that is ready the old
        one gets no more requests and SIGTERM. Raises `ConfigurationError` if a new one does not start."""
        await self._fleet.replace()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without the error: it is the caller's, and a task group would wrap it.
        await self._stack.aclose()

    async def _open(self) -> None:
        _make(self._options.logs)
        enter = self._stack.enter_async_context
        listener = self._listener or self._stack.enter_context(socket.create_server((HOST, 0)))
        self._port = int(listener.getsockname()[1])
        # The simulation holds the embedded Redis: it is there when no instance is, as a managed one would be.
        redis = await enter(redis_url(Settings(redis=self._options.redis, data=str(self._options.data))))
        options = msgspec.structs.replace(self._options, redis=redis)
        leash = await enter(Leash.held())
        tasks = await enter(asyncio.TaskGroup())
        cpu = CpuDuringRequests() if options.cpu == "request" else CpuAlways()
        self._fleet = Fleet(options, self.events, cpu, leash, tasks)
        door = FrontDoor(options, self._fleet)
        await enter(door.open(listener))
        self._stack.push_async_callback(self._fleet.stop_all)
        await self._fleet.start_least()
        background = [tasks.create_task(self._fleet.scale())]
        if options.chaos:
            background.append(
                tasks.create_task(break_things(lambda: self.ready, options.chaos, options.seed))
            )
        self._stack.callback(_cancel, background)
        self._stack.callback(door.close)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} can't be made: {error.strerror}. Choose another data directory with --data."
        ) from error


def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
