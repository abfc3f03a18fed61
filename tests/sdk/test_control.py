"""Runs that are cancelled, that meet on one thread, and that ask a human."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError
from tests.sdk.parts import contents, datas, parts_of
from tests.server.serving import Gate, Served, says

Run = Callable[..., None]


async def start(served: Served, thread: str, gate: Gate, word: str) -> str:
    """A run that has said a word and waits at the gate."""
    started = await served.sdk.runs.create(thread, "talker", input=says(f"{word} {gate.word} end"))
    await gate.reached.wait()
    return str(started["run_id"])


def test_runs_that_work_and_that_wait_are_cancelled(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            working = await start(served, thread, gate, "one")
            waiting = str((await runs.create(thread, "talker", input=says("two")))["run_id"])
            stream = runs.join_stream(thread, working)
            assert (await anext(stream)).event == "metadata"
            await runs.cancel(thread, waiting, wait=True)
            assert (await runs.get(thread, waiting))["status"] == "interrupted"
            assert (await runs.get(thread, working))["status"] == "running"
            await runs.cancel(thread, working)
            assert (await parts_of(stream))[-1].event == "end"

        assert (await runs.get(thread, working))["status"] == "interrupted"
        assert contents(await runs.wait(thread, "talker", input=says("three")))[-1] == "three"

    run(scenario)


def test_on_a_busy_thread_a_run_is_rejected_or_waits_its_turn(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            await start(served, thread, gate, "one")
            with pytest.raises(ConflictError, match="busy"):
                await runs.create(thread, "talker", input=says("no"), multitask_strategy="reject")
            queued = [
                await runs.create(thread, "talker", input=says(word), multitask_strategy="enqueue")
                for word in ("two", "three")
            ]
            assert {one["status"] for one in queued} == {"pending"}

        last = await runs.join(thread, queued[-1]["run_id"])
        assert contents(last)[1:] == ["one end", "two", "two", "three", "three"]
        assert [one["status"] for one in await runs.list(thread)] == ["success"] * 3

    run(scenario)


def test_a_run_interrupts_the_one_before_it_and_keeps_what_that_was_told(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            first = await start(served, thread, gate, "one")
            values = await runs.wait(thread, "talker", input=says("two"), multitask_strategy="interrupt")

        assert contents(values)[0].startswith("one")
        assert contents(values)[1:] == ["two", "two"]
        assert (await runs.get(thread, first))["status"] == "interrupted"

    run(scenario)


def test_a_run_rolls_the_one_before_it_back(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        await runs.wait(thread, "talker", input=says("kept"))
        async with served.gate() as gate:
            first = await start(served, thread, gate, "dropped")
            values = await runs.wait(thread, "talker", input=says("two"), multitask_strategy="rollback")

        assert contents(values) == ["kept", "kept", "two", "two"]
        with pytest.raises(NotFoundError):
            await runs.get(thread, first)

    run(scenario)


def test_a_run_asks_twice_and_goes_on_with_each_answer(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, threads, thread = served.sdk.runs, served.sdk.threads, await served.thread()
        asked: Any = await runs.wait(thread, "asker", input={"city": "Rome"})
        assert [one["value"] for one in asked["__interrupt__"]] == [
            {"question": "When do you want to go to Rome?"}
        ]
        shown = await threads.get(thread)
        state = await threads.get_state(thread)
        ((waiting,),) = shown["interrupts"].values()
        assert (shown["status"], waiting["id"]) == ("interrupted", asked["__interrupt__"][0]["id"])
        assert (state["next"], state["tasks"][0]["interrupts"]) == (["choose"], [waiting])
        assert (await runs.list(thread))[0]["status"] == "interrupted"

        stream = runs.stream(
            thread,
            "asker",
            command={"resume": {waiting["id"]: "Monday"}},
            stream_mode=["updates", "values"],
        )
        parts = await parts_of(stream)
        assert datas(parts, "updates")[0] == {"choose": {"day": "Monday"}}
        (second,) = datas(parts, "values")[-1]["__interrupt__"]
        assert second["value"] == {"question": "Book Rome on Monday?"}

        booked: Any = await runs.wait(thread, "asker", command={"resume": "yes"})
        assert booked == {"city": "Rome", "day": "Monday", "booked": "Rome on Monday"}
        assert (await threads.get(thread))["status"] == "idle"
        assert (await threads.get(thread))["interrupts"] == {}

    run(scenario)


def test_a_run_stops_before_a_node_and_goes_on_without_input(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        start: Any = {"input": {"total": 3, "steps": []}, "interrupt_before": ["add_one"]}
        stopped = await runs.wait(thread, "counter", **start)
        assert stopped == {"total": 6, "steps": ["double"]}
        shown = await served.sdk.threads.get(thread)
        assert (shown["status"], shown["interrupts"]) == ("interrupted", {})
        assert (await served.sdk.threads.get_state(thread))["next"] == ["add_one"]

        assert await runs.wait(thread, "counter", input=None) == {"total": 7, "steps": ["double", "add_one"]}
        parts = await parts_of(runs.stream(None, "counter", stream_mode="values", **start))
        assert [data["total"] for data in datas(parts, "values")] == [3, 6]

    run(scenario)


def test_a_command_writes_to_the_state_and_goes_to_a_node(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        await runs.wait(thread, "counter", input={"total": 3, "steps": []})

        values: Any = await runs.wait(thread, "counter", command={"update": {"total": 50}, "goto": "add_one"})

        assert values == {"total": 51, "steps": ["double", "add_one", "add_one"]}

    run(scenario)
