"""Which instance gets a request, who has to wait, and how many instances there are."""

import asyncio
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from tests.processes import environment
from tests.simulation.conftest import Service, Simulate

SHORT = timedelta(seconds=0.5)


def test_a_request_goes_to_the_least_busy_instance(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        held = [await served.held() for _ in range(4)]
        assert [instance.in_flight for instance in served.run.ready] == [2, 2]
        for _, gate in held:
            gate.opened.set()
        pids = [(await request).json()["pid"] for request, _ in held]
        assert {pids.count(instance.pid) for instance in served.run.ready} == {2}

    simulate(scenario, least=2, most=2)


def test_an_instance_has_no_more_requests_than_the_limit_and_the_next_one_waits(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        first, first_gate = await served.held()
        second, second_gate = await served.held()
        third_gate = await served.gate()
        third = served.requesting(third_gate)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await third_gate.reached.wait()
        first_gate.opened.set()
        await third_gate.reached.wait()
        second_gate.opened.set()
        third_gate.opened.set()
        assert {(await request).status_code for request in (first, second, third)} == {200}
        assert (await served.about())["most_at_once"] == 2

    simulate(scenario, least=1, most=1, concurrency=2)


def test_a_request_that_finds_no_place_in_time_gets_429(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        request, gate = await served.held()
        for body in (b"", b"x" * 1_000_000):
            refused = await served.http.request("POST", "/hold", content=body)
            assert refused.status_code == 429
            assert refused.text == "Rate exceeded.\n"
            assert refused.headers["connection"] == "keep-alive"
        gate.opened.set()
        assert (await request).status_code == 200
        assert (await served.http.get("/ok")).status_code == 200

    simulate(scenario, least=1, most=1, concurrency=1, longest_wait=SHORT / 5)


@pytest.mark.parametrize("startup", [0, 3])
def test_the_wait_is_ten_seconds_or_3_5_times_the_startup(simulate: Simulate, startup: int) -> None:
    async def scenario(served: Service) -> None:
        took = served.run.ready[0].startup
        assert took.total_seconds() > startup
        assert served.run.longest_wait == max(timedelta(seconds=10), 3.5 * took)

    simulate(scenario, least=1, environ=environment({"START_SECONDS": str(startup)}))


def test_the_first_request_waits_for_a_cold_start(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        assert not served.run.instances
        replies = await asyncio.gather(*(served.http.get("/about") for _ in range(5)))
        assert {reply.json()["pid"] for reply in replies} == {served.run.ready[0].pid}
        assert [event.what for event in served.run.events.past] == ["started", "ready"]

    simulate(scenario)


def test_instances_come_with_the_load_and_go_when_they_are_idle(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        first = served.run.ready[0]
        held = [await served.held() for _ in range(3)]
        assert len(served.run.instances) == 1
        held.append(await served.held())
        second = (await served.run.events.first("ready", after=2)).instance
        assert second != first.number
        await served.held()
        assert len(served.run.instances) == 2
        for request, gate in held:
            gate.opened.set()
            await request
        stopped = (await served.run.events.first("ended")).instance
        assert stopped == first.number
        assert [instance.number for instance in served.run.ready] == [second]

    simulate(scenario, least=1, most=2, concurrency=5, idle=SHORT)


def test_the_cookie_keeps_a_client_on_its_instance_while_that_has_room(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        reply = await served.http.get("/about")
        cookie = SimpleCookie(reply.headers["set-cookie"])["GAESA"]
        assert (cookie["path"], cookie["max-age"], cookie["httponly"]) == ("/", "2592000", True)
        pinned = reply.json()["pid"]
        for _ in range(4):
            reply = await served.http.get("/about")
            assert reply.json()["pid"] == pinned
            assert "set-cookie" not in reply.headers
        await served.held()
        elsewhere = await served.http.get("/about")
        assert elsewhere.json()["pid"] != pinned
        assert elsewhere.headers["set-cookie"] != cookie.value

    simulate(scenario, least=2, most=2, concurrency=1, session_affinity=True)


def test_the_cookie_of_an_instance_that_has_ended_is_replaced(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        pinned = (await served.http.get("/about")).json()["pid"]
        [instance] = [each for each in served.run.ready if each.pid == pinned]
        await served.run.kill(instance)
        replies = [await served.http.get("/about") for _ in range(3)]
        assert len({reply.json()["pid"] for reply in replies} - {pinned}) == 1
        assert ["set-cookie" in reply.headers for reply in replies] == [True, False, False]

    simulate(scenario, least=2, most=2, session_affinity=True)


def test_without_affinity_there_is_no_cookie(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        assert "set-cookie" not in (await served.http.get("/about")).headers

    simulate(scenario, least=1)
