import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from langchain_core.language_models import BaseChatModel
from tests.models.model_providers import each_provider, open_model

from pilothouse.errors import ModelQuotaExceeded, ModelUnavailable
from pilothouse.models.failures import delay_in
from pilothouse.models.policies import RetryPolicy
from pilothouse.testing.model_servers import ModelServer


async def ask(model: BaseChatModel, *, stream: bool = True) -> str:
    if not stream:
        return (await model.ainvoke("Hello")).text
    return "".join([chunk.text async for chunk in model.astream("Hello")])


def gaps(server: ModelServer) -> list[float]:
    """The seconds between one request and the next."""
    times = [request.at_seconds for request in server.requests]
    return [later - earlier for earlier, later in pairwise(times)]


@each_provider
@pytest.mark.parametrize("stream", [True, False])
def test_the_servers_delay_is_kept_exactly(provider: str, stream: bool) -> None:
    async def scenario() -> None:
        backoff = RetryPolicy(first_delay=timedelta(seconds=2))
        async with ModelServer() as server, open_model(provider, server, policy=backoff) as model:
            server.fail(429, retry_after=0.2)
            server.reply("Hello")
            assert await ask(model, stream=stream) == "Hello"
            (gap,) = gaps(server)
            assert 0.2 <= gap < 1.0

    asyncio.run(scenario())


@each_provider
def test_without_a_delay_of_the_server_the_waits_grow(provider: str) -> None:
    async def scenario() -> None:
        growing = RetryPolicy(first_delay=timedelta(milliseconds=100))
        async with ModelServer() as server, open_model(provider, server, policy=growing) as model:
            for status in (503, 429, 500):
                server.fail(status)
            server.reply("Hello")
            assert await ask(model) == "Hello"
            for gap, least in zip(gaps(server), (0.05, 0.1, 0.2), strict=True):
                assert least <= gap

    asyncio.run(scenario())


@each_provider
def test_the_tries_are_counted(provider: str) -> None:
    async def scenario() -> None:
        quick = RetryPolicy(tries=3, first_delay=timedelta(milliseconds=1))
        async with ModelServer() as server, open_model(provider, server, policy=quick) as model:
            for _ in range(5):
                server.fail(503)
            with pytest.raises(ModelUnavailable):
                await ask(model)
            assert len(server.requests) == 3

    asyncio.run(scenario())


@each_provider
def test_a_delay_that_is_too_long_is_told_at_once_instead_of_waited_for(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model, asyncio.timeout(5):
            server.fail(429, retry_after=3600)
            with pytest.raises(ModelQuotaExceeded) as caught:
                await ask(model)
            assert caught.value.retry_after == timedelta(hours=1)
            assert len(server.requests) == 1

    asyncio.run(scenario())


@each_provider
def test_a_connection_that_breaks_before_the_first_token_is_made_again(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.reply("Once upon a time", cut_after=0)
            server.reply("Hello")
            assert await ask(model) == "Hello"

    asyncio.run(scenario())


@each_provider
def test_a_server_that_comes_up_late_is_found(provider: str, free_port: int) -> None:
    async def scenario() -> None:
        server = ModelServer(port=free_port)
        server.reply("Hello")
        patient = RetryPolicy(
            tries=20, first_delay=timedelta(milliseconds=50), longest_delay=timedelta(seconds=0.2)
        )
        async with open_model(provider, server, policy=patient) as model, asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(ask(model))
            await asyncio.sleep(0)  # the first try is on its way
            async with server:
                assert await answer == "Hello"

    asyncio.run(scenario())


def test_a_delay_is_read_from_any_form_of_the_header() -> None:
    assert delay_in({"retry-after": "7"}) == timedelta(seconds=7)
    assert delay_in({"retry-after": "7", "retry-after-ms": "250"}) == timedelta(milliseconds=250)
    in_a_minute = delay_in(
        {"retry-after": format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)}
    )
    assert in_a_minute is not None
    assert timedelta(seconds=55) < in_a_minute <= timedelta(minutes=1)
    assert delay_in({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == timedelta()


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan"])
def test_a_delay_that_makes_no_sense_is_none(text: str) -> None:
    assert delay_in({"retry-after": text}) is None
