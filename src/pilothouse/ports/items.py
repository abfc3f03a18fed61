"""Long-term memory: items under namespaces."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from pilothouse.ports.principals import Principal


class Item(msgspec.Struct, frozen=True):
    """A record of long-term memory. Times are Unix milliseconds."""

    namespace: tuple[str, ...]
    key: str
    value: Mapping[str, object]
    created_at_ms: int
    updated_at_ms: int


class ItemQuery(msgspec.Struct, frozen=True):
    """Which items: those below a namespace whose value has every pair of `filter` (a value may be
    `{"$eq"|"$ne"|"$gt"|"$gte"|"$lt"|"$lte": …}`), newest update first."""

    namespace_prefix: tuple[str, ...] = ()
    filter: Mapping[str, object] | None = None
    limit: int = 10
    offset: int = 0


class Items(Protocol):
    """The items of each principal."""

    async def put(
        self, principal: Principal, namespace: tuple[str, ...], key: str, value: Mapping[str, object]
    ) -> Item:
        """Write or replace. `created_at_ms` stays when it replaces."""
        ...

    async def get(self, principal: Principal, namespace: tuple[str, ...], key: str) -> Item | None: ...

    async def delete(self, principal: Principal, namespace: tuple[str, ...], key: str) -> None:
        """Deleting what is not there does nothing."""
        ...

    async def search(self, principal: Principal, query: ItemQuery) -> Sequence[Item]: ...

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
        """The namespaces that hold items, in order; `"*"` in prefix or suffix matches any one label."""
        ...
