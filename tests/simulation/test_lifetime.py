"""How instances start, freeze, are stopped and killed."""

import asyncio
import os
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from tests.processes import environment
from tests.simulation.conftest import Service, Simulate

from pilothouse.errors import ConfigurationError
from pilothouse.simulation import Instance


def is_stopped(instance: Instance) -> bool:
    """By SIGSTOP."""
    return psutil.Process(instance.pid).status() == psutil.STATUS_STOPPED


async def until_stopped(instance: Instance) -> None:
    while not is_stopped(instance):  # noqa: ASYNC110  the kernel sets no event of ours
        await asyncio.sleep(0.01)


def test_one_that_does_not_start_is_said_with_the_end_of_its_log(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError, match=r"did not start.*instance-1\.log.*\n.*the disk is full"):
        simulate(scenario, least=1, environ=environment({"REFUSE_TO_START": "the disk is full"}))


def test_a_data_directory_that_cannot_be_made_is_said(simulate: Simulate, tmp_path: Path) -> None:
    async def scenario(served: Service) -> None:
        raise AssertionError

    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/simulation can't be made.*--data"):
        simulate(scenario, data=tmp_path / "file")


def test_requests_for_one_that_does_not_start_get_429(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        assert (await served.http.get("/ok")).status_code == 429
        assert (await served.run.events.first("failed")).detail.endswith("instance-1.log")

    refusing = environment({"REFUSE_TO_START": "the disk is full"})
    simulate(scenario, environ=refusing, longest_wait=timedelta(seconds=1))


def test_one_that_was_killed_is_replaced(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        old = served.run.ready[0]
        await served.run.kill(old)
        assert (await served.about())["pid"] not in (None, old.pid)
        assert [instance.number for instance in served.run.ready] == [2]
        told = [event.what for event in served.run.events.past if event.instance == old.number]
        assert told == ["started", "ready", "killed", "ended"]

    simulate(scenario, least=1, most=1)


def test_one_that_ends_by_itself_is_replaced(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        os.kill(served.run.ready[0].pid or 0, 9)
        assert (await served.run.events.first("ended", 1)).detail == "by SIGKILL"
        await served.run.events.first("ready", 2)

    simulate(scenario, least=1, most=1)


def test_one_that_is_stopped_gets_no_more_requests_and_may_finish_those_it_has(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        request, gate = await served.held()
        [old] = [instance for instance in served.run.ready if instance.in_flight]
        stopping = asyncio.ensure_future(served.run.stop(old))
        await served.run.events.first("stopping", old.number)
        assert {(await served.about())["pid"] for _ in range(4)} == {served.run.ready[0].pid}
        gate.opened.set()
        assert (await request).json()["pid"] == old.pid
        await stopping
        assert not any(event.what == "killed" for event in served.run.events.past)

    simulate(scenario, least=2, most=2)


@pytest.mark.slow
def test_one_that_does_not_stop_is_killed_after_ten_seconds(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        await served.http.get("/deaf")
        began = time.monotonic()
        await served.run.stop(served.run.ready[0])
        assert 10 <= time.monotonic() - began < 14
        assert (await served.run.events.first("killed")).detail == "after 10 s"

    simulate(scenario, least=1, most=1)


def test_a_rolling_restart_under_load_replaces_all_and_fails_no_request(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        old = {instance.number for instance in served.run.ready}
        statuses: Counter[int] = Counter()

        async def call_for_ever() -> None:
            while True:
                statuses[(await served.http.get("/about")).status_code] += 1

        calling = [asyncio.ensure_future(call_for_ever()) for _ in range(4)]
        await served.run.restart()
        for each in calling:
            each.cancel()
            with suppress(asyncio.CancelledError):
                await each
        assert set(statuses) == {200}
        assert not old & {instance.number for instance in served.run.instances}
        assert (await served.about())["cloud_run"]["K_REVISION"] == "simulation-00002"

    simulate(scenario, least=2, most=2)


def test_with_cpu_during_requests_an_instance_is_frozen_after_its_last_one(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        [instance] = served.run.ready
        for _ in range(2):
            seen = len(served.run.events.past)
            request, gate = await served.held()
            assert not is_stopped(instance)
            gate.opened.set()
            assert (await request).json()["pid"] == instance.pid
            await served.run.events.first("frozen", after=seen)
            await until_stopped(instance)
        await served.run.stop(instance)
        ended = await served.run.events.first("ended", instance.number)
        assert ended.detail != "by SIGKILL"

    simulate(scenario, least=1, most=1, cpu="request")


def test_one_that_is_frozen_by_hand_keeps_its_requests_waiting_until_it_is_thawed(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        [instance] = served.run.ready
        served.run.freeze(instance)
        request = asyncio.ensure_future(served.about())
        with pytest.raises(httpx.ReadTimeout):
            await served.http.get("/ok", timeout=0.3)
        served.run.thaw(instance)
        assert (await request)["pid"] == instance.pid

    simulate(scenario, least=1, most=1, cpu="request")


def test_chaos_breaks_in_every_way_and_the_service_goes_on(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        for what in ("killed", "stopping", "frozen", "continued", "cut"):
            await served.run.events.first(what)
        while (await served.http.get("/ok")).status_code != 200:
            pass

    simulate(scenario, least=3, most=3, chaos=timedelta(seconds=0.2), seed=1)


def test_nothing_is_left_when_the_service_is_left(simulate: Simulate) -> None:
    pids: list[int | None] = []

    async def scenario(served: Service) -> None:
        pids.extend(instance.pid for instance in served.run.ready)
        await served.held()
        served.run.freeze(served.run.ready[0])

    simulate(scenario, least=2, most=2)
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
