"""What a collector gets of runs."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.serving import says
from tests.telemetry.conftest import Instance, Stage
from tests.telemetry.receiver import Receiver

Play = Callable[..., None]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def calculation(stage: Stage) -> None:
    """The model calls a tool, then answers."""
    stage.model.reply(tool="calculate", arguments={"expression": "6*7"})
    stage.model.reply("It is forty two.")


async def run_on(instance: Instance, agent: str, text: str, **options: Any) -> dict[str, Any]:
    """Run to the end on a new thread; returns the run."""
    thread = (await instance.sdk.threads.create())["thread_id"]
    run = await instance.sdk.runs.create(thread, agent, input=says(text), **options)
    await instance.sdk.runs.join(thread, run["run_id"])
    return dict(run)


def test_a_run_is_a_span_with_its_model_and_tool_calls_within(play: Play, receiver: Receiver) -> None:
    runs: list[dict[str, Any]] = []

    async def scenario(stage: Stage) -> None:
        calculation(stage)
        async with stage.open() as instance:
            runs.append(await run_on(instance, "assistant", "six times seven"))

    play(scenario, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    (run,) = runs
    (attempt,) = receiver.named("invoke_agent")
    first_call, second_call = receiver.named("chat")
    (tool,) = receiver.named("execute_tool")
    assert attempt.name == "invoke_agent assistant"
    assert dict(attempt.attributes) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": "assistant",
        "gen_ai.agent.name": "assistant",
        "gen_ai.conversation.id": run["thread_id"],
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 5,
        "pilothouse.run.id": run["run_id"],
        "pilothouse.run.attempt": 1,
        "pilothouse.run.outcome": "success",
    }
    assert (first_call.name, tool.name) == ("chat scripted", "execute_tool calculate")
    assert second_call.attributes["gen_ai.provider.name"] == "openai"
    assert second_call.attributes["gen_ai.request.model"] == "scripted"
    assert second_call.attributes["gen_ai.usage.input_tokens"] == 10
    assert second_call.attributes["gen_ai.usage.output_tokens"] == 4
    took_seconds = (second_call.ended_ns - second_call.began_ns) / 1e9
    assert 0 < second_call.attributes["gen_ai.response.time_to_first_chunk"] <= took_seconds
    assert tool.attributes["gen_ai.tool.name"] == "calculate"
    assert tool.attributes["gen_ai.tool.call.id"] == "call_1"
    children = (first_call, tool, second_call)
    assert {span.parent_id for span in children} == {attempt.span_id}
    assert {span.trace_id for span in children} == {attempt.trace_id}
    assert first_call.ended_ns <= tool.began_ns <= tool.ended_ns <= second_call.began_ns
    assert receiver.service == "pilothouse"


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": f"00-{TRACE}-{SPAN}-01", "x-cloud-trace-context": f"{'1' * 32}/2;o=1"},
        {"x-cloud-trace-context": f"{TRACE}/{int(SPAN, 16)};o=1"},
    ],
    ids=["W3C", "Cloud Trace"],
)
def test_a_run_joins_the_trace_of_the_request_that_made_it(
    play: Play, receiver: Receiver, headers: dict[str, str]
) -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.open() as instance:
            await run_on(instance, "echo", "hello", headers=headers)

    play(scenario, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    (attempt,) = receiver.named("invoke_agent")
    assert (attempt.trace_id, attempt.parent_id, list(attempt.links)) == (TRACE, SPAN, [SPAN])


@pytest.mark.parametrize(
    "headers",
    [{"traceparent": "00-nonsense-01"}, {"x-cloud-trace-context": f"{TRACE}/0;o=1"}, {}],
    ids=["malformed", "no span", "none"],
)
def test_without_a_valid_trace_a_run_has_one_of_its_own_named_by_its_id(
    play: Play, receiver: Receiver, headers: dict[str, str]
) -> None:
    runs: list[dict[str, Any]] = []

    async def scenario(stage: Stage) -> None:
        async with stage.open() as instance:
            runs.append(await run_on(instance, "echo", "hello", headers=headers))

    play(scenario, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    (attempt,) = receiver.named("invoke_agent")
    assert attempt.trace_id == runs[0]["run_id"].replace("-", "")
    assert (attempt.parent_id, list(attempt.links)) == ("", [])


def test_a_caller_that_is_not_sampled_keeps_its_runs_out(play: Play, receiver: Receiver) -> None:
    async def scenario(stage: Stage) -> None:
        async with stage.open() as instance:
            await run_on(instance, "echo", "a", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
            await run_on(instance, "echo", "b", headers={"traceparent": f"00-{'a' * 32}-{SPAN}-01"})

    play(scenario, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    assert [span.trace_id for span in receiver.named("invoke_agent")] == ["a" * 32]


def test_attempts_on_different_instances_are_in_one_trace(play: Play, receiver: Receiver) -> None:
    async def scenario(stage: Stage) -> None:
        stage.model.reply("Never said.", hold=asyncio.Event())
        stage.model.reply("Said at last.")
        async with stage.open() as one:
            thread = (await one.sdk.threads.create())["thread_id"]
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
            run = await one.sdk.runs.create(thread, "assistant", input=says("hello"), headers=headers)
            await stage.model.wait_for_requests(1)
        async with stage.open() as other:
            await other.sdk.runs.join(thread, run["run_id"])
            report = (await other.http.get(f"/runs/{run['run_id']}")).json()
        assert [each["attempt"] for each in report["attempts"]] == [1, 2]
        assert report["trace_id"] == TRACE

    play(scenario, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    first, second = receiver.named("invoke_agent")
    told = [
        (s.attributes["pilothouse.run.attempt"], s.attributes["pilothouse.run.outcome"])
        for s in (first, second)
    ]
    assert told == [(1, "elsewhere"), (2, "success")]
    assert {span.trace_id for span in (first, second)} == {TRACE}
    assert all(list(span.links) == [SPAN] for span in (first, second))
    abandoned, answered = receiver.named("chat")
    assert abandoned.failed
    assert not answered.failed


def test_a_failure_is_told_by_its_class_and_nothing_that_was_said_leaves(
    play: Play, receiver: Receiver
) -> None:
    async def scenario(stage: Stage) -> None:
        stage.model.reply(tool="calculate", arguments={"expression": "1000003*3"})
        stage.model.reply("The answer is Zanzibar.")
        stage.model.fail(401, "Bad key for Xanadu.")
        async with stage.open() as instance:
            await run_on(instance, "assistant", "Whisper me Quetzal")
            await run_on(instance, "broken", "Quetzal")
            await run_on(instance, "assistant", "Quetzal again")

    play(scenario, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    _, broken, refused = receiver.named("invoke_agent")
    assert (broken.failed, broken.status_message) == (True, "")
    assert broken.attributes["error.type"] == "run_failed"
    assert broken.attributes["pilothouse.run.outcome"] == "error"
    assert refused.attributes["error.type"] == "model_key_invalid"
    *_, failed_call = receiver.named("chat")
    assert failed_call.attributes["error.type"] == "ModelKeyInvalid"
    assert b"invoke_agent assistant" in receiver.raw
    for said in (b"Quetzal", b"Zanzibar", b"1000003", b"3000009", b"Xanadu", b"secret is"):
        assert said not in receiver.raw


def test_metrics_are_exported_too(play: Play, receiver: Receiver) -> None:
    async def scenario(stage: Stage) -> None:
        calculation(stage)
        async with stage.open() as instance:
            await run_on(instance, "assistant", "six times seven")
            await run_on(instance, "broken", "hello")

    play(scenario, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{receiver.url}/v1/metrics")

    assert not receiver.spans
    ends = [dict(point.attributes) for point in receiver.points["pilothouse.runs"]]
    assert {"gen_ai.agent.name": "assistant", "pilothouse.run.outcome": "success"} in ends
    failure = {"gen_ai.agent.name": "broken", "pilothouse.run.outcome": "error", "error.type": "run_failed"}
    assert failure in ends
    tokens = {p.attributes["gen_ai.token.type"]: p for p in receiver.points["gen_ai.client.token.usage"]}
    assert (tokens["input"].value, tokens["input"].count, tokens["output"].value) == (20, 2, 5)
    (calls,) = receiver.points["gen_ai.client.operation.duration"]
    assert calls.count == 2
    assert calls.attributes["gen_ai.request.model"] == "scripted"
    (tools,) = receiver.points["gen_ai.execute_tool.duration"]
    assert (tools.attributes["gen_ai.tool.name"], tools.count) == ("calculate", 1)
    assert [point.value for point in receiver.points["pilothouse.runs.under_way"]] == [0]
    assert [point.value for point in receiver.points["pilothouse.queue.depth"]] == [0]


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
def test_an_endpoint_that_is_down_costs_no_run_and_no_time_at_the_end(play: Play, silent: bool) -> None:
    times: list[float] = []

    async def scenario(stage: Stage) -> None:
        async with stage.open() as instance:
            began = time.monotonic()
            for _ in range(3):
                run = await run_on(instance, "echo", "hello")
                state = await instance.sdk.runs.get(run["thread_id"], run["run_id"])
                assert state["status"] == "success"
            closing = time.monotonic()
        times.extend((closing - began, time.monotonic() - closing))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not silent:
            listener.close()
        play(scenario, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")

    running, closing = times
    assert running < 10
    assert closing < 6
