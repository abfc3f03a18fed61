"""The Python SDK's streams of threads, over server-sent events and over a WebSocket."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langgraph_sdk import get_client
from tests.sdk.proxies import cutting_proxy
from tests.server.serving import Served, says

Run = Callable[..., None]

both_transports = pytest.mark.parametrize("transport", ["sse", "websocket"])


@both_transports
def test_a_run_on_a_thread_that_the_client_names_is_streamed(run: Run, transport: Any) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="echo", transport=transport) as thread:
            started = await thread.run.start(input=says("one two three"), metadata={"kind": "test"})
            (message,) = [message async for message in thread.messages]
            assert await message.text == "one two three "
            assert message.node == "say"
            output = await thread.output
            assert [m["content"] for m in output["messages"]] == ["one two three", "one two three "]

            stored = await served.sdk.runs.get(thread.thread_id, started["run_id"])
            assert (stored["status"], stored["metadata"]) == ("success", {"kind": "test"})

    run(scenario)


@both_transports
def test_an_interrupt_is_asked_and_answered(run: Run, transport: Any) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="asks", transport=transport) as thread:
            await thread.run.start(input=says("hi"))
            snapshots = [values async for values in thread.values]
            assert "__interrupt__" not in snapshots[-1]
            assert thread.interrupted
            (asked,) = thread.interrupts
            assert asked["value"] == {"question": "may I?"}

            await thread.run.respond("yes")

            output = await thread.output
            assert output["messages"][-1]["content"] == "you said yes"

    run(scenario)


@both_transports
def test_an_interrupt_is_answered_by_a_client_that_comes_later(run: Run, transport: Any) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="asks", transport=transport) as first:
            await first.run.start(input=says("hi"))
            async for _ in first.values:
                pass
        async with served.sdk.threads.stream(
            first.thread_id, assistant_id="asks", transport=transport
        ) as later:
            async with asyncio.timeout(5):
                while not later.interrupted:  # noqa: ASYNC110  the SDK has no event to wait for
                    await asyncio.sleep(0.01)
            await later.run.respond("yes")
            assert (await later.output)["messages"][-1]["content"] == "you said yes"

    run(scenario)


def test_tool_calls_are_told_with_their_results(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="adds") as thread:
            await thread.run.start(input=says("add"))
            calls = [call async for call in thread.tool_calls]
            told = [(call.tool_call_id, call.name, call.input, await call.output) for call in calls]
            assert told == [("call-1", "add", {"a": 1, "b": 2}, "3")]

    run(scenario)


def test_what_a_subgraph_says_is_under_its_handle(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="nested") as thread:
            await thread.run.start(input=says("hello"))
            handles = [handle async for handle in thread.subgraphs]
            assert [(handle.graph_name, handle.status) for handle in handles] == [("inner", "completed")]
            (message,) = [message async for message in handles[0].messages]
            assert await message.text == "hello "

    run(scenario)


def test_named_custom_events_are_an_extension(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="writes") as thread:
            await thread.run.start(input=says("go"))
            assert [data async for data in thread.extensions["progress"]] == [
                {"name": "progress", "payload": {"done": 1}}
            ]

    run(scenario)


def test_a_failed_run_is_an_error_of_its_output(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="echo") as thread:
            await thread.run.start(input=says("one fail: two"))
            with pytest.raises(RuntimeError, match="the model broke"):
                await thread.output

    run(scenario)


def test_a_cancelled_run_leaves_nobody_waiting(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.gate() as gate, served.sdk.threads.stream(assistant_id="echo") as thread:
            started = await thread.run.start(input=says(f"one {gate.word} two"))
            await gate.reached.wait()
            await served.sdk.runs.cancel(thread.thread_id, started["run_id"])
            with pytest.raises(RuntimeError, match="cancelled"):
                await thread.output

    run(scenario)


def test_a_stream_that_is_cut_off_goes_on_without_loss_or_repetition(run: Run) -> None:
    async def scenario(served: Served) -> None:
        words = [f"word{n}" for n in range(300)]
        async with (
            cutting_proxy(served.url, after_bytes=1_500, cuts=3) as proxy,
            get_client(url=proxy.url, api_key=None) as sdk,
            sdk.threads.stream(assistant_id="echo") as thread,
        ):
            await thread.run.start(input=says(" ".join(words)))
            (message,) = [message async for message in thread.messages]
            assert (await message.text).split() == words
            assert proxy.cuts_left < 3

    run(scenario)


def test_a_second_turn_sees_its_own_run(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="echo") as first:
            await first.run.start(input=says("one"))
            await first.output
        async with served.sdk.threads.stream(first.thread_id, assistant_id="echo") as second:
            await second.run.start(input=says("two"))
            (message,) = [message async for message in second.messages]
            assert await message.text == "two "

    run(scenario)


@both_transports
def test_the_output_of_each_turn_is_its_own(run: Run, transport: Any) -> None:
    async def scenario(served: Served) -> None:
        thread_id = await served.thread()
        for turn in range(5):
            async with served.sdk.threads.stream(
                thread_id, assistant_id="echo", transport=transport
            ) as thread:
                await thread.run.start(input=says(f"turn{turn}"))
                output = await thread.output
                assert output["messages"][-1]["content"] == f"turn{turn} "

    run(scenario)


def test_an_unknown_agent_is_an_error_that_lists_the_known_ones(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.sdk.threads.stream(assistant_id="nobody") as thread:
            with pytest.raises(RuntimeError, match=r"\[invalid_argument\].*no agent 'nobody'.*echo"):
                await thread.run.start(input=says("hi"))

    run(scenario)
