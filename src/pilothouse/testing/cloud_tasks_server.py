"""Google Cloud Tasks for tests: its gRPC wire, and its requests to the tasks' addresses.

It keeps what the real one promises: a name is used once, tasks wait for their time, a queue can be paused and limits how
many requests are open, a failed one is tried again with the queue's backoff, and requests carry the real headers and
a signed ID token. It does not slow down queues whose requests fail, and forgets all at its end.

Sources: the comments of `google.cloud.tasks_v2.types`, and https://cloud.google.com/tasks/docs/creating-http-target-tasks
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

import grpc
import grpc.aio
import httpx
from google.cloud import tasks_v2
from google.protobuf.empty_pb2 import Empty
from grpc import StatusCode

from pilothouse.testing.oidc_issuer import OidcIssuer

_api: Any = tasks_v2
"""Its messages give and take `datetime` and `timedelta`; their annotations say otherwise."""

_SERVICE = "google.cloud.tasks.v2.CloudTasks"
_FURTHEST = timedelta(days=30)
_DEADLINES = (timedelta(seconds=15), timedelta(minutes=30))
_USUAL_DEADLINE = timedelta(minutes=10)


class Dispatch(NamedTuple):
    """A request that was sent for a task."""

    task: str
    headers: Mapping[str, str]
    status: int | None
    """None when there was no answer."""


@dataclass
class _Scheduled:
    task: Any
    running: "asyncio.Task[None] | None" = None
    executions: int = 0
    """Answers so far, those of 500 and more left out: what the header counts."""


@dataclass
class _Queue:
    queue: Any
    slots: asyncio.Semaphore
    scheduled: dict[str, _Scheduled] = field(default_factory=dict[str, _Scheduled])
    used: set[str] = field(default_factory=set[str])
    resumed: asyncio.Event = field(default_factory=asyncio.Event)


class CloudTasksServer:
    """`async with CloudTasksServer(issuer) as server:` then `server.endpoint`, without TLS. Tokens are the issuer's."""

    def __init__(self, issuer: OidcIssuer, port: int = 0) -> None:
        self.dispatches: list[Dispatch] = []
        """Those that have ended, in order."""
        self.endpoint = f"127.0.0.1:{port}"
        self._issuer = issuer
        self._news = asyncio.Condition()
        self._queues: dict[str, _Queue] = {}
        self._server = grpc.aio.server()
        self._http = httpx.AsyncClient(
            timeout=_DEADLINES[1].total_seconds(), limits=httpx.Limits(max_connections=None)
        )
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        self._server.add_generic_rpc_handlers((_handlers(self),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port(self.endpoint)}"
        await self._tasks.__aenter__()
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(grace=None)
        for queue in self._queues.values():
            for scheduled in queue.scheduled.values():
                _cancel(scheduled)
        await self._tasks.__aexit__(None, None, None)
        await self._http.aclose()

    async def until(self, holds: Callable[["CloudTasksServer"], bool]) -> None:
        """Look whenever a task came or a request ended. The deadline is the caller's."""
        async with self._news:
            await self._news.wait_for(lambda: holds(self))

    @property
    def kept(self) -> list[str]:
        """The names of the tasks that are left."""
        return [name for queue in self._queues.values() for name in queue.scheduled]

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    # Queues.

    async def create_queue(self, request: Any) -> Any:
        queue = request.queue
        if queue.name in self._queues:
            raise _Refused(StatusCode.ALREADY_EXISTS, "Queue already exists")
        _set_defaults(queue)
        self._queues[queue.name] = _Queue(
            queue, asyncio.Semaphore(queue.rate_limits.max_concurrent_dispatches)
        )
        self._queues[queue.name].resumed.set()
        return queue

    async def get_queue(self, request: Any) -> Any:
        return self._queue(request.name).queue

    async def pause_queue(self, request: Any) -> Any:
        queue = self._queue(request.name)
        queue.resumed.clear()
        queue.queue.state = _api.Queue.State.PAUSED
        return queue.queue

    async def resume_queue(self, request: Any) -> Any:
        queue = self._queue(request.name)
        queue.resumed.set()
        queue.queue.state = _api.Queue.State.RUNNING
        return queue.queue

    def _queue(self, name: str) -> _Queue:
        if name not in self._queues:
            raise _Refused(StatusCode.NOT_FOUND, "Requested entity was not found.")
        return self._queues[name]

    # Tasks.

    async def create_task(self, request: Any) -> Any:
        queue, task = self._queue(request.parent), request.task
        task.name = task.name or f"{request.parent}/tasks/{uuid4().int % 10**20}"
        _check(task, request.parent)
        if task.name in queue.used:
            raise _Refused(StatusCode.ALREADY_EXISTS, "Requested entity already exists")
        queue.used.add(task.name)
        now = datetime.now(UTC)
        task.create_time = now
        task.schedule_time = task.schedule_time or now
        task.dispatch_deadline = task.dispatch_deadline or _USUAL_DEADLINE
        scheduled = queue.scheduled[task.name] = _Scheduled(task)
        scheduled.running = self._tasks.create_task(self._execute(queue, scheduled))
        await self._tell()
        return task

    async def get_task(self, request: Any) -> Any:
        return self._scheduled(request.name)[1].task

    async def list_tasks(self, request: Any) -> Any:
        return _api.ListTasksResponse(
            tasks=[one.task for one in self._queue(request.parent).scheduled.values()]
        )

    async def delete_task(self, request: Any) -> Empty:
        queue, scheduled = self._scheduled(request.name)
        del queue.scheduled[request.name]
        _cancel(scheduled)
        return Empty()

    def _scheduled(self, name: str) -> tuple[_Queue, _Scheduled]:
        queue = self._queue(name.partition("/tasks/")[0])
        if name not in queue.scheduled:
            raise _Refused(StatusCode.NOT_FOUND, "Requested entity was not found.")
        return queue, queue.scheduled[name]

    # Requests.

    async def _execute(self, queue: _Queue, scheduled: _Scheduled) -> None:
        """Until it has succeeded or been tried often enough."""
        task, retries = scheduled.task, queue.queue.retry_config
        while True:
            await asyncio.sleep((task.schedule_time - datetime.now(UTC)).total_seconds())
            await queue.resumed.wait()
            async with queue.slots:
                succeeded = await self._dispatch(queue.queue, scheduled)
            if succeeded or task.dispatch_count == retries.max_attempts:
                queue.scheduled.pop(task.name, None)
                await self._tell()
                return
            await self._tell()
            task.schedule_time = datetime.now(UTC) + backoff(queue.queue, task.dispatch_count)

    async def _dispatch(self, queue: Any, scheduled: _Scheduled) -> bool:
        task, request = scheduled.task, scheduled.task.http_request
        headers = {**request.headers, **self._headers(queue, scheduled)}
        task.dispatch_count += 1
        status: int | None = None
        try:
            async with asyncio.timeout(task.dispatch_deadline.total_seconds()):
                reply = await self._http.request(
                    _method(request), request.url, content=request.body, headers=headers
                )
                status = reply.status_code
                task.response_count += 1
                scheduled.executions += status < 500
        except (TimeoutError, httpx.HTTPError):
            pass
        self.dispatches.append(Dispatch(task.name, headers, status))
        return status is not None and 200 <= status < 300

    def _headers(self, queue: Any, scheduled: _Scheduled) -> dict[str, str]:
        task = scheduled.task
        headers = {
            "User-Agent": "Google-Cloud-Tasks",
            "X-CloudTasks-QueueName": queue.name.rpartition("/")[2],
            "X-CloudTasks-TaskName": task.name.rpartition("/")[2],
            "X-CloudTasks-TaskRetryCount": str(task.dispatch_count),
            "X-CloudTasks-TaskExecutionCount": str(scheduled.executions),
            "X-CloudTasks-TaskETA": f"{task.schedule_time.timestamp():.6f}",
        }
        if task.http_request.oidc_token:
            oidc = task.http_request.oidc_token
            audience = oidc.audience or task.http_request.url
            headers["Authorization"] = f"Bearer {self._issuer.token(audience, oidc.service_account_email)}"
        return headers


def backoff(queue: Any, failures: int) -> timedelta:
    """How long a task waits after it failed this often: doubling, then by equal steps, up to the longest."""
    retries = queue.retry_config
    doublings = min(failures - 1, retries.max_doublings)
    steps = max(failures - retries.max_doublings, 1)
    return min(retries.min_backoff * 2**doublings * steps, retries.max_backoff)


def _method(request: Any) -> str:
    return request.http_method.name if request.http_method else "POST"


def _set_defaults(queue: Any) -> None:
    limits, retries = queue.rate_limits, queue.retry_config
    limits.max_concurrent_dispatches = limits.max_concurrent_dispatches or 1000
    limits.max_dispatches_per_second = limits.max_dispatches_per_second or 500
    retries.max_attempts = retries.max_attempts or 100
    retries.min_backoff = retries.min_backoff or timedelta(seconds=0.1)
    retries.max_backoff = retries.max_backoff or timedelta(hours=1)
    retries.max_doublings = retries.max_doublings or 16
    queue.state = _api.Queue.State.RUNNING


def _check(task: Any, queue: str) -> None:
    deadline, due = task.dispatch_deadline, task.schedule_time
    problems = {
        "Task name must be in the queue": not task.name.startswith(f"{queue}/tasks/"),
        "HttpRequest.url is required": not task.http_request.url.startswith(("http://", "https://")),
        "Task.schedule_time must not be more than 30 days in the future": due
        and due > datetime.now(UTC) + _FURTHEST,
        "Task.dispatch_deadline must be between [15s, 30m]": deadline
        and not _DEADLINES[0] <= deadline <= _DEADLINES[1],
    }
    for problem, is_so in problems.items():
        if is_so:
            raise _Refused(StatusCode.INVALID_ARGUMENT, problem)


def _cancel(scheduled: _Scheduled) -> None:
    if scheduled.running is not None:
        scheduled.running.cancel()


class _Refused(Exception):
    def __init__(self, code: StatusCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def _handlers(server: CloudTasksServer) -> grpc.GenericRpcHandler:
    """The wire: the client library's own messages."""
    methods: Mapping[str, tuple[Any, Any, Any]] = {
        "CreateQueue": (_api.CreateQueueRequest, server.create_queue, _api.Queue.serialize),
        "GetQueue": (_api.GetQueueRequest, server.get_queue, _api.Queue.serialize),
        "PauseQueue": (_api.PauseQueueRequest, server.pause_queue, _api.Queue.serialize),
        "ResumeQueue": (_api.ResumeQueueRequest, server.resume_queue, _api.Queue.serialize),
        "CreateTask": (_api.CreateTaskRequest, server.create_task, _api.Task.serialize),
        "GetTask": (_api.GetTaskRequest, server.get_task, _api.Task.serialize),
        "ListTasks": (_api.ListTasksRequest, server.list_tasks, _api.ListTasksResponse.serialize),
        "DeleteTask": (_api.DeleteTaskRequest, server.delete_task, Empty.SerializeToString),
    }
    return grpc.method_handlers_generic_handler(
        _SERVICE,
        {
            name: grpc.unary_unary_rpc_method_handler(
                _answering(handle),
                request_deserializer=request.deserialize,
                response_serializer=serialize,
            )
            for name, (request, handle, serialize) in methods.items()
        },
    )


def _answering(handle: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, context: Any) -> Any:
        try:
            return await handle(request)
        except _Refused as refused:
            await context.abort(refused.code, str(refused))

    return answer
