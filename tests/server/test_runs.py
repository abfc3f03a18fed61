from collections.abc import Callable
from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError
from tests.server.serving import Served, says

Run = Callable[..., None]


def contents(values: Any) -> list[str]:
    return [message["content"].strip() for message in values["messages"]]


def test_a_run_is_waited_for_and_answers_with_its_values(run: Run) -> None:
    async def scenario(served: Served) -> None:
        values = await served.sdk.runs.wait(await served.thread(), "echo", input=says("hello there"))

        assert contents(values) == ["hello there", "hello there"]

    run(scenario)


def test_an_agent_may_be_named_by_its_assistant_id(run: Run) -> None:
    async def scenario(served: Served) -> None:
        assistant = await served.sdk.assistants.get("echo")

        values = await served.sdk.runs.wait(
            await served.thread(), assistant["assistant_id"], input=says("hi")
        )

        assert contents(values) == ["hi", "hi"]

    run(scenario)


def test_a_run_in_the_background_is_joined_listed_and_read(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        created: list[Any] = []
        async with served.gate() as gate:
            started = await runs.create(
                thread,
                "echo",
                input=says(f"one {gate.word} two"),
                metadata={"a": 1},
                on_run_created=created.append,
            )
            run_id = started["run_id"]
            assert created == [{"run_id": run_id, "thread_id": thread}]
            assert (started["status"], started["metadata"]) == ("pending", {"a": 1})
            await gate.reached.wait()
            assert (await runs.get(thread, run_id))["status"] == "running"
            with pytest.raises(ConflictError, match="cancel it first"):
                await runs.delete(thread, run_id)

        assert contents(await runs.join(thread, run_id))[-1] == "one two"
        assert [r["run_id"] for r in await runs.list(thread, status="success")] == [run_id]
        assert await runs.list(thread, select=["status"]) == [{"status": "success"}]
        await runs.delete(thread, run_id)
        with pytest.raises(NotFoundError, match=f"no run {run_id}"):
            await runs.get(thread, run_id)

    run(scenario)


def test_a_run_is_cancelled_and_the_thread_goes_on(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            started = await runs.create(thread, "echo", input=says(f"one {gate.word}"))
            await gate.reached.wait()
            await runs.cancel(thread, started["run_id"], wait=True)

        assert (await runs.get(thread, started["run_id"]))["status"] == "interrupted"
        assert contents(await runs.wait(thread, "echo", input=says("again")))[-1] == "again"

    run(scenario)


def test_a_cancelled_run_can_be_rolled_back(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        before = await runs.wait(thread, "echo", input=says("kept"))
        async with served.gate() as gate:
            started = await runs.create(thread, "echo", input=says(f"dropped {gate.word}"))
            await gate.reached.wait()
            await runs.cancel(thread, started["run_id"], wait=True, action="rollback")

        assert (await served.sdk.threads.get_state(thread))["values"] == before

    run(scenario)


def test_several_runs_are_cancelled_at_once(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            started = [await runs.create(thread, "echo", input=says(gate.word)) for _ in range(2)]
            await gate.reached.wait()
            await runs.cancel_many(thread_id=thread, run_ids=[one["run_id"] for one in started])
            for one in started:
                await runs.join(thread, one["run_id"])

        assert [r["status"] for r in await runs.list(thread)] == ["interrupted", "interrupted"]

    run(scenario)


def test_a_second_run_on_a_busy_thread_waits_or_is_rejected(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            await runs.create(thread, "echo", input=says(f"first {gate.word}"))
            await gate.reached.wait()
            second = await runs.create(thread, "echo", input=says("second"))
            with pytest.raises(ConflictError, match="busy with a run"):
                await runs.create(thread, "echo", input=says("third"), multitask_strategy="reject")

        assert contents(await runs.join(thread, second["run_id"])) == [
            "first gate:" + gate.path,
            "first",
            "second",
            "second",
        ]

    run(scenario)


def test_a_thread_can_be_made_by_its_first_run(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = "6ba7b821-9dad-11d1-80b4-00c04fd430c8"
        with pytest.raises(NotFoundError, match="no thread"):
            await served.sdk.runs.create(thread, "echo", input=says("hi"))

        values = await served.sdk.runs.wait(thread, "echo", input=says("hi"), if_not_exists="create")

        assert contents(values) == ["hi", "hi"]
        await served.sdk.threads.delete(thread)

    run(scenario)


def test_a_failed_run_tells_why_and_leaves_the_thread_usable(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        with pytest.raises(Exception, match="run_failed: ValueError: the model broke"):
            await runs.wait(thread, "echo", input=says("fail:"))
        answer: Any = await runs.wait(thread, "echo", input=says("fail:"), raise_error=False)
        assert answer["__error__"]["error"] == "run_failed"
        shown: Any = await served.sdk.threads.get(thread)
        assert (shown["status"], shown["error"]["message"]) == ("error", "ValueError: the model broke")

        assert contents(await runs.wait(thread, "echo", input=says("better")))[-1] == "better"

    run(scenario)


def test_a_run_that_asks_a_human_is_resumed_with_the_answer(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        asked: Any = await runs.wait(thread, "asks", input=says("go"))
        assert [i["value"] for i in asked["__interrupt__"]] == [{"question": "may I?"}]

        assert contents(await runs.wait(thread, "asks", command={"resume": "yes"}))[-1] == "you said yes"

    run(scenario)


def test_runs_without_a_thread_leave_none(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs = served.sdk.runs
        assert contents(await runs.wait(None, "echo", input=says("hi"))) == ["hi", "hi"]
        batch = await runs.create_batch(
            [{"assistant_id": "echo", "input": says("a")}, {"assistant_id": "echo", "input": says("b")}]  # type: ignore[list-item]
        )
        for one in batch:
            assert len(contents(await runs.join(one["thread_id"], one["run_id"]))) == 2

    run(scenario)


def test_a_run_without_a_thread_can_keep_the_one_that_it_gets(run: Run) -> None:
    async def scenario(served: Served) -> None:
        created: list[Any] = []
        await served.sdk.runs.wait(
            None, "echo", input=says("hi"), on_completion="keep", on_run_created=created.append
        )

        state = await served.sdk.threads.get_state(created[0]["thread_id"])
        assert contents(state["values"]) == ["hi", "hi"]

    run(scenario)


def test_a_run_can_start_later(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        later = await runs.create(thread, "echo", input=says("later"), after_seconds=3600)
        assert (await runs.get(thread, later["run_id"]))["status"] == "pending"

        await runs.cancel(thread, later["run_id"], wait=True)
        assert (await runs.get(thread, later["run_id"]))["status"] == "interrupted"

    run(scenario)
