"""Each test here begins with empty servers: workers take every run that there is."""

import pytest
import redis


@pytest.fixture(autouse=True)
def _empty_servers(request: pytest.FixtureRequest) -> None:
    for name in ("valkey_url", "debian_redis_url", "redis_url"):
        if name in request.fixturenames:
            with redis.Redis.from_url(request.getfixturevalue(name)) as client:
                client.flushall()
