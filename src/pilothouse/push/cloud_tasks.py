"""The port `CpuPush` on Google Cloud Tasks: each ask is a task that posts to `/internal/work`.

Source: https://cloud.google.com/tasks/docs/creating-http-target-tasks
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pilothouse.ports.push import WORK_PATH

if TYPE_CHECKING:
    from google.cloud.tasks_v2 import CloudTasksAsyncClient, Task

logger = logging.getLogger(__name__)

LONGEST_DELAY = timedelta(days=30)
_OPEN_SECONDS = 20
_ASK_SECONDS = 8
_TRY_SECONDS = 3
_CONNECTION_OF_ITS_OWN = ("grpc.use_local_subchannel_pool", 1)
"""Else all channels of a process to one address share a connection, dead or not."""
_PAUSES_SECONDS = (0.1, 0.4, 1.6)


@dataclass(frozen=True)
class Target:
    """Where tasks are kept, and whom they call as whom."""

    queue: str
    """`projects/P/locations/L/queues/Q`."""
    url: str
    """Of this service, without a path."""
    service_account: str
    audience: str
    deadline: timedelta
    """So long may a request take before Cloud Tasks gives it up: 15 s to 30 minutes."""
    endpoint: str | None = None
    """`HOST:PORT` of an emulator: no TLS, no credentials."""


class CloudTasksPush:
    """Opens its client when it is first needed, which imports for a second or two: call `prepare` in the background."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client: CloudTasksAsyncClient | None = None
        self._opening = asyncio.Lock()

    async def prepare(self) -> None:
        """Open the client. What goes wrong is logged; the first ask tries again."""
        try:
            await self._opened()
        except Exception as error:  # noqa: BLE001  many kinds, and only the first ask needs it
            self._failed(error)

    async def ask(self, delay: timedelta | None = None) -> bool:
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await self._opened()
            async with asyncio.timeout(_ASK_SECONDS):
                await self._ask(min(delay, LONGEST_DELAY) if delay else None)
            return True
        except Exception as error:  # noqa: BLE001  whatever it was, the run is in the queue
            self._failed(error)
            return False

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.transport.close()

    async def _ask(self, delay: timedelta | None) -> None:
        from google.api_core.exceptions import (
            Aborted,
            DeadlineExceeded,
            InternalServerError,
            ServiceUnavailable,
            TooManyRequests,
        )

        task = self._task(delay)
        passing = (Aborted, DeadlineExceeded, InternalServerError, ServiceUnavailable, TooManyRequests)
        for pause in (*_PAUSES_SECONDS, None):
            client: Any = await self._opened()
            try:
                await client.create_task(parent=self._target.queue, task=task, timeout=_TRY_SECONDS)
                return
            except passing:
                if pause is None:
                    raise
                self._drop(client)
                await asyncio.sleep(pause)

    def _drop(self, client: Any) -> None:
        """Go on with a new connection: one that died while the process was frozen does not always say so. The old one closes
        when nobody has a call on it: closing it here would cancel the calls of others."""
        if self._client is client:
            self._client = None

    def _task(self, delay: timedelta | None) -> "Task":
        from google.cloud.tasks_v2 import HttpMethod, HttpRequest, OidcToken, Task

        target = self._target
        request = HttpRequest(
            http_method=HttpMethod.POST,
            url=target.url + WORK_PATH,
            oidc_token=OidcToken(service_account_email=target.service_account, audience=target.audience),
        )
        due = datetime.now(UTC) + delay if delay else None
        return Task(http_request=request, dispatch_deadline=target.deadline, schedule_time=due)

    async def _opened(self) -> "CloudTasksAsyncClient":
        async with self._opening:
            if self._client is None:
                credentials = await asyncio.to_thread(_import_and_identify, self._target.endpoint is None)
                self._client = _client(self._target.endpoint, credentials)
            return self._client

    def _failed(self, error: Exception) -> None:
        cause = f"{type(error).__name__}: {error}"
        logger.error("cpu push failed", extra={"queue": self._target.queue, "cause": cause})


def _import_and_identify(needs_identity: bool) -> Any:
    """To be called in a thread: it imports, and may ask the metadata server."""
    import google.auth
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport

    if not needs_identity:
        return None
    auth: Any = google.auth
    return auth.default(scopes=CloudTasksGrpcAsyncIOTransport.AUTH_SCOPES)[0]


def _client(endpoint: str | None, credentials: Any) -> "CloudTasksAsyncClient":
    import grpc.aio
    from google.cloud.tasks_v2 import CloudTasksAsyncClient
    from google.cloud.tasks_v2.services.cloud_tasks import transports

    transport: Any = transports.CloudTasksGrpcAsyncIOTransport

    def channel(host: str, **given: Any) -> grpc.aio.Channel:
        given["options"] = [*given["options"], _CONNECTION_OF_ITS_OWN]
        return transport.create_channel(host, **given)

    if endpoint is None:
        return CloudTasksAsyncClient(transport=transport(credentials=credentials, channel=channel))
    plain = grpc.aio.insecure_channel(endpoint, options=[_CONNECTION_OF_ITS_OWN])
    return CloudTasksAsyncClient(transport=transport(channel=plain))
