from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError
from tests.server.serving import Served, says

Run = Callable[..., None]


def test_a_thread_is_created_found_changed_and_deleted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        threads, mine = served.sdk.threads, str(uuid4())
        created = await threads.create(thread_id=mine, metadata={"owner": "me", "n": 1})
        assert (created["thread_id"], created["status"], created["values"]) == (mine, "idle", None)

        changed = await threads.update(mine, metadata={"n": 2})
        assert changed["metadata"] == {"owner": "me", "n": 2}
        assert (await threads.get(mine))["metadata"] == {"owner": "me", "n": 2}

        assert await threads.update(mine, metadata={"n": 3}, return_minimal=True) is None
        await threads.delete(mine)
        with pytest.raises(NotFoundError, match=f"no thread {mine}"):
            await threads.get(mine)

    run(scenario)


def test_a_thread_that_exists_is_a_conflict_unless_that_is_fine(run: Run) -> None:
    async def scenario(served: Served) -> None:
        mine = await served.thread(metadata={"a": 1})
        with pytest.raises(ConflictError, match="exists already"):
            await served.sdk.threads.create(thread_id=mine)

        again = await served.sdk.threads.create(thread_id=mine, if_exists="do_nothing")
        assert again["metadata"] == {"a": 1}

    run(scenario)


