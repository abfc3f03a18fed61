"""CPU on Cloud Run: who brings it, and who may."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from pilothouse.errors import Forbidden
from pilothouse.ports.principals import Principal
from pilothouse.ports.push import CpuPush
from pilothouse.ports.runs import RunQueue
from pilothouse.push.cloud_tasks import CloudTasksPush, Target
from pilothouse.server.parts import Work
from pilothouse.settings import AuthSettings, PushSettings
from pilothouse.wiring.identity import Authenticate, TokenVerifier

_MORE_THAN_HELD = timedelta(seconds=30)
_AFTER_START_SECONDS = 0.5
_SHORTEST_DEADLINE = timedelta(seconds=15)
"""Of Cloud Tasks."""


@asynccontextmanager
async def open_push(
    settings: PushSettings | None, tasks: asyncio.TaskGroup
) -> AsyncGenerator[CpuPush | None]:
    """None where nothing is to be pushed."""
    if settings is None:
        yield None
        return
    push = CloudTasksPush(
        Target(
            queue=settings.queue,
            url=settings.url.rstrip("/"),
            service_account=settings.service_account,
            audience=settings.audience or settings.url,
            deadline=max(timedelta(seconds=settings.hold_seconds) + _MORE_THAN_HELD, _SHORTEST_DEADLINE),
            endpoint=settings.endpoint,
        )
    )
    preparing = tasks.create_task(_prepare(push))
    try:
        yield push
    finally:
        preparing.cancel()
        await push.aclose()


async def _prepare(push: CloudTasksPush) -> None:
    """Its library takes a second of CPU to import: the server's first answer comes before."""
    await asyncio.sleep(_AFTER_START_SECONDS)
    await push.prepare()


def pushed_work(
    settings: PushSettings | None, push: CpuPush | None, queue: RunQueue, stopping: asyncio.Event
) -> Work | None:
    if settings is None or push is None:
        return None
    hold = timedelta(seconds=settings.hold_seconds)
    return Work(_only_the_pusher(settings), push, queue.load, stopping, hold)


def _only_the_pusher(settings: PushSettings) -> Authenticate:
    verify = TokenVerifier(
        AuthSettings(settings.issuer, settings.audience or settings.url, settings.jwks_url)
    )

    async def authenticate(headers: Mapping[str, str]) -> Principal:
        principal = await verify(headers)
        if principal.user != settings.service_account:
            raise Forbidden(f"{principal.user} may not call this: push.service_account may.")
        return principal

    return authenticate
