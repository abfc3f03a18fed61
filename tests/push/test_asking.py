"""What is asked of Cloud Tasks, what is done when that fails, and how the settings are refused."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud.tasks_v2 import PauseQueueRequest
from tests.push.places import ACCOUNT, QUEUE, Google, google, write_configuration

from pilothouse.errors import ConfigurationError
from pilothouse.push.cloud_tasks import CloudTasksPush, Target
from pilothouse.settings import load

URL = "https://service.run.app"


def execute(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await scenario()

    asyncio.run(main())


def push_to(endpoint: str, queue: str = QUEUE) -> CloudTasksPush:
    return CloudTasksPush(Target(queue, URL, ACCOUNT, "me", timedelta(seconds=300), endpoint))


async def only_task(cloud: Google) -> Any:
    (task,) = [task async for task in await cloud.client.list_tasks(parent=QUEUE)]
    return task


def test_a_push_is_a_task_that_posts_to_the_service_as_its_account() -> None:
    async def scenario() -> None:
        async with google() as cloud:
            await cloud.client.pause_queue(name=QUEUE)
            push = push_to(cloud.tasks.endpoint)
            assert await push.ask()
            task = await only_task(cloud)
            assert task.http_request.url == f"{URL}/internal/work"
            assert task.http_request.http_method.name == "POST"
            assert task.http_request.oidc_token.service_account_email == ACCOUNT
            assert task.http_request.oidc_token.audience == "me"
            assert task.dispatch_deadline == timedelta(seconds=300)
            await push.aclose()

    execute(scenario)


@pytest.mark.parametrize(("delay", "at_most"), [(3, 3), (60, 30)], ids=["days", "over the limit"])
def test_a_delayed_push_has_its_time_within_the_limit_of_30_days(delay: int, at_most: int) -> None:
    async def scenario() -> None:
        async with google() as cloud:
            push = push_to(cloud.tasks.endpoint)
            assert await push.ask(timedelta(days=delay))
            due = (await only_task(cloud)).schedule_time - datetime.now(UTC)
            assert timedelta(days=at_most) - timedelta(minutes=1) < due <= timedelta(days=at_most)
            await push.aclose()

    execute(scenario)


def test_pushes_are_tried_again_while_cloud_tasks_is_away(free_port: int) -> None:
    async def scenario() -> None:
        push = push_to(f"127.0.0.1:{free_port}")
        await push.prepare()
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(push.ask()) for _ in range(5)]
            await asyncio.sleep(0)
            async with google(free_port) as cloud:
                await cloud.tasks.pause_queue(PauseQueueRequest(name=QUEUE))
                assert await asyncio.gather(*asking) == [True] * 5
                assert len(cloud.tasks.kept) == 5
                await push.aclose()

    execute(scenario)


def test_a_push_that_fails_for_good_is_logged_and_raises_nothing(
    caplog: pytest.LogCaptureFixture, free_port: int
) -> None:
    async def scenario() -> None:
        push = push_to(f"127.0.0.1:{free_port}")
        began = time.monotonic()
        assert not await push.ask()
        assert time.monotonic() - began < 9
        async with google() as cloud:
            push = push_to(cloud.tasks.endpoint, QUEUE.replace("pushes", "none"))
            assert not await push.ask()
            await push.aclose()

    with caplog.at_level(logging.ERROR):
        execute(scenario)
    causes = [vars(record)["cause"] for record in caplog.records if record.message == "cpu push failed"]
    assert causes[0].startswith("ServiceUnavailable")
    assert causes[1].startswith("NotFound")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"queue": "pushes"}, "push.queue is 'pushes': it must be projects/P/locations/L/queues/Q."),
        ({"url": "service.run.app"}, "push.url is 'service.run.app': it must be the service's own address"),
        ({"url": "https://service.run.app/work"}, "without a path"),
        ({"service_account": "me"}, "push.service_account is 'me': it must be a service account's address"),
        ({"endpoint": "localhost"}, "push.endpoint is 'localhost': it must be HOST:PORT"),
        ({"hold_seconds": 3600}, "push.hold_seconds"),
        ({"quue": "x"}, "quue"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    table = {"queue": QUEUE, "url": URL, "service_account": ACCOUNT, **change}
    lines = "\n".join(f"{key} = {value!r}" for key, value in table.items())
    (tmp_path / "pilothouse.toml").write_text(f"[push]\n{lines}")
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, environ={})
    assert sentence in str(refusal.value)


def test_without_push_there_is_nothing_to_call(tmp_path: Path) -> None:
    assert load(write_configuration(tmp_path / "served", None, URL), environ={}).push is None
