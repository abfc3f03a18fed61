"""LangGraph's own suite for checkpointers, its optional parts included."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

from langgraph.checkpoint.conformance import checkpointer_test, validate
from redis.asyncio import Redis

from pilothouse.ports.principals import LOCAL
from pilothouse.stores.checkpoints.redis import RedisCheckpointer

CAPABILITIES = 8


def test_the_checkpointer_conforms_in_all_that_langgraph_specifies(redis_url: str) -> None:
    @checkpointer_test(name=f"RedisCheckpointer on {redis_url}")
    async def checkpointer() -> AsyncGenerator[RedisCheckpointer, None]:
        async with Redis.from_url(redis_url) as redis:
            yield RedisCheckpointer(redis, LOCAL, ttl=timedelta(minutes=5))

    report = asyncio.run(validate(checkpointer))

    failures = [failure for result in report.results.values() for failure in result.failures]
    assert failures == []
    assert [result.passed for result in report.results.values()] == [True] * CAPABILITIES
