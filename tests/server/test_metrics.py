"""`/metrics`, as Prometheus and as people read it."""

import asyncio
from collections.abc import Callable

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from tests.server.serving import Served, says

from pilothouse.settings import AuthSettings

Run = Callable[..., None]
AUTH = AuthSettings("https://issuer.example", "us", "https://issuer.example/keys")


@pytest.fixture(autouse=True)
def _empty_server(valkey_url: str) -> None:
    """What other tests left under way would be counted."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()


async def samples(served: Served) -> dict[tuple[str, str], float]:
    """By name, and the values of the labels that are not empty, in the order of the labels' names."""
    text = (await served.http.get("/metrics")).text
    return {
        (sample.name, ",".join(value for value in sample.labels.values() if value)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def samples_with(served: Served, key: tuple[str, str], value: float) -> dict[tuple[str, str], float]:
    """As soon as one has this value: a client may know of a run's end a moment before it is counted."""
    async with asyncio.timeout(10):
        while (found := await samples(served)).get(key) != value:
            pass
    return found


def test_what_runs_did_is_counted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        await served.sdk.runs.wait(thread, "echo", input=says("hello there"))
        await served.sdk.runs.wait(thread, "echo", input=says("hello again"))
        await served.sdk.runs.wait(thread, "echo", input=says("fail:"), raise_error=False)

        failed = ("pilothouse_runs_total", "run_failed,echo,error")
        found = await samples_with(served, failed, 1)

        assert found["pilothouse_runs_total", "echo,success"] == 2
        assert found["pilothouse_run_attempts_total", "echo"] == 3
        assert found["pilothouse_run_queue_wait_seconds_count", "echo"] == 3
        assert found["pilothouse_run_queue_wait_seconds_bucket", "echo,+Inf"] == 3
        assert found["pilothouse_run_time_to_first_token_seconds_count", "echo"] == 2
        assert found["gen_ai_client_operation_duration_seconds_count", "chat,echomodel"] == 2
        assert found["gen_ai_client_operation_duration_seconds_count", "ValueError,chat,echomodel"] == 1
        assert found["gen_ai_client_operation_time_to_first_chunk_seconds_count", "chat,echomodel"] == 2
        assert 0 < found["gen_ai_invoke_agent_duration_seconds_sum", "echo,invoke_agent"] < 20
        assert ("pilothouse_run_takeovers_total", "echo") not in found

    run(scenario)


def test_what_is_under_way_is_told_while_it_is(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        async with served.gate() as gate:
            stream = served.http.stream(
                "POST",
                f"/threads/{thread}/runs/stream",
                json={"assistant_id": "echo", "input": says(gate.word)},
            )
            async with stream as reply:
                await gate.reached.wait()
                await served.sdk.runs.create(thread, "echo", input=says("waits behind it"))
                during = await samples(served)
                as_json = (await served.http.get("/metrics?format=json")).json()
                gate.open()
                await reply.aread()
            await samples_with(served, ("pilothouse_streams_open", ""), 0)

        assert during["pilothouse_runs_under_way", ""] == during["pilothouse_streams_open", ""] == 1
        assert during["pilothouse_queue_depth", ""] == 0  # its thread holds the second one back
        assert as_json["workers"] == {"max": 100, "active": 1, "available": 99}
        assert as_json["queue"] == {"n_pending": 0, "n_running": 1}
        attempts = as_json["metrics"]["pilothouse.run.attempts"]
        assert attempts == [{"attributes": {"gen_ai.agent.name": "echo"}, "value": 1.0}]

    run(scenario)


def test_runs_that_no_worker_has_taken_are_the_depth_of_the_queue(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.gate() as gate:
            await served.sdk.runs.create(await served.thread(), "echo", input=says(gate.word))
            await gate.reached.wait()
            for _ in range(3):
                await served.sdk.runs.create(await served.thread(), "echo", input=says("waits"))

            assert (await samples(served))["pilothouse_queue_depth", ""] == 3

    run(scenario, changes={"concurrency": 1})


def test_another_format_is_refused_by_name(run: Run) -> None:
    async def scenario(served: Served) -> None:
        refused = await served.http.get("/metrics?format=xml")

        assert refused.status_code == 422
        assert "'xml'" in refused.json()["detail"]

    run(scenario)


def test_a_collector_beside_the_server_needs_no_token_and_others_do(run: Run) -> None:
    async def scenario(served: Served) -> None:
        beside = await served.http.get("/metrics")
        through_a_proxy = await served.http.get("/metrics", headers={"x-forwarded-for": "203.0.113.9"})

        assert (beside.status_code, beside.headers["content-type"][:10]) == (200, "text/plain")
        assert (through_a_proxy.status_code, through_a_proxy.json()["code"]) == (401, "unauthenticated")

    run(scenario, changes={"auth": AUTH})
