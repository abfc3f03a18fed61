from collections.abc import Callable

import pytest
from langgraph_sdk.errors import UnprocessableEntityError
from tests.server.serving import Served

Run = Callable[..., None]


def test_items_are_put_read_found_and_deleted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        store = served.sdk.store
        await store.put_item(["people", "ana"], key="likes", value={"food": "soup", "n": 1})
        await store.put_item(["people", "ben"], key="likes", value={"food": "tea", "n": 2})

        item = await store.get_item(["people", "ana"], key="likes")
        assert (item["namespace"], item["key"], item["value"]) == (
            ["people", "ana"],
            "likes",
            {"food": "soup", "n": 1},
        )
        found = await store.search_items(["people"], filter={"n": {"$gte": 2}})
        assert [one["value"]["food"] for one in found["items"]] == ["tea"]
        listed = await store.list_namespaces(prefix=["people"])
        assert listed["namespaces"] == [["people", "ana"], ["people", "ben"]]

        await store.delete_item(["people", "ana"], key="likes")
        assert await store.get_item(["people", "ana"], key="likes") is None

        for refused in (
            store.put_item([], key="k", value={}),
            store.put_item(["a"], key="k", value={}, ttl=5),
            store.search_items(["people"], query="who likes tea?"),
        ):
            with pytest.raises(UnprocessableEntityError):
                await refused

    run(scenario)
