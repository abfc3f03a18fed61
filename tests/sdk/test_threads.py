"""Threads, their states and histories."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError
from tests.sdk.parts import contents
from tests.server.serving import Served, says

Run = Callable[..., None]
START = {"total": 3, "steps": []}


def test_threads_are_created_changed_found_counted_copied_and_deleted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        threads, tag, mine = served.sdk.threads, str(uuid4()), str(uuid4())
        created = await threads.create(thread_id=mine, metadata={"tag": tag}, graph_id="talker")
        assert (created["thread_id"], created["status"]) == (mine, "idle")
        with pytest.raises(ConflictError):
            await threads.create(thread_id=mine, if_exists="raise")
        assert (await threads.create(thread_id=mine, if_exists="do_nothing"))["thread_id"] == mine
        changed = await threads.update(mine, metadata={"title": "first"})
        assert changed["metadata"] == {**created["metadata"], "title": "first"}
        await served.sdk.runs.wait(mine, "talker", input=says("hi"))

        copied: Any = await threads.copy(mine)
        assert contents((await threads.get_state(copied["thread_id"]))["values"]) == ["hi", "hi"]
        found = await threads.search(metadata={"tag": tag}, sort_by="created_at", sort_order="asc")
        assert [one["thread_id"] for one in found] == [mine, copied["thread_id"]]
        assert contents(found[0]["values"]) == ["hi", "hi"]
        assert len(await threads.search(metadata={"tag": tag}, limit=1, offset=1)) == 1
        assert await threads.search(metadata={"tag": tag}, status="busy") == []
        assert await threads.count(metadata={"tag": tag}) == 2
        assert await threads.count(metadata={"tag": tag, "title": "second"}) == 0

        await threads.delete(mine)
        assert await threads.count(metadata={"tag": tag}) == 1
        with pytest.raises(NotFoundError, match="no thread"):
            await threads.get_state(mine)
        assert contents((await threads.get(copied["thread_id"]))["values"]) == ["hi", "hi"]

    run(scenario)


def test_a_state_is_read_written_and_read_again_at_each_checkpoint(run: Run) -> None:
    async def scenario(served: Served) -> None:
        threads, thread = served.sdk.threads, await served.thread()
        await served.sdk.runs.wait(thread, "counter", input=START)
        history = await threads.get_history(thread)
        assert [state["next"] for state in history] == [[], ["add_one"], ["double"], ["__start__"]]
        assert [state["values"].get("total") for state in history] == [7, 6, 3, None]
        for newer, older in pairwise(history):
            assert newer["parent_checkpoint"] == older["checkpoint"]

        written = await threads.update_state(thread, {"total": 50}, as_node="double")
        state = await threads.get_state(thread)
        assert (state["values"]["total"], state["next"]) == (50, ["add_one"])
        assert state["checkpoint"]["checkpoint_id"] == written["checkpoint"]["checkpoint_id"]
        for past in history[:-1]:
            at = past["checkpoint"]
            assert (await threads.get_state(thread, checkpoint=at))["values"] == past["values"]
            by_id = await threads.get_state(thread, checkpoint_id=at["checkpoint_id"])
            assert (by_id["values"], by_id["next"]) == (past["values"], past["next"])
        older = await threads.get_history(thread, limit=2, before=history[0]["checkpoint"])
        assert [one["checkpoint"] for one in older] == [one["checkpoint"] for one in history[1:3]]
        (update,) = await threads.get_history(thread, metadata={"source": "update"})
        assert update["checkpoint"] == state["checkpoint"]

    run(scenario)


def test_a_run_forks_a_thread_at_an_old_checkpoint(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, threads, thread = served.sdk.runs, served.sdk.threads, await served.thread()
        await runs.wait(thread, "talker", input=says("first"))
        old = (await threads.get_state(thread))["checkpoint"]
        await runs.wait(thread, "talker", input=says("second"))

        forked = await runs.wait(thread, "talker", input=says("instead"), checkpoint=old)
        again = await runs.wait(
            thread, "talker", input=says("again"), checkpoint_id=str(old["checkpoint_id"])
        )

        assert contents(forked) == ["first", "first", "instead", "instead"]
        assert contents(again) == ["first", "first", "again", "again"]
        assert contents((await threads.get_state(thread))["values"]) == contents(again)
        states = await threads.get_history(thread, limit=50)
        assert any("second" in contents(state["values"]) for state in states if state["values"])

    run(scenario)


def test_a_changed_past_is_run_again_from_there(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, threads, thread = served.sdk.runs, served.sdk.threads, await served.thread()
        await runs.wait(thread, "counter", input=START)
        past = (await threads.get_history(thread))[1]

        fork = await threads.update_state(thread, {"total": 100}, checkpoint=past["checkpoint"])
        values: Any = await runs.wait(thread, "counter", input=None, checkpoint=fork["checkpoint"])
        replayed: Any = await runs.wait(thread, "counter", input=None, checkpoint=past["checkpoint"])

        assert values == {"total": 101, "steps": ["double", "add_one"]}
        assert replayed == {"total": 7, "steps": ["double", "add_one"]}

    run(scenario)


def test_the_state_of_a_subgraph_that_waits_is_shown_when_asked_for(run: Run) -> None:
    async def scenario(served: Served) -> None:
        threads, thread = served.sdk.threads, await served.thread()
        async with served.gate() as gate:
            started = await served.sdk.runs.create(thread, "outer", input=says(f"one {gate.word}"))
            await gate.reached.wait()
            await served.sdk.runs.cancel(thread, started["run_id"], wait=True)

        (task,) = (await threads.get_state(thread, subgraphs=True))["tasks"]
        assert task["name"] == "inner"
        inner: Any = task["state"]
        assert (inner["next"], len(inner["values"]["messages"])) == (["say"], 1)

    run(scenario)


def test_runs_are_listed_read_and_deleted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        ids = [
            (await runs.create(thread, "counter", input=START, metadata={"n": n}))["run_id"] for n in range(3)
        ]
        await runs.join(thread, ids[-1])

        listed = await runs.list(thread)
        assert [one["run_id"] for one in listed] == ids[::-1]
        assert listed[0]["metadata"]["n"] == 2
        assert [one["run_id"] for one in await runs.list(thread, limit=1, offset=1)] == [ids[1]]
        assert await runs.list(thread, status="error") == []
        assert await runs.list(thread, limit=1, select=["run_id"]) == [{"run_id": ids[2]}]
        await runs.delete(thread, ids[0])
        assert len(await runs.list(thread)) == 2
        with pytest.raises(NotFoundError, match=f"no run {ids[0]}"):
            await runs.get(thread, ids[0])

    run(scenario)
