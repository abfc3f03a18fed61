"""What the server is made of."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pilothouse.ports.checkpoints import Checkpoints
from pilothouse.ports.crons import Crons
from pilothouse.ports.engines import Agents
from pilothouse.ports.items import Items
from pilothouse.ports.principals import Principal
from pilothouse.ports.push import CpuPush
from pilothouse.ports.runs import QueueLoad, RunLog, Runs
from pilothouse.ports.telemetry import Metrics, Telemetry
from pilothouse.ports.threads import Threads
from pilothouse.server.origins import LOOPBACK_HOSTS


@dataclass(frozen=True)
class Work:
    """What a pushed request is held open for (see `server.work`)."""

    authenticate: Callable[[Mapping[str, str]], Awaitable[Principal]]
    """Lets nobody pass but the one who pushes. Raises `Unauthenticated` or `Forbidden`."""
    push: CpuPush
    load: Callable[[], Awaitable[QueueLoad]]
    stopping: asyncio.Event
    hold: timedelta
    """So long at most: less than the platform's request timeout."""


@dataclass(frozen=True)
class Parts:
    """The ports that the routes use, and the limits that they keep."""

    agents: Agents
    threads: Threads
    runs: Runs
    log: RunLog
    checkpoints: Checkpoints
    crons: Crons
    items: Items
    telemetry: Telemetry
    metrics: Metrics
    authenticate: Callable[[Mapping[str, str]], Awaitable[Principal]]
    """Who sent a request with these headers (names in lower case). Raises `Unauthenticated`."""
    check_webhook: Callable[[str], object]
    """Whether a webhook may be called at this URL. Raises `InvalidRequest`."""
    status: Callable[[], Mapping[str, Any]]
    """How the server is, for `/info`; `/readyz` fails while its `ready` is false. JSON types only."""
    max_body_bytes: int = 32 * 1024 * 1024
    allowed_origins: frozenset[str] = frozenset()
    """Web pages of these origins (`https://host[:port]`) may call us too (see `server.origins`)."""
    allowed_hosts: frozenset[str] | None = LOOPBACK_HOSTS
    """The names that the server answers to; None where anybody who reaches it must say who they are anyway."""
    push: CpuPush | None = None
    """Who brings CPU to runs that no client waits for; None where there is CPU anyway."""
    work: Work | None = None
    """Set where `push` is."""
