"""Webhooks: telling a URL that a run has ended."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

import msgspec

from pilothouse.events import RunEnded
from pilothouse.ports.runs import Run


class Webhook(msgspec.Struct, frozen=True):
    """A delivery that is due. The run is as it was at its end; by now it, and its thread, may be gone."""

    run: Run
    end: RunEnded
    url: str
    attempt: int
    """The n-th try at the delivery, from 1. One whose process died counts."""
    body: bytes | None = None
    """What an earlier attempt sent."""


class WebhookLease(Protocol):
    """The right to try a delivery, for half a minute; after that somebody else may try it too."""

    @property
    def webhook(self) -> Webhook: ...

    async def keep(self, body: bytes) -> None:
        """Have later attempts send the same body."""
        ...

    async def settle(self) -> None:
        """It is delivered, or given up."""
        ...

    async def postpone(self, delay: timedelta) -> None:
        """Try again after a while. Does nothing if somebody else is at it by now."""
        ...


class WebhookQueue(Protocol):
    """The deliveries that are due: written in the step that ends a run, and there until they are settled."""

    async def work(self, deliver: Callable[[WebhookLease], Awaitable[None]], slots: int) -> None:
        """Hand each delivery that is due to `deliver`, at most `slots` at once, until cancelled. `deliver` may raise
        nothing but `StoreUnavailable`. A delivery whose process dies is handed out again when its lease is over."""
        ...
