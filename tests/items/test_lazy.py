"""Items whose store opens with the first call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from pilothouse.errors import StoreUnavailable
from pilothouse.ports.items import ItemQuery, Items
from pilothouse.ports.principals import Principal
from pilothouse.stores.items.lazy import LazyItems

OpenItems = Callable[[], AbstractAsyncContextManager[Items]]


class Opening:
    """Opens the real store, when it is let, and counts."""

    def __init__(self, open_items: OpenItems, failures: int = 0) -> None:
        self._open_items = open_items
        self._failures = failures
        self.let = asyncio.Event()
        self.begun = asyncio.Event()
        self.opened = 0
        self.closed = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Items]:
        self.begun.set()
        await self.let.wait()
        if self._failures:
            self._failures -= 1
            raise StoreUnavailable("not yet")
        async with self._open_items() as items:
            self.opened += 1
            yield items
        self.closed += 1


def test_nothing_is_opened_without_a_call(open_items: OpenItems) -> None:
    async def scenario() -> None:
        opening = Opening(open_items)
        async with LazyItems(opening):
            pass
        assert opening.opened == 0

    asyncio.run(scenario())


def test_calls_at_once_share_one_store_which_is_closed_at_the_end(
    open_items: OpenItems, ana: Principal
) -> None:
    async def scenario() -> None:
        opening = Opening(open_items)
        opening.let.set()
        async with LazyItems(opening) as items:
            async with asyncio.TaskGroup() as tasks:
                for n in range(5):
                    tasks.create_task(items.put(ana, ("a",), str(n), {"n": n}))
            found = await items.search(ana, ItemQuery(namespace_prefix=("a",), filter={"n": {"$gt": 3}}))
            assert [item.key for item in found] == ["4"]
            assert await items.namespaces(ana) == [("a",)]
            await items.delete(ana, ("a",), "4")
            assert await items.get(ana, ("a",), "4") is None
            assert (opening.opened, opening.closed) == (1, 0)
        assert opening.closed == 1

    asyncio.run(scenario())


def test_a_cancelled_call_leaves_the_opening_to_the_others(open_items: OpenItems, ana: Principal) -> None:
    async def scenario() -> None:
        opening = Opening(open_items)
        async with LazyItems(opening) as items, asyncio.TaskGroup() as tasks:
            first = tasks.create_task(items.get(ana, ("a",), "k"))
            await opening.begun.wait()
            first.cancel()
            second = tasks.create_task(items.put(ana, ("a",), "k", {}))
            opening.let.set()
            assert (await second).key == "k"
            assert opening.opened == 1

    asyncio.run(scenario())


def test_a_call_tries_again_after_the_opening_failed(open_items: OpenItems, ana: Principal) -> None:
    async def scenario() -> None:
        opening = Opening(open_items, failures=1)
        opening.let.set()
        async with LazyItems(opening) as items:
            with pytest.raises(StoreUnavailable, match="not yet"):
                await items.get(ana, ("a",), "k")
            assert await items.get(ana, ("a",), "k") is None

    asyncio.run(scenario())


def test_leaving_while_it_opens_ends_the_opening(open_items: OpenItems, ana: Principal) -> None:
    async def scenario() -> None:
        opening = Opening(open_items)
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            async with LazyItems(opening) as items:
                call = tasks.create_task(items.get(ana, ("a",), "k"))
                await opening.begun.wait()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert opening.opened == 0

    asyncio.run(scenario())


def test_an_error_of_the_block_comes_out_as_it_is(open_items: OpenItems, ana: Principal) -> None:
    async def scenario() -> None:
        opening = Opening(open_items)
        opening.let.set()
        async with LazyItems(opening) as items:
            await items.get(ana, ("a",), "k")
            raise KeyError("mine")

    with pytest.raises(KeyError):
        asyncio.run(scenario())
