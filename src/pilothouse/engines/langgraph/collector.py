"""Gathers what a run emits and hands it on in batches.

Rules:

- The first event after a quiet time is handed on at once; then a batch at most every `WINDOW`, so that a fast model
  costs a handful of events and not one a token. The end of the run flushes at once.
- Text of one message is joined while no other kind of event comes between: the order that a client sees is the order
  of the run, except that texts of different messages, written at the same time, are each kept together.
- A producer that asks `room()` before it goes on is held while the consumer is behind.

Everything here runs in the event loop's thread; `callbacks` sees to that.
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

from pilothouse.engines.langgraph.metadata import Source
from pilothouse.events import MessageDelta, RunEvent

WINDOW = timedelta(milliseconds=10)
_ROOM = 256


class _OpenDelta:
    """A message's text that may still grow."""

    __slots__ = ("message_id", "parts", "source")

    def __init__(self, message_id: str, text: str, source: Source) -> None:
        self.message_id = message_id
        self.parts = [text]
        self.source = source

    def closed(self) -> MessageDelta:
        return MessageDelta(self.message_id, "".join(self.parts), self.source.encoded, self.source.namespace)


class Collector:
    """One run's events on their way out."""

    def __init__(self, window: timedelta = WINDOW) -> None:
        self._window_seconds = window.total_seconds()
        self._loop = asyncio.get_running_loop()
        self._items: list[RunEvent | _OpenDelta] = []
        self._open: dict[str, _OpenDelta] = {}
        self._due = False
        self._next_batch_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()
        self._finished = False

    def text(self, message_id: str, text: str, source: Source) -> None:
        """Add to a message's text."""
        open_delta = self._open.get(message_id)
        if open_delta is not None:
            open_delta.parts.append(text)
            return
        open_delta = self._open[message_id] = _OpenDelta(message_id, text, source)
        self._items.append(open_delta)
        self._schedule()

    def put(self, event: RunEvent) -> None:
        """Add an event after all that came before."""
        self._open.clear()
        self._items.append(event)
        self._schedule()

    def finish(self) -> None:
        """Nothing will follow: `batches` ends with what is there."""
        self._finished = True
        self._ready.set()

    async def room(self) -> None:
        """Return at once, or when the consumer has caught up."""
        while len(self._items) >= _ROOM:
            self._drained.clear()
            await self._drained.wait()

    async def batches(self) -> AsyncGenerator[list[RunEvent], None]:
        """The events in order, in batches that are never empty, until `finish`."""
        try:
            while True:
                await self._ready.wait()
                finished = self._finished
                if batch := self._drain():
                    yield batch
                if finished:
                    return
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _schedule(self) -> None:
        if self._due:
            return
        self._due = True
        wait_seconds = self._next_batch_at - self._loop.time()
        if wait_seconds <= 0:
            self._ready.set()
        else:
            self._timer = self._loop.call_later(wait_seconds, self._ready.set)

    def _drain(self) -> list[RunEvent]:
        items, self._items = self._items, []
        self._open.clear()
        self._due = False
        self._ready.clear()
        self._drained.set()
        self._next_batch_at = self._loop.time() + self._window_seconds
        return [item.closed() if isinstance(item, _OpenDelta) else item for item in items]
