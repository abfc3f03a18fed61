"""What happens to the instances."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec

What: TypeAlias = Literal[
    "started", "ready", "failed", "frozen", "continued", "stopping", "killed", "cut", "ended"
]


class Event(msgspec.Struct, frozen=True):
    """Of one instance. `started`: the process is there; `ready`: it may be given requests; `failed`: it ended, or took too
    long, before that; `stopping`: it was sent SIGTERM; `killed`: SIGKILL; `cut`: its connections were; `ended`: last of all.
    """

    instance: int
    what: What
    detail: str = ""
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        return f"instance {self.instance} {self.what} {self.detail}".rstrip()


class Events:
    """All so far, in order; `report` is told of each as it happens."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self.past: list[Event] = []
        self._report = report
        self._news = asyncio.Event()

    def record(self, instance: int, what: What, detail: str = "") -> None:
        event = Event(instance, what, detail)
        self.past.append(event)
        self._report(event)
        self._news.set()
        self._news = asyncio.Event()

    async def first(self, what: What, instance: int | None = None, *, after: int = 0) -> Event:
        """The first such event, of this instance or of any, among those after the first `after`; waits until it is there."""
        read = after
        while True:
            for event in self.past[read:]:
                if event.what == what and instance in (None, event.instance):
                    return event
            read = max(read, len(self.past))
            await self._news.wait()
