"""Routes of long-term memory, which the protocol calls the store."""

from collections.abc import Sequence

from starlette.responses import Response

from pilothouse.errors import InvalidRequest
from pilothouse.server.calls import Call, Operation, body_operation, json_reply, operation
from pilothouse.server.parts import Parts
from pilothouse.wire.items import (
    ItemDelete,
    ItemGet,
    ItemPut,
    ItemReply,
    ItemSearch,
    ItemsFound,
    NamespaceSearch,
    NamespacesFound,
    item_reply,
)


class ItemRoutes:
    def __init__(self, parts: Parts) -> None:
        self._items = parts.items

    def operations(self) -> Sequence[Operation]:
        return (
            body_operation("PUT", "/store/items", ItemPut, self.put),
            operation("GET", "/store/items", self.get, query=ItemGet, reply=ItemReply),
            body_operation("DELETE", "/store/items", ItemDelete, self.delete),
            body_operation("POST", "/store/items/search", ItemSearch, self.search, reply=ItemsFound),
            body_operation(
                "POST", "/store/namespaces", NamespaceSearch, self.namespaces, reply=NamespacesFound
            ),
        )

    async def put(self, call: Call, body: ItemPut) -> Response:
        """Write an item, or replace it."""
        if not body.namespace:
            raise InvalidRequest("An item needs a namespace with at least one label.")
        if body.ttl is not None:
            raise InvalidRequest("Items that expire (`ttl`) are not supported yet.")
        await self._items.put(call.principal, body.namespace, body.key, body.value)
        return Response(status_code=204)

    async def get(self, call: Call) -> Response:
        """Get an item; null if there is none."""
        query = call.query(ItemGet)
        item = await self._items.get(call.principal, query.labels(), query.key)
        return json_reply(None if item is None else item_reply(item))

    async def delete(self, call: Call, body: ItemDelete) -> Response:
        """Delete an item, if it is there."""
        await self._items.delete(call.principal, body.namespace, body.key)
        return Response(status_code=204)

    async def search(self, call: Call, body: ItemSearch) -> Response:
        """Find items below a namespace."""
        items = await self._items.search(call.principal, body.items_query())
        return json_reply(ItemsFound([item_reply(item) for item in items]))

    async def namespaces(self, call: Call, body: NamespaceSearch) -> Response:
        """List the namespaces that hold items."""
        found = await self._items.namespaces(
            call.principal,
            prefix=body.prefix or (),
            suffix=body.suffix or (),
            max_depth=body.max_depth,
            limit=100 if body.limit is None else body.limit,
            offset=body.offset or 0,
        )
        return json_reply(NamespacesFound(found))
