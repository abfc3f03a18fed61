"""Each test here begins with empty servers, and may have a whole server as those of `tests.server`."""

import pytest
import redis
from tests.server.conftest import run

__all__ = ["run"]


@pytest.fixture(autouse=True)
def _empty_servers(request: pytest.FixtureRequest) -> None:
    for name in ("valkey_url", "debian_redis_url", "redis_url"):
        if name in request.fixturenames:
            with redis.Redis.from_url(request.getfixturevalue(name)) as client:
                client.flushall()
