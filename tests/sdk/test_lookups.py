"""Assistants, the store, and what is told about ids that don't exist."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError
from tests.processes import ServerProcess
from tests.sdk.parts import contents, events, text
from tests.server.serving import Served, says

Run = Callable[..., None]
AGENTS = ["talker", "counter", "caller", "asker", "outer", "failing"]


def test_assistants_are_found_counted_drawn_and_described(run: Run) -> None:
    async def scenario(served: Served) -> None:
        assistants = served.sdk.assistants
        assert [one["graph_id"] for one in await assistants.search()] == AGENTS
        (talker,) = await assistants.search(graph_id="talker")
        assert talker["description"] == "Says what it is told, word by word."
        assert await assistants.get(talker["assistant_id"]) == talker
        assert await assistants.get_versions(talker["assistant_id"]) == [talker]
        assert await assistants.count() == len(AGENTS)
        assert await assistants.count(graph_id="nobody") == 0
        page: Any = await assistants.search(limit=2, offset=1, response_format="object")
        assert ([one["graph_id"] for one in page["assistants"]], page["next"]) == (AGENTS[1:3], "3")

        graph = await assistants.get_graph(talker["assistant_id"])
        assert [node["id"] for node in graph["nodes"]] == ["__start__", "say", "__end__"]
        (outer,) = await assistants.search(graph_id="outer")
        drawn = await assistants.get_graph(outer["assistant_id"], xray=True)
        assert any("say" in str(node["id"]) for node in drawn["nodes"])
        schemas: Any = await assistants.get_schemas(talker["assistant_id"])
        assert schemas["graph_id"] == "talker"
        assert "messages" in schemas["input_schema"]["properties"]
        assert list(await assistants.get_subgraphs(outer["assistant_id"])) == ["inner"]

    run(scenario)


def test_items_are_put_read_found_and_deleted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        store, name = served.sdk.store, uuid4().hex
        await store.put_item([name, "ana"], key="likes", value={"food": "soup", "n": 1})
        await store.put_item([name, "ben"], key="likes", value={"food": "tea", "n": 2})
        await store.put_item([name, "ben"], key="likes", value={"food": "cake", "n": 3})

        item = await store.get_item([name, "ben"], key="likes")
        assert (item["value"], item["namespace"]) == ({"food": "cake", "n": 3}, [name, "ben"])
        assert item["created_at"] <= item["updated_at"]
        found = await store.search_items([name], filter={"food": "soup"})
        assert [one["namespace"] for one in found["items"]] == [[name, "ana"]]
        assert len((await store.search_items([name], limit=1))["items"]) == 1
        listed = await store.list_namespaces(prefix=[name])
        assert sorted(listed["namespaces"]) == [[name, "ana"], [name, "ben"]]
        assert (await store.list_namespaces(prefix=[name], max_depth=1))["namespaces"] == [[name]]

        await store.delete_item([name, "ana"], key="likes")
        assert await store.get_item([name, "ana"], key="likes") is None

    run(scenario)


def test_wrong_ids_and_bodies_are_told_with_a_sentence(run: Run) -> None:
    async def scenario(served: Served) -> None:
        sdk, nobody, thread = served.sdk, str(uuid4()), await served.thread()
        wrong: list[tuple[Awaitable[Any], type[Exception], str]] = [
            (sdk.threads.get(nobody), NotFoundError, f"no thread {nobody}"),
            (sdk.threads.get("mine"), UnprocessableEntityError, "must be a UUID"),
            (sdk.runs.get(thread, nobody), NotFoundError, f"no run {nobody}"),
            (sdk.runs.create(nobody, "talker", input={}), NotFoundError, f"no thread {nobody}"),
            (
                sdk.runs.create(thread, "tolker", input={}),
                NotFoundError,
                "no agent 'tolker'.*talker, counter",
            ),
            (sdk.runs.create(thread, nobody, input={}), NotFoundError, f"no agent '{nobody}'"),
            (sdk.assistants.get(nobody), NotFoundError, f"no agent '{nobody}'"),
            (
                sdk.runs.create(thread, "talker", stream_mode="vals"),
                UnprocessableEntityError,
                "Known ones: values",
            ),  # type: ignore[call-overload]
            (anext(sdk.runs.stream(nobody, "talker", input={})), NotFoundError, f"no thread {nobody}"),
            (anext(sdk.runs.join_stream(thread, nobody)), NotFoundError, f"no run {nobody}"),
            (sdk.threads.search(limit=-1), UnprocessableEntityError, "limit"),
            (sdk.threads.update_state(thread, {}), UnprocessableEntityError, "no agent yet"),
        ]
        for call, error, sentence in wrong:
            with pytest.raises(error, match=sentence):
                await call

    run(scenario)


def test_the_synchronous_client_streams_waits_and_looks_up(server: ServerProcess) -> None:
    with get_sync_client(url=server.url, api_key=None) as sdk:
        thread = sdk.threads.create()["thread_id"]
        parts = list(
            sdk.runs.stream(thread, "talker", input=says("one two"), stream_mode=["messages-tuple", "values"])
        )
        assert events(parts) == ["values", "messages", "values"]
        assert text(parts) == "one two "
        run_id = parts[0].data["run_id"]
        assert list(sdk.runs.join_stream(thread, run_id)) == parts
        assert contents(sdk.runs.wait(thread, "talker", input=says("three")))[-1] == "three"
        assert len(sdk.threads.get_history(thread, limit=3)) == 3
        with pytest.raises(NotFoundError, match="no run"):
            sdk.runs.get(thread, str(uuid4()))
