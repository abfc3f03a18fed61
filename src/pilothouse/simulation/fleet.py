"""The instances, and who gets a place in which.

Requests are handed out to the least busy instance that is ready and has room. Those that find none wait in a queue, first come
first served, until a place is free or they have waited too long. The number of instances follows the requests, as on Cloud
Run: so many that each is 60 % full.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from pilothouse.errors import ConfigurationError, TooBusy
from pilothouse.simulation.cpu import Cpu
from pilothouse.simulation.events import Events
from pilothouse.simulation.instances import Instance, State
from pilothouse.simulation.options import Options
from pilothouse.simulation.processes import Leash

_TARGET = 0.6
_SCALE_EVERY_SECONDS = 1.0
_SHORTEST_WAIT = timedelta(seconds=10)
_STARTUPS = 3.5
_LONGEST_PAUSE_SECONDS = 10.0


class Fleet:
    def __init__(
        self, options: Options, events: Events, cpu: Cpu, leash: Leash, tasks: asyncio.TaskGroup
    ) -> None:
        self.instances: list[Instance] = []
        """Those that have not ended, oldest first."""
        self._options = options
        self._events = events
        self._cpu = cpu
        self._leash = leash
        self._tasks = tasks
        self._waiting: deque[asyncio.Future[Instance]] = deque()
        self._begun = 0
        self._revision = 1
        self._startups: list[timedelta] = []
        self._failures = 0
        self._try_again_at = 0.0
        self._look = asyncio.Event()

    @property
    def ready(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.state is State.READY]

    @property
    def longest_wait(self) -> timedelta:
        """Of a request for an instance."""
        if self._options.longest_wait is not None:
            return self._options.longest_wait
        average = sum(self._startups, timedelta()) / max(len(self._startups), 1)
        return max(_SHORTEST_WAIT, _STARTUPS * average)

    @asynccontextmanager
    async def place(self, pinned: str | None) -> AsyncGenerator[Instance]:
        """A place in an instance, in the one of this name if it is there and has room. Raises `TooBusy`."""
        instance = None if self._waiting else self._take(pinned)
        instance = instance or await self._wait()
        try:
            yield instance
        finally:
            self._release(instance)

    def _take(self, pinned: str | None = None) -> Instance | None:
        free = [each for each in self.ready if each.in_flight < self._options.concurrency]
        chosen = next((each for each in free if str(each.number) == pinned), None)
        chosen = chosen or min(free, key=lambda each: (each.in_flight, each.given), default=None)
        if chosen:
            chosen.in_flight += 1
            chosen.given += 1
            self._cpu.busy(chosen)
        return chosen

    async def _wait(self) -> Instance:
        place: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._look.set()
        try:
            async with asyncio.timeout(self.longest_wait.total_seconds()):
                return await place
        except (TimeoutError, asyncio.CancelledError) as error:
            if place in self._waiting:
                self._waiting.remove(place)
            elif place.done() and not place.cancelled():
                self._release(place.result())  # it came at the same moment
            if isinstance(error, TimeoutError):
                raise TooBusy("Rate exceeded.") from error
            raise

    def _release(self, instance: Instance) -> None:
        instance.in_flight -= 1
        if not instance.in_flight:
            instance.idle_since = time.monotonic()
            self._cpu.idle(instance)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and (instance := self._take()):
            place = self._waiting.popleft()
            if place.done():
                self._release(instance)
            else:
                place.set_result(instance)

    def start(self) -> Instance:
        """One more, whatever the load."""
        self._begun += 1
        instance = Instance(self._begun, self._revision_name(), self._options, self._events)
        self.instances.append(instance)
        self._tasks.create_task(instance.live(self._leash, lambda: self._changed(instance)))
        return instance

    def _revision_name(self) -> str:
        service = self._options.path.resolve().name.lower() or "agents"
        return f"{service}-{self._revision:05}"

    def _changed(self, instance: Instance) -> None:
        if instance.state is State.READY:
            self._failures = 0
            self._startups.append(instance.startup)
            self._cpu.idle(instance)
            self._hand_out()
        elif instance.state is State.ENDED:
            self.instances.remove(instance)
            if not instance.startup:
                pause = min(2.0**self._failures, _LONGEST_PAUSE_SECONDS)
                self._failures += 1
                self._try_again_at = time.monotonic() + pause
        self._look.set()

    async def start_least(self) -> None:
        """Those that are there always; returns when they are ready. Raises `ConfigurationError` if one does not start."""
        for instance in [self.start() for _ in range(self._options.least)]:
            await self._started(instance)

    async def _started(self, instance: Instance) -> None:
        await instance.settled.wait()
        if instance.state is not State.READY:
            raise ConfigurationError(
                f"An instance did not start. Its log, {instance.log}, ends with:\n{instance.last_words()}"
            )

    async def scale(self) -> None:
        """Follow the load, for ever."""
        while True:
            self._look.clear()
            self._adjust()
            with suppress(TimeoutError):
                async with asyncio.timeout(_SCALE_EVERY_SECONDS):
                    await self._look.wait()

    def _adjust(self) -> None:
        usable = [each for each in self.instances if each.state in (State.STARTING, State.READY)]
        load = sum(each.in_flight for each in usable) + len(self._waiting)
        wanted = math.ceil(load / (_TARGET * self._options.concurrency))
        wanted = min(max(wanted, self._options.least), self._options.most)
        if time.monotonic() >= self._try_again_at:
            for _ in range(wanted - len(usable)):
                self.start()
        deadline = time.monotonic() - self._options.idle.total_seconds()
        idle = [each for each in self.ready if not each.in_flight and each.idle_since <= deadline]
        for instance in idle[: max(len(usable) - wanted, 0)]:
            self._tasks.create_task(instance.stop())

    async def replace(self) -> None:
        """A rolling restart: for each instance a new one; when it is ready, the old one is stopped."""
        self._revision += 1
        for old in list(self.instances):
            if old.state in (State.STARTING, State.READY):
                await self._started(self.start())
                await old.stop()

    async def stop_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for instance in self.instances:
                tasks.create_task(instance.stop())
