"""Items of long-term memory on the wire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pilothouse.errors import InvalidRequest
from pilothouse.ports.items import Item, ItemQuery
from pilothouse.wire.paging import Limit, Skip
from pilothouse.wire.replies import instant

Label = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^.]+$")]
Key = Annotated[str, Meta(min_length=1, max_length=1024)]


class ItemPut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    namespace: tuple[Label, ...]
    key: Key
    value: Mapping[str, Any]
    index: Literal[False] | Sequence[str] | None = None
    """Which fields to index; there is no index by meaning yet, so it changes nothing."""
    ttl: float | None = None


class ItemDelete(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Key
    namespace: tuple[Label, ...] = ()


class ItemGet(msgspec.Struct, frozen=True):
    """A query; the namespace's labels are joined with dots."""

    key: str
    namespace: str = ""
    refresh_ttl: bool | None = None

    def labels(self) -> tuple[str, ...]:
        return tuple(self.namespace.split(".")) if self.namespace else ()


class ItemSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    namespace_prefix: tuple[Label, ...] | None = None
    filter: Mapping[str, Any] | None = None
    limit: Limit | None = None
    offset: Skip | None = None
    query: str | None = None
    refresh_ttl: bool | None = None

    def items_query(self) -> ItemQuery:
        if self.query:
            raise InvalidRequest("Search by meaning (`query`) is not supported yet: use `filter`.")
        return ItemQuery(
            namespace_prefix=self.namespace_prefix or (),
            filter=self.filter,
            limit=10 if self.limit is None else self.limit,
            offset=self.offset or 0,
        )


class NamespaceSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prefix: tuple[Label, ...] | None = None
    suffix: tuple[Label, ...] | None = None
    max_depth: Annotated[int, Meta(ge=1)] | None = None
    limit: Limit | None = None
    offset: Skip | None = None


class ItemReply(msgspec.Struct, frozen=True):
    namespace: tuple[str, ...]
    key: str
    value: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class ItemsFound(msgspec.Struct, frozen=True):
    items: Sequence[ItemReply]


class NamespacesFound(msgspec.Struct, frozen=True):
    namespaces: Sequence[tuple[str, ...]]


def item_reply(item: Item) -> ItemReply:
    return ItemReply(
        namespace=item.namespace,
        key=item.key,
        value=item.value,
        created_at=instant(item.created_at_ms),
        updated_at=instant(item.updated_at_ms),
    )
