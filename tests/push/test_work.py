"""`POST /internal/work`: who may, how long it is held, and what a background run makes of it."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.push.places import ACCOUNT, Pushed, run_of, start, status
from tests.server.serving import says
from tests.streaming_v2.clients import new_thread
from tests.streaming_v2.clients import start as start_by_command
from websockets.asyncio.client import connect

from pilothouse.testing.oidc_issuer import OidcIssuer


def test_a_background_run_is_executed_while_its_push_is_held(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        async with place.gate() as gate:
            path = await start(place.http, "gated", gate.path)
            await gate.reached.wait()
            assert not place.google.tasks.dispatches
            gate.open()
            assert await place.google.statuses(1) == [200]
        assert await status(place.http, path) == "success"
        assert place.google.tasks.dispatches[0].headers["User-Agent"] == "Google-Cloud-Tasks"

    run(scenario)


def test_every_run_of_a_batch_is_pushed(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        reply = await place.http.post("/runs/batch", json=[run_of("slow", "1") for _ in range(3)])
        assert reply.status_code == 200
        assert await place.google.statuses(3) == [200] * 3

    run(scenario)


def test_a_delayed_run_is_pushed_when_it_is_due(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        asked = time.time()
        path = await start(place.http, "slow", "1", after_seconds=1)
        assert await place.google.statuses(1) == [200]
        eta = float(place.google.tasks.dispatches[0].headers["X-CloudTasks-TaskETA"])
        assert 0.9 < eta - asked < 3
        assert await status(place.http, path) == "success"

    run(scenario)


def test_a_cron_is_pushed_when_it_fires_and_so_is_its_next_time(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        end_time = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        cron = {"schedule": "* * * * * *", "end_time": end_time, **run_of("slow", "1")}  # each second
        assert (await place.http.post("/runs/crons", json=cron)).status_code == 200
        assert await place.google.statuses(2) == [200, 200]

    run(scenario)


def test_a_run_that_a_client_follows_is_pushed_when_the_client_goes(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        async with place.gate() as gate:
            body = run_of("gated", gate.path)
            async with place.http.stream("POST", "/runs/stream", json=body) as stream:
                await gate.reached.wait()
                path = stream.headers["content-location"]
                assert not place.google.tasks.kept
            await place.google.tasks.until(lambda tasks: len(tasks.kept) == 1)
            gate.open()
            assert await place.google.statuses(1) == [200]
        assert await status(place.http, path) == "success"

    run(scenario)


def test_a_stream_that_is_followed_to_its_end_pushes_nothing(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        assert (await place.http.post("/runs/stream", json=run_of("slow", "1"))).status_code == 200
        assert (await place.http.post("/runs/wait", json=run_of("slow", "1"))).status_code == 200
        path = await start(place.http, "slow", "1")
        await place.google.statuses(1)
        assert await status(place.http, path) == "success"
        assert len(place.google.tasks.dispatches) == 1

    run(scenario)


def test_a_run_that_a_command_starts_is_pushed(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        await start_by_command(place.http, new_thread(), "slow", "1")
        assert await place.google.statuses(1) == [200]

    run(scenario)


def test_a_run_that_a_websocket_started_is_pushed_when_the_websocket_is_gone(
    run: Callable[..., None],
) -> None:
    async def scenario(place: Pushed) -> None:
        async with place.gate() as gate:
            async with connect(
                f"ws{place.url.removeprefix('http')}/threads/{new_thread()}/stream/events"
            ) as socket:
                params = {"assistant_id": "gated", "input": says(gate.path)}
                await socket.send(json.dumps({"id": 1, "method": "run.start", "params": params}))
                assert json.loads(await socket.recv())["type"] == "success"
                await gate.reached.wait()
                assert not place.google.tasks.kept
            await place.google.tasks.until(lambda tasks: len(tasks.kept) == 1)
            gate.open()
            assert await place.google.statuses(1) == [200]

    run(scenario)


def test_with_nothing_to_do_a_push_is_answered_at_once(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        reply = await place.work()
        assert (reply.status_code, reply.json()) == (200, {"left": False})

    run(scenario, hold_seconds=1740)


def test_when_its_time_is_up_and_runs_are_left_the_next_push_is_asked_for(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        async with place.gate() as gate:
            path = await start(place.http, "gated", gate.path)
            await place.google.statuses(2)
            gate.open()
            names = {dispatch.task for dispatch in place.google.tasks.dispatches}
            assert len(names) == 2
        await place.google.statuses(3)
        assert {*await place.google.statuses(3)} == {200}
        assert await status(place.http, path) == "success"

    run(scenario, hold_seconds=1)


def test_when_its_time_is_up_and_none_can_be_asked_for_it_says_to_come_again(
    run: Callable[..., None],
) -> None:
    async def scenario(place: Pushed) -> None:
        async with place.gate() as gate:
            await start(place.http, "gated", gate.path, after_seconds=0.1)
            await gate.reached.wait()
            reply = await place.work()
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")

    run(scenario, hold_seconds=1, endpoint="127.0.0.1:1")


def test_once_all_runs_are_taken_one_push_is_held_and_the_others_are_let_go(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        async with place.gate("first") as first, place.gate("second") as second:
            await start(place.http, "gated", first.path)
            await start(place.http, "gated", second.path)
            await first.reached.wait()
            await second.reached.wait()
            assert await place.google.statuses(1) == [200]
            assert (await place.work()).status_code == 200
            assert len(place.google.tasks.dispatches) == 1
            first.open()
            second.open()
            assert await place.google.statuses(2) == [200, 200]

    run(scenario)


def test_a_server_that_stops_sends_its_push_elsewhere_at_once(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        async with place.gate() as gate, asyncio.TaskGroup() as tasks:
            await start(place.http, "gated", gate.path)
            await gate.reached.wait()
            stopping = tasks.create_task(place.app.drain())
            assert (await place.google.statuses(1))[0] == 503
            assert not stopping.done()
            reply = await place.work()
            assert (reply.status_code, reply.json()["code"]) == (503, "work_left")

    run(scenario)


def test_another_caller_is_refused(run: Callable[..., None]) -> None:
    cases: list[tuple[dict[str, object], int, str]] = [
        ({"email": "somebody@p.iam.gserviceaccount.com"}, 403, "push.service_account may"),
        ({"email_verified": False}, 403, "may not call this"),
        ({"aud": "https://another.run.app"}, 401, "audience"),
        ({"iss": "https://else.example"}, 401, "issuer"),
        ({"exp": 1}, 401, "expired"),
    ]

    async def scenario(place: Pushed) -> None:
        for claims, status_code, sentence in cases:
            reply = await place.work(place.google.issuer.token(place.url, ACCOUNT, **claims))
            assert reply.status_code == status_code, claims
            assert sentence in reply.json()["detail"].lower()

    run(scenario)


def test_a_token_of_another_key_or_none_or_a_stripped_one_is_refused(run: Callable[..., None]) -> None:
    async def scenario(place: Pushed) -> None:
        assert (await place.http.post("/internal/work")).status_code == 401
        async with OidcIssuer() as stranger:
            reply = await place.work(stranger.token(place.url, ACCOUNT))
        assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")
        head, claims, _ = place.google.issuer.token(place.url, ACCOUNT).split(".")
        reply = await place.work(f"{head}.{claims}.SIGNATURE_REMOVED_BY_GOOGLE")
        assert reply.status_code == 401
        assert "--no-invoker-iam-check" in reply.json()["detail"]

    run(scenario)
