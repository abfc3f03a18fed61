"""Items whose store is opened by the first call: a laptop that keeps no items starts no database."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Self

from pilothouse.ports.items import Item, ItemQuery, Items
from pilothouse.ports.principals import Principal


class LazyItems:
    """`ports.items.Items` that opens another one when it is first needed, and closes it at the end of its block.

    Calls that come while it opens wait for it; a call that is cancelled leaves the others alone. If opening fails, those who
    wait get its exception, and the next call tries again.
    """

    def __init__(self, open_items: Callable[[], AbstractAsyncContextManager[Items]]) -> None:
        self._open = open_items
        self._tasks = asyncio.TaskGroup()
        self._opening: asyncio.Future[Items] | None = None
        self._holder: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        if self._holder and self._opening and not self._opening.done():
            self._holder.cancel()
        await self._tasks.__aexit__(None, None, None)  # an error of the block is the block's alone

    async def _items(self) -> Items:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_future()
            self._holder = self._tasks.create_task(self._hold_open(self._opening))
        return await asyncio.shield(self._opening)

    async def _hold_open(self, opening: asyncio.Future[Items]) -> None:
        """Open and close in one task, which is nobody's request."""
        try:
            async with self._open() as items:
                opening.set_result(items)
                await self._closing.wait()
        except Exception as error:
            if opening.done():
                raise
            self._opening = None
            opening.set_exception(error)
            opening.exception()  # not a fault if all who waited have gone
        finally:
            opening.cancel()

    async def put(
        self, principal: Principal, namespace: tuple[str, ...], key: str, value: Mapping[str, object]
    ) -> Item:
        return await (await self._items()).put(principal, namespace, key, value)

    async def get(self, principal: Principal, namespace: tuple[str, ...], key: str) -> Item | None:
        return await (await self._items()).get(principal, namespace, key)

    async def delete(self, principal: Principal, namespace: tuple[str, ...], key: str) -> None:
        await (await self._items()).delete(principal, namespace, key)

    async def search(self, principal: Principal, query: ItemQuery) -> Sequence[Item]:
        return await (await self._items()).search(principal, query)

    async def namespaces(
        self,
        principal: Principal,
        *,
        prefix: tuple[str, ...] = (),
        suffix: tuple[str, ...] = (),
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[tuple[str, ...]]:
        return await (await self._items()).namespaces(
            principal, prefix=prefix, suffix=suffix, max_depth=max_depth, limit=limit, offset=offset
        )
