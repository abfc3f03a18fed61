"""The WebSocket of a thread."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.serving import Served, says
from tests.streaming_v2.clients import (
    ALL,
    Event,
    events_of,
    is_end,
    new_thread,
    of,
    socket_of,
    start,
    text_of,
    until_end,
)
from tests.streaming_v2.instances import accounts, instance, token_of
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

Run = Callable[..., None]


def address(served: Served, thread: str) -> str:
    return f"{served.url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"


def test_a_connection_starts_runs_follows_them_and_answers(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with socket_of(served.url, new_thread()) as socket:
            subscribed = await socket.ask("subscription.subscribe", channels=ALL)
            assert subscribed["result"]["subscription_id"]
            events = aiter(socket)
            started = await socket.ask("run.start", assistant_id="asks", input=says("hi"))
            asked = await until_end(events)
            (request,) = of(asked, "input.requested")
            answer = {"interrupt_id": request["interrupt_id"], "namespace": [], "response": "yes"}
            resumed = await socket.ask("input.respond", **answer)
            answered = await until_end(events)
            assert of(answered, "values")[-1]["messages"][-1]["content"] == "you said yes"
            assert {event["event_id"].split(":")[1] for event in (asked[0], answered[-1])} == {
                started["result"]["run_id"],
                resumed["result"]["run_id"],
            }

    run(scenario)


def test_it_tells_what_server_sent_events_tell(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "nested")
        async with events_of(served.http, thread, since=0) as events:
            everything = await until_end(events)
        async with socket_of(served.url, thread) as socket:
            await socket.ask("subscription.subscribe", channels=ALL, since=0)
            assert await until_end(aiter(socket)) == everything

    run(scenario)


def test_subscriptions_that_overlap_bring_each_event_once(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "echo", "one two")
        async with events_of(served.http, thread, since=0) as events:
            everything = await until_end(events)
        async with socket_of(served.url, thread) as socket:
            await socket.ask("subscription.subscribe", channels=["values", "lifecycle"], since=0)
            events = aiter(socket)
            first = await until_end(events)
            assert {event["method"] for event in first} == {"values", "lifecycle"}
            await socket.ask("subscription.subscribe", channels=["values", "messages"], since=0)
            expected = [event for event in everything if event["method"] == "messages"]
            assert [await anext(events) for _ in expected] == expected
            await start(served.http, thread, "echo", "three")
            later = await until_end(events)
            assert {event["method"] for event in later} == {"values", "lifecycle", "messages"}
            assert len({event["event_id"] for event in later}) == len(later)

    run(scenario)


def test_a_subscription_that_is_ended_brings_nothing_more(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        async with socket_of(served.url, thread) as socket:
            messages = await socket.ask("subscription.subscribe", channels=["messages"])
            await socket.ask("subscription.subscribe", channels=["lifecycle"])
            ended = {"subscription_id": messages["result"]["subscription_id"]}
            assert (await socket.ask("subscription.unsubscribe", **ended))["result"] == {}
            await start(served.http, thread, "echo")
            seen = await until_end(aiter(socket))
            assert {event["method"] for event in seen} == {"lifecycle"}
            again = await socket.ask("subscription.unsubscribe", **ended)
            assert again["error"] == "no_such_subscription"

    run(scenario)


def test_a_client_that_comes_back_to_another_instance_goes_on_where_it_was(
    tmp_path: Path, valkey_url: str
) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(50),
            instance(valkey_url, tmp_path) as here,
            instance(valkey_url, tmp_path) as there,
            here.gate() as gate,
        ):
            thread, before = new_thread(), list[Event]()
            await start(here.http, thread, "echo", f"one {gate.word} two")
            async with socket_of(here.url, thread) as socket:
                await socket.ask("subscription.subscribe", channels=ALL)
                async for event in socket:
                    before.append(event)
                    if text_of(before):
                        break
                socket.connection.transport.abort()
            gate.open()
            async with socket_of(there.url, thread) as socket:
                back = {"channels": ALL, "last_event_id": before[-1]["event_id"], "run_id": "x"}
                restored = await socket.ask("subscription.reconnect", **back)
                assert restored["result"]["restored"] is True
                after = await until_end(aiter(socket))
            async with events_of(here.http, thread, since=0) as events:
                assert before + after == await until_end(events)

    asyncio.run(main())


def test_a_subscription_of_a_connection_that_is_gone_is_not_restored(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with socket_of(served.url, new_thread()) as socket:
            gone = await socket.ask("subscription.reconnect", run_id="x", subscriptions=["gone"])
            assert gone["result"] == {"restored": False}

    run(scenario)


def test_a_wrong_frame_is_answered_and_the_connection_lives(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with connect(address(served, new_thread())) as connection:
            for frame in ("{oops", "[]", '{"method":"run.start"}', b"\xff"):
                await connection.send(frame)
                told = json.loads(await connection.recv())
                assert (told["type"], told["id"], told["error"]) == ("error", None, "invalid_argument")
            await connection.send(json.dumps({"id": 3, "method": "subscription.subscribe", "params": {}}))
            told = json.loads(await connection.recv())
            assert (told["id"], told["error"]) == (3, "invalid_argument")
            await connection.send(json.dumps({"id": 4, "method": "nothing"}).encode())
            told = json.loads(await connection.recv())
            assert (told["id"], told["error"]) == (4, "unknown_command")

    run(scenario)


def test_a_client_that_reads_slowly_gets_everything_and_holds_nobody_up(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread, words = new_thread(), "x" * 200_000
        async with connect(address(served, thread), max_queue=1, max_size=None) as connection:
            subscribe = {"channels": ALL}
            await connection.send(
                json.dumps({"id": 1, "method": "subscription.subscribe", "params": subscribe})
            )
            for _ in range(5):
                answer = await start(served.http, thread, "echo", words)
                since = answer["meta"]["applied_through_seq"]
                async with events_of(served.http, thread, ["lifecycle"], since=since) as events:
                    await until_end(events)
            slow = list[Event]()
            while sum(map(is_end, slow)) < 5:
                message = json.loads(await connection.recv())
                if message["type"] == "event":
                    slow.append(message)
        async with events_of(served.http, thread, since=0) as events:
            assert slow == await until_end(events, runs=5)

    run(scenario)


def test_a_page_from_elsewhere_may_not_connect(run: Run) -> None:
    async def scenario(served: Served) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address(served, new_thread()), origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403
        async with connect(address(served, new_thread()), origin="http://localhost:3000"):
            pass

    run(scenario)


def test_a_bad_thread_id_closes_the_connection_with_its_status(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with connect(address(served, "mine")) as connection:
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, "must be a UUID" in closed.value.rcvd.reason) == (4422, True)

    run(scenario)


def test_another_user_sees_nothing_and_nobody_is_let_in(tmp_path: Path, valkey_url: str) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(50),
            accounts() as auth,
            instance(valkey_url, tmp_path, auth=auth, headers=token_of("ada")) as served,
        ):
            thread = new_thread()
            async with socket_of(served.url, thread, token_of("mallory")) as socket:
                await socket.ask("subscription.subscribe", channels=ALL, since=0)
                await start(served.http, thread, "echo")
                async with events_of(served.http, thread) as events:
                    await until_end(events)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await anext(aiter(socket))
            async with connect(address(served, thread)) as connection:
                with pytest.raises(ConnectionClosed) as closed:
                    await connection.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4401

    asyncio.run(main())
