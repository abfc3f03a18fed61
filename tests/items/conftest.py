"""Every adapter of `ports.items.Items` passes the tests in this directory. To add one, add a way to open it to ADAPTERS."""

import asyncio
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from pilothouse.ports.items import Items
from pilothouse.ports.principals import Principal, UserId
from pilothouse.stores.embedded.postgres import running_postgres
from pilothouse.stores.items.postgres import postgres_items

RunWithItems: TypeAlias = Callable[[Callable[[Items], Awaitable[None]]], None]

ADAPTERS = {"postgres": postgres_items}
"""By the fixture with the server's address, `ADAPTER_url`."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ph-") as data, asyncio.Runner() as runner:
        server = running_postgres(Path(data))
        yield runner.run(server.__aenter__())
        runner.run(server.__aexit__(None, None, None))


@pytest.fixture(params=sorted(ADAPTERS))
def open_items(request: pytest.FixtureRequest) -> Callable[[], AbstractAsyncContextManager[Items]]:
    url = str(request.getfixturevalue(f"{request.param}_url"))
    return lambda: ADAPTERS[request.param](url)


@pytest.fixture
def run(open_items: Callable[[], AbstractAsyncContextManager[Items]]) -> RunWithItems:
    """Runs a scenario with a store that other tests write to as well, as other users."""

    def run_scenario(scenario: Callable[[Items], Awaitable[None]]) -> None:
        async def with_items() -> None:
            async with asyncio.timeout(30), open_items() as items:
                await scenario(items)

        asyncio.run(with_items())

    return run_scenario


@pytest.fixture
def make_principal() -> Callable[[], Principal]:
    """Somebody new, who has nothing yet."""
    return lambda: Principal(UserId(str(uuid.uuid4())))


@pytest.fixture
def ana(make_principal: Callable[[], Principal]) -> Principal:
    return make_principal()


@pytest.fixture
def ben(make_principal: Callable[[], Principal]) -> Principal:
    return make_principal()
