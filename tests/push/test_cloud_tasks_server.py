"""The double of Cloud Tasks, through the real client."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from google.api_core.exceptions import AlreadyExists, InvalidArgument, NotFound
from google.cloud.tasks_v2 import HttpRequest, OidcToken, Queue, RateLimits, RetryConfig, Task
from starlette.requests import Request
from starlette.responses import Response
from tests.push.places import ACCOUNT, LOCATION, QUEUE, Google, google

from pilothouse.testing.cloud_tasks_server import backoff
from pilothouse.testing.loopback import LoopbackServer

Answer = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def worker(answer: Answer) -> AsyncIterator[str]:
    """The URL of a worker that answers so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (await answer(Request(scope, receive)))(scope, receive, send)

    async with LoopbackServer(app) as server:
        yield f"{server.url}/work"


def answers(*statuses: int) -> Answer:
    """These, one after the other, and the last one for ever."""
    left = list(statuses)

    async def answer(request: Request) -> Response:
        return Response(status_code=left.pop(0) if len(left) > 1 else left[0])

    return answer


def execute(scenario: Callable[[Google, str], Awaitable[None]], answer: Answer, **queue: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), google(**queue) as cloud, worker(answer) as url:
            await scenario(cloud, url)

    asyncio.run(main())


async def create(cloud: Google, url: str, name: str | None = None, **fields: Any) -> Task:
    request = HttpRequest(url=url, oidc_token=OidcToken(service_account_email=ACCOUNT, audience="me"))
    task = Task(http_request=request, name=f"{QUEUE}/tasks/{name}" if name else None, **fields)
    return await cloud.client.create_task(parent=QUEUE, task=task)


def test_a_task_is_a_request_with_the_headers_and_the_token_of_the_real_one() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        await create(cloud, url, "mine")
        assert await cloud.statuses(1) == [200]
        headers = cloud.tasks.dispatches[0].headers
        assert headers["User-Agent"] == "Google-Cloud-Tasks"
        assert headers["X-CloudTasks-QueueName"] == "pushes"
        assert headers["X-CloudTasks-TaskName"] == "mine"
        assert headers["X-CloudTasks-TaskRetryCount"] == "0"
        assert abs(float(headers["X-CloudTasks-TaskETA"]) - time.time()) < 10
        token = headers["Authorization"].removeprefix("Bearer ")
        key = await asyncio.to_thread(jwt.PyJWKClient(cloud.issuer.jwks_url).get_signing_key_from_jwt, token)
        claims = jwt.decode(token, key, ["RS256"], audience="me", issuer="https://accounts.google.com")
        assert (claims["email"], claims["email_verified"]) == (ACCOUNT, True)

    execute(scenario, answers(200))


def test_a_name_is_used_once_also_after_its_task_is_done() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        await create(cloud, url, "mine")
        await cloud.tasks.until(lambda tasks: not tasks.kept)
        with pytest.raises(AlreadyExists):
            await create(cloud, url, "mine")

    execute(scenario, answers(200))


def test_a_task_waits_for_its_time() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        due = datetime.now(UTC) + timedelta(seconds=0.5)
        await create(cloud, url, schedule_time=due)
        await create(cloud, url, "at-once")
        await cloud.statuses(2)
        assert datetime.now(UTC) >= due
        assert cloud.tasks.dispatches[0].task.endswith("/at-once")

    execute(scenario, answers(200))


def test_a_paused_queue_sends_nothing_until_it_is_resumed() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        assert (await cloud.client.pause_queue(name=QUEUE)).state == Queue.State.PAUSED
        task = await create(cloud, url)
        assert [one.name async for one in await cloud.client.list_tasks(parent=QUEUE)] == [task.name]
        assert (await cloud.client.get_task(name=task.name)).dispatch_count == 0
        await cloud.client.resume_queue(name=QUEUE)
        assert await cloud.statuses(1) == [200]
        assert (await cloud.client.get_queue(name=QUEUE)).state == Queue.State.RUNNING

    execute(scenario, answers(200))


def test_a_request_that_fails_is_tried_again_later() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        began = time.monotonic()
        await create(cloud, url)
        assert await cloud.statuses(3) == [404, 503, 204]
        assert time.monotonic() - began > 0.3  # 0.1 s, and then 0.2 s
        headers = [dispatch.headers for dispatch in cloud.tasks.dispatches]
        assert [each["X-CloudTasks-TaskRetryCount"] for each in headers] == ["0", "1", "2"]
        assert [each["X-CloudTasks-TaskExecutionCount"] for each in headers] == ["0", "1", "1"]

    execute(scenario, answers(404, 503, 204))


def test_a_task_is_given_up_after_its_last_attempt() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        await create(cloud, url)
        await cloud.tasks.until(lambda tasks: not tasks.kept)
        assert await cloud.statuses(2) == [500, 500]

    execute(scenario, answers(500), retry_config=RetryConfig(max_attempts=2, min_backoff="0.1s"))


def test_the_backoff_doubles_then_grows_by_equal_steps_up_to_the_longest() -> None:
    retries = RetryConfig(min_backoff="10s", max_backoff="300s", max_doublings=3)
    waits = [backoff(Queue(retry_config=retries), failures).total_seconds() for failures in range(1, 9)]
    assert waits == [10, 20, 40, 80, 160, 240, 300, 300]


def test_no_more_requests_are_open_than_the_queue_allows() -> None:
    at_once, most = 0, 0

    async def answer(request: Request) -> Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        return Response()

    async def scenario(cloud: Google, url: str) -> None:
        for _ in range(6):
            await create(cloud, url)
        await cloud.statuses(6)
        assert most == 2

    execute(scenario, answer, rate_limits=RateLimits(max_concurrent_dispatches=2))


def test_a_deleted_task_is_not_sent() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        task = await create(cloud, url, schedule_time=datetime.now(UTC) + timedelta(seconds=0.2))
        await cloud.client.delete_task(name=task.name)
        with pytest.raises(NotFound):
            await cloud.client.get_task(name=task.name)
        with pytest.raises(NotFound):
            await cloud.client.delete_task(name=task.name)
        await create(cloud, url, "later", schedule_time=datetime.now(UTC) + timedelta(seconds=0.3))
        await cloud.statuses(1)
        assert [dispatch.task for dispatch in cloud.tasks.dispatches] == [f"{QUEUE}/tasks/later"]

    execute(scenario, answers(200))


def test_what_the_real_one_refuses_is_refused() -> None:
    async def scenario(cloud: Google, url: str) -> None:
        with pytest.raises(InvalidArgument, match="30 days"):
            await create(cloud, url, schedule_time=datetime.now(UTC) + timedelta(days=31))
        with pytest.raises(InvalidArgument, match="dispatch_deadline"):
            await create(cloud, url, dispatch_deadline=timedelta(hours=1))
        with pytest.raises(InvalidArgument, match="url"):
            await create(cloud, "")
        with pytest.raises(NotFound):
            await cloud.client.create_task(parent=f"{LOCATION}/queues/none", task=Task())
        with pytest.raises(AlreadyExists):
            await cloud.client.create_queue(parent=LOCATION, queue=Queue(name=QUEUE))

    execute(scenario, answers(200))