def test_a_thread_shows_the_values_of_its_state(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        await served.sdk.runs.wait(thread, "echo", input=says("hello there"))

        values: Any = (await served.sdk.threads.get(thread))["values"]
        assert [m["content"].strip() for m in values["messages"]] == ["hello there", "hello there"]

    run(scenario)


def test_a_thread_that_waits_for_a_human_shows_what_is_asked(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        await served.sdk.runs.wait(thread, "asks", input=says("go"))

        shown = await served.sdk.threads.get(thread)
        (asked,) = shown["interrupts"].values()
        assert (shown["status"], asked[0]["value"]) == ("interrupted", {"question": "may I?"})

    run(scenario)


def test_threads_are_found_by_metadata_status_ids_and_values(run: Run) -> None:
    async def scenario(served: Served) -> None:
        tag = {"test": str(uuid4())}
        idle, asking = [await served.thread(metadata=tag) for _ in range(2)]
        await served.sdk.runs.wait(asking, "asks", input=says("go"))
        state = (await served.sdk.threads.get(asking))["values"]

        async def found(**query: Any) -> set[str]:
            return {t["thread_id"] for t in await served.sdk.threads.search(metadata=tag, **query)}

        assert await found() == {idle, asking}
        assert await found(status="interrupted") == {asking}
        assert await found(ids=[idle, str(uuid4())]) == {idle}
        assert await found(values=state) == {asking}
        assert await served.sdk.threads.count(metadata=tag) == 2
        assert await served.sdk.threads.count(metadata=tag, status="idle") == 1
        assert await served.sdk.threads.count(metadata=tag, values=state) == 1

    run(scenario)


def test_an_agents_threads_are_found_by_its_name_in_the_metadata(run: Run) -> None:
    async def scenario(served: Served) -> None:
        tag = {"test": str(uuid4())}
        named = await served.thread(metadata=tag, graph_id="echo")
        ran = await served.thread(metadata=tag)
        await served.sdk.runs.wait(ran, "echo", input=says("hi"))
        other = await served.thread(metadata=tag)
        await served.sdk.runs.wait(other, "adds", input=says("hi"))

        assistant = (await served.sdk.assistants.get("echo"))["assistant_id"]
        for agent in ({"graph_id": "echo"}, {"assistant_id": assistant}):
            found = await served.sdk.threads.search(metadata={**tag, **agent})
            assert {thread["thread_id"] for thread in found} == {named, ran}
        assert await served.sdk.threads.count(metadata={**tag, "graph_id": "nobody"}) == 0
        shown = (await served.sdk.threads.get(ran))["metadata"]
        assert shown == {**tag, "graph_id": "echo", "assistant_id": assistant}

    run(scenario)


def test_a_search_is_sorted_paged_and_cut_to_the_chosen_fields(run: Run) -> None:
    async def scenario(served: Served) -> None:
        tag = {"test": str(uuid4())}
        ids = sorted([await served.thread(metadata=tag) for _ in range(3)])
        body = {
            "metadata": tag,
            "limit": 2,
            "sort_by": "thread_id",
            "sort_order": "asc",
            "select": ["thread_id"],
        }

        reply = await served.http.post("/threads/search", json=body)

        assert reply.json() == [{"thread_id": ids[0]}, {"thread_id": ids[1]}]
        assert reply.headers["x-pagination-total"] == "3"
        assert reply.headers["x-pagination-next"] == "2"

    run(scenario)


def test_a_copy_has_the_state_and_goes_its_own_way(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread(metadata={"a": 1})
        await served.sdk.runs.wait(thread, "echo", input=says("one"))

        copied: Any = await served.sdk.threads.copy(thread)
        copy = copied["thread_id"]
        assert copy != thread
        await served.sdk.runs.wait(copy, "echo", input=says("two"))

        contents = {
            one: [m["content"] for m in (await served.sdk.threads.get_state(one))["values"]["messages"]]
            for one in (thread, copy)
        }
        assert (len(contents[thread]), len(contents[copy])) == (2, 4)
        assert (await served.sdk.threads.get(copy))["metadata"]["a"] == 1

    run(scenario)


def test_the_state_is_read_written_and_has_a_history(run: Run) -> None:
    async def scenario(served: Served) -> None:
        threads, thread = served.sdk.threads, await served.thread()
        assert (await threads.get_state(thread))["values"] == {}
        assert await threads.get_history(thread) == []
        await served.sdk.runs.wait(thread, "echo", input=says("one"))

        before = await threads.get_state(thread)
        await threads.update_state(thread, says("added"), as_node="say")
        after = await threads.get_state(thread)

        assert len(before["values"]["messages"]) == 2
        assert len(after["values"]["messages"]) == 3
        old_id = str(before["checkpoint"]["checkpoint_id"])
        assert (await threads.get_state(thread, checkpoint_id=old_id))["values"] == before["values"]
        assert (await threads.get_state(thread, checkpoint=before["checkpoint"]))["values"] == before[
            "values"
        ]
        history = await threads.get_history(thread)
        assert history[0]["values"] == after["values"]
        assert history[1]["checkpoint"]["checkpoint_id"] == old_id
        older = await threads.get_history(thread, before=before["checkpoint"])
        assert [s["checkpoint"] for s in older] == [s["checkpoint"] for s in history[2:]]

    run(scenario)


def test_parts_of_a_state_can_be_chosen(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        await served.sdk.runs.wait(thread, "echo", input=says("one"))

        chosen = await served.sdk.threads.get_state(thread, select=["next", "values.messages"])

        assert set(chosen) == {"next", "values"}
        assert set(chosen["values"]) == {"messages"}

    run(scenario)


def test_a_thread_can_be_made_with_a_state(run: Run) -> None:
    async def scenario(served: Served) -> None:
        steps = [{"updates": [{"values": says("before"), "as_node": "say"}]}]
        thread = await served.thread(graph_id="echo", supersteps=steps)

        state = await served.sdk.threads.get_state(thread)

        assert [m["content"] for m in state["values"]["messages"]] == ["before"]

    run(scenario)


def test_a_state_can_not_be_written_while_a_run_is_at_work(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        async with served.gate() as gate:
            await served.sdk.runs.create(thread, "echo", input=says(gate.word))
            await gate.reached.wait()
            with pytest.raises(ConflictError, match="busy with a run"):
                await served.sdk.threads.update_state(thread, says("x"))

    run(scenario)


def test_several_threads_are_pruned_at_once(run: Run) -> None:
    async def scenario(served: Served) -> None:
        ids = [await served.thread() for _ in range(2)]

        assert await served.sdk.threads.prune([*ids, str(uuid4())]) == {"pruned_count": 2}

    run(scenario)
