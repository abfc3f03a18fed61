"""Streams of runs, as the SDK's users see them."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph_sdk import get_client
from tests.sdk.parts import contents, datas, events, parts_of, text
from tests.sdk.proxies import cutting_proxy
from tests.server.serving import Served, says

Run = Callable[..., None]
START = {"total": 3, "steps": []}


def test_a_model_is_streamed_word_by_word_between_the_steps(run: Run) -> None:
    async def scenario(served: Served) -> None:
        created: list[Any] = []
        thread = await served.thread()
        async with served.gate() as gate:
            stream = served.sdk.runs.stream(
                thread,
                "talker",
                input=says(f"one {gate.word} two"),
                stream_mode=["values", "updates", "messages-tuple"],
                on_run_created=created.append,
            )
            parts: list[Any] = []
            async for part in stream:
                parts.append(part)
                if text(parts) == "one ":
                    gate.open()

        assert created == [{"run_id": parts[0].data["run_id"], "thread_id": thread}]
        assert events(parts) == ["values", "messages", "updates", "values"]
        assert text(parts) == "one two "
        pieces = datas(parts, "messages")
        assert {piece["id"] for piece, _ in pieces} == {datas(parts, "values")[-1]["messages"][-1]["id"]}
        assert {(meta["langgraph_node"], meta["thread_id"]) for _, meta in pieces} == {("say", thread)}
        assert list(datas(parts, "updates")[0]) == ["say"]
        assert contents(datas(parts, "values")[-1])[-1] == "one two"

    run(scenario)


def test_messages_so_far_grow_to_the_whole_message(run: Run) -> None:
    async def scenario(served: Served) -> None:
        stream = served.sdk.runs.stream(
            await served.thread(), "talker", input=says("one two three"), stream_mode="messages"
        )
        parts = await parts_of(stream)

        assert events(parts) == ["messages/metadata", "messages/partial"]
        texts = [data[0]["content"] for data in datas(parts, "messages/partial")]
        assert texts == sorted(texts, key=len)
        assert texts[-1] == "one two three "

    run(scenario)


def test_steps_values_tasks_and_what_a_node_writes_are_streamed(run: Run) -> None:
    async def scenario(served: Served) -> None:
        modes: Any = ["custom", "updates", "values", "tasks"]
        parts = await parts_of(
            served.sdk.runs.stream(await served.thread(), "counter", input=START, stream_mode=modes)
        )

        assert datas(parts, "custom") == [{"doubling": 3}]
        assert datas(parts, "updates") == [
            {"double": {"total": 6, "steps": ["double"]}},
            {"add_one": {"total": 7, "steps": ["add_one"]}},
        ]
        assert [data["total"] for data in datas(parts, "values")] == [3, 6, 7]
        assert [data["name"] for data in datas(parts, "tasks")] == ["double", "double", "add_one", "add_one"]

    run(scenario)


def test_checkpoints_and_debug_tell_each_step(run: Run) -> None:
    async def scenario(served: Served) -> None:
        modes: Any = ["checkpoints", "debug"]
        parts = await parts_of(
            served.sdk.runs.stream(await served.thread(), "counter", input=START, stream_mode=modes)
        )

        assert [data["next"] for data in datas(parts, "checkpoints")] == [
            ["__start__"],
            ["double"],
            ["add_one"],
            [],
        ]
        assert {data["type"] for data in datas(parts, "debug")} == {"checkpoint", "task", "task_result"}

    run(scenario)


def test_a_subgraph_is_streamed_under_its_namespace_when_asked_for(run: Run) -> None:
    async def scenario(served: Served) -> None:
        modes: Any = ["updates", "messages-tuple"]
        for subgraphs in (True, False):
            stream = served.sdk.runs.stream(
                await served.thread(),
                "outer",
                input=says("one two"),
                stream_mode=modes,
                stream_subgraphs=subgraphs,
            )
            parts = await parts_of(stream)

            inner = [part for part in parts if "|inner:" in part.event]
            assert [next(iter(data)) for data in datas(parts, "updates")] == ["inner"]
            assert {part.event.partition("|")[0] for part in inner} == (
                {"messages", "updates"} if subgraphs else set()
            )
            assert text(inner) == ("one two " if subgraphs else "")

    run(scenario)


def test_a_tool_call_its_result_and_the_answer_are_streamed_in_order(run: Run) -> None:
    async def scenario(served: Served) -> None:
        modes: Any = ["messages-tuple", "tools"]
        stream = served.sdk.runs.stream(
            await served.thread(), "caller", input=says("1 + 2"), stream_mode=modes
        )
        parts = await parts_of(stream)

        call, result, answer = [data[0] for data in datas(parts, "messages")]
        assert [(one["name"], one["args"]) for one in call["tool_calls"]] == [("add", {"a": 1, "b": 2})]
        assert (result["type"], result["tool_call_id"], result["content"]) == ("tool", "call-1", "3")
        assert answer["content"] == "It is 3."
        assert [data["event"] for data in datas(parts, "tools")] == ["tool-started", "tool-finished"]

    run(scenario)


def test_a_stream_is_told_in_typed_parts_when_asked_for(run: Run) -> None:
    async def scenario(served: Served) -> None:
        stream = served.sdk.runs.stream(
            await served.thread(), "asker", input={"city": "Rome"}, stream_mode="values", version="v2"
        )
        parts: list[Any] = [part async for part in stream]

        assert [part["type"] for part in parts] == ["metadata", "values", "values"]
        assert parts[-1]["data"] == {"city": "Rome"}
        (asked,) = parts[-1]["interrupts"]
        assert asked["value"] == {"question": "When do you want to go to Rome?"}

    run(scenario)


def test_a_failing_run_streams_what_it_said_then_why_it_failed(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        parts = await parts_of(
            runs.stream(thread, "failing", input=says("one two"), stream_mode="messages-tuple")
        )

        assert events(parts) == ["messages", "error"]
        assert text(parts) == "one two "
        (error,) = datas(parts, "error")
        assert "the agent broke" in error["message"]
        run_id = parts[0].data["run_id"]
        assert (await runs.get(thread, run_id))["status"] == "error"
        assert (await served.sdk.threads.get(thread))["status"] == "error"
        with pytest.raises(Exception, match="the agent broke"):
            await runs.wait(thread, "failing", input=says("again"))
        told: Any = await runs.wait(thread, "failing", input=says("again"), raise_error=False)
        assert "the agent broke" in told["__error__"]["message"]

        assert contents(await runs.wait(thread, "failing", input=says("behave")))[-1] == "fine"
        assert (await served.sdk.threads.get(thread))["status"] == "idle"

    run(scenario)


def test_a_run_without_a_thread_is_streamed_and_waited_for(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, created = served.sdk.runs, list[Any]()
        parts = await parts_of(
            runs.stream(
                None,
                "talker",
                input=says("one two"),
                stream_mode="messages-tuple",
                on_run_created=created.append,
            )
        )
        assert text(parts) == "one two "
        assert created[0]["run_id"] == parts[0].data["run_id"]
        assert contents(await runs.wait(None, "talker", input=says("three"))) == ["three", "three"]

    run(scenario)


def test_after_cut_connections_the_sdk_has_every_word_once(run: Run) -> None:
    async def scenario(served: Served) -> None:
        words = [f"word{n}" for n in range(60)]
        thread = await served.thread()
        async with (
            cutting_proxy(served.url, after_bytes=9001, cuts=3) as proxy,
            get_client(url=proxy.url, api_key=None) as sdk,
        ):
            stream = sdk.runs.stream(
                thread,
                "talker",
                input=says(" ".join(words)),
                stream_mode=["messages-tuple", "updates"],
                stream_resumable=True,
                config={"configurable": {"pause": 0.03}},
            )
            parts = await parts_of(stream)

        assert proxy.cuts_left == 0
        assert text(parts).split() == words
        assert events(parts) == ["messages", "updates"]
        whole = await parts_of(served.sdk.runs.join_stream(thread, parts[0].data["run_id"]))
        assert parts == whole

    run(scenario)
