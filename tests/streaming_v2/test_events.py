"""A thread's events by server-sent events: which, in which order, and from where on."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.serving import Served
from tests.streaming_v2.clients import (
    ALL,
    command,
    events_of,
    is_end,
    new_thread,
    of,
    start,
    text_of,
    until_end,
)
from tests.streaming_v2.instances import accounts, instance, token_of

Run = Callable[..., None]


def test_a_run_is_told_from_its_start_to_its_end(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "echo", "one two")
        async with events_of(served.http, thread) as events:
            seen = await until_end(events)

        assert of(seen, "lifecycle") == [
            {"event": "running", "graph_name": "echo"},
            {"event": "completed", "graph_name": "echo"},
        ]
        assert is_end(seen[-1])
        kinds = [data["event"] for data in of(seen, "messages")]
        assert kinds[:3] == ["message-start", "content-block-start", "content-block-delta"]
        assert kinds[-2:] == ["content-block-finish", "message-finish"]
        assert text_of(seen) == "one two "
        assert [m["type"] for m in of(seen, "values")[-1]["messages"]] == ["human", "ai"]
        (update,) = of(seen, "updates")
        assert (update["node"], update["values"]["messages"][0]["content"]) == ("say", "one two ")
        saved = of(seen, "checkpoints")
        assert [(each["step"], each["source"]) for each in saved] == [(-1, "input"), (0, "loop"), (1, "loop")]
        assert saved[1]["parent_id"] == saved[0]["id"]
        assert [("input" in task, "result" in task) for task in of(seen, "tasks")] == [
            (True, False),
            (False, True),
        ]
        numbers = [event["seq"] for event in seen]
        assert numbers == sorted(set(numbers))
        assert len({event["event_id"] for event in seen}) == len(seen)

    run(scenario)


def test_a_stream_can_be_opened_before_its_thread_exists(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        async with events_of(served.http, thread) as events:
            await start(served.http, thread, "echo", "hi")
            assert text_of(await until_end(events)) == "hi "
            await start(served.http, thread, "echo", "again")
            assert text_of(await until_end(events)) == "again "

    run(scenario)


def test_two_subscribers_see_the_same(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        async with (
            served.gate() as gate,
            events_of(served.http, thread) as early,
            asyncio.TaskGroup() as tasks,
        ):
            first = tasks.create_task(until_end(early))
            await start(served.http, thread, "echo", f"one {gate.word} two")
            await gate.reached.wait()
            async with events_of(served.http, thread) as late:
                gate.open()
                assert await until_end(late) == await first

    run(scenario)


def test_wherever_a_stream_is_cut_nothing_is_lost_or_repeated(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        for agent in ("nested", "adds", "echo"):
            await start(served.http, thread, agent)
        async with events_of(served.http, thread, since=0) as events:
            everything = await until_end(events, runs=3)
        for place in range(0, len(everything), 3):
            since = everything[place]["seq"]
            async with events_of(served.http, thread, since=since) as events:
                for expected in everything[place + 1 :]:
                    assert await anext(events) == expected

    run(scenario)


def test_a_stream_goes_on_in_mid_run_on_another_instance(tmp_path: Path, valkey_url: str) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(50),
            instance(valkey_url, tmp_path) as here,
            instance(valkey_url, tmp_path) as there,
            here.gate() as gate,
        ):
            thread = new_thread()
            await start(here.http, thread, "echo", f"one {gate.word} two")
            await gate.reached.wait()
            async with events_of(here.http, thread) as events:
                before = []
                async for event in events:
                    before.append(event)
                    if text_of(before):
                        break
            gate.open()
            async with events_of(there.http, thread, since=before[-1]["seq"]) as events:
                after = await until_end(events)
            async with events_of(here.http, thread, since=0) as events:
                assert before + after == await until_end(events)

    asyncio.run(main())


def test_a_run_that_starts_on_another_instance_is_seen(tmp_path: Path, valkey_url: str) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(50),
            instance(valkey_url, tmp_path) as here,
            instance(valkey_url, tmp_path) as there,
        ):
            thread = new_thread()
            async with events_of(here.http, thread) as events:
                await start(there.http, thread, "echo", "hello")
                assert text_of(await until_end(events)) == "hello "

    asyncio.run(main())


def test_a_browser_goes_on_with_last_event_id(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "echo")
        async with events_of(served.http, thread, since=0) as events:
            everything = await until_end(events)
        headers = {"last-event-id": str(everything[4]["seq"])}
        async with events_of(served.http, thread, headers=headers) as events:
            assert await until_end(events) == everything[5:]

    run(scenario)


def test_the_answer_to_run_start_says_where_its_events_begin(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "echo", "old")
        async with events_of(served.http, thread) as events:
            await until_end(events)
        answer = await start(served.http, thread, "echo", "new")
        async with events_of(served.http, thread, since=answer["meta"]["applied_through_seq"]) as events:
            assert text_of(await until_end(events)) == "new "

    run(scenario)


def test_without_since_only_the_run_that_is_under_way_is_told_again(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "echo", "old")
        async with events_of(served.http, thread) as events:
            assert text_of(await until_end(events)) == "old "
        async with served.gate() as gate:
            await start(served.http, thread, "echo", f"new {gate.word}")
            await gate.reached.wait()
            gate.open()
            async with events_of(served.http, thread) as events:
                assert text_of(await until_end(events)) == "new "

    run(scenario)


@pytest.mark.parametrize(
    ("wanted", "namespaces"),
    [
        ({"depth": 0}, {()}),
        ({"namespaces": [["inner"]]}, {("inner",)}),
        ({"namespaces": [["inner"]], "depth": 0}, {("inner",)}),
        ({"namespaces": [["other"], []], "depth": 0}, {()}),
        ({"namespaces": [[], ["inner"]]}, {(), ("inner",)}),
        ({}, {(), ("inner",)}),
    ],
)
def test_events_are_filtered_by_namespace_and_depth(
    run: Run, wanted: dict[str, object], namespaces: set[tuple[str, ...]]
) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "nested")
        async with events_of(served.http, thread, since=0) as events:
            everything = await until_end(events)
        expected = [
            event
            for event in everything
            if tuple(part.partition(":")[0] for part in event["params"]["namespace"]) in namespaces
        ]
        assert expected
        async with events_of(served.http, thread, since=0, **wanted) as events:
            for event in expected:
                assert await anext(events) == event

    run(scenario)


@pytest.mark.parametrize("channel", ["values", "updates", "messages", "checkpoints", "tasks"])
def test_events_are_filtered_by_channel(run: Run, channel: str) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "echo")
        async with events_of(served.http, thread, [channel, "lifecycle"]) as events:
            seen = await until_end(events)
            assert {event["method"] for event in seen} == {channel, "lifecycle"}

    run(scenario)


def test_custom_events_have_the_name_that_they_were_given(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "writes")
        async with events_of(served.http, thread, ["custom", "lifecycle"]) as events:
            assert of(await until_end(events), "custom") == [
                {"name": "progress", "payload": {"done": 1}},
                {"payload": "plain"},
            ]
        async with events_of(served.http, thread, ["custom:progress", "lifecycle"]) as events:
            assert len(of(await until_end(events), "custom")) == 1

    run(scenario)


def test_a_subgraph_starts_and_ends_in_the_lifecycle(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "nested")
        async with events_of(served.http, thread, ["lifecycle"]) as events:
            told = of(await until_end(events), "lifecycle")
        assert [(data["graph_name"], data["event"]) for data in told] == [
            ("nested", "running"),
            ("inner", "started"),
            ("inner", "completed"),
            ("nested", "completed"),
        ]

    run(scenario)


def test_runs_of_the_first_protocol_are_seen_as_well(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        body = {"assistant_id": "echo", "input": {"messages": [{"role": "user", "content": "a b"}]}}
        async with events_of(served.http, thread) as events:
            await served.http.post(f"/threads/{thread}/runs", json=body)
            seen = await until_end(events)
        assert text_of(seen) == "a b "
        assert of(seen, "messages")[-1]["event"] == "message-finish"
        assert of(seen, "tasks") == []

    run(scenario)


def test_a_deleted_thread_can_be_followed_on(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        async with served.gate() as gate, events_of(served.http, thread) as events:
            await start(served.http, thread, "echo", gate.word)
            await gate.reached.wait()
            assert of([await anext(events)], "lifecycle") == [{"event": "running", "graph_name": "echo"}]
            await served.sdk.threads.delete(thread)
            gate.open()
            assert (await served.http.get("/ok")).status_code == 200

    run(scenario)


def test_another_user_sees_nothing(tmp_path: Path, valkey_url: str) -> None:
    async def main() -> None:
        async with (
            asyncio.timeout(50),
            accounts() as auth,
            instance(valkey_url, tmp_path, auth=auth, headers=token_of("ada")) as served,
        ):
            thread, mallory = new_thread(), token_of("mallory")
            await start(served.http, thread, "asks")
            async with events_of(served.http, thread, since=0) as events:
                (asked,) = of(await until_end(events), "input.requested")

            async with events_of(served.http, thread, since=0, headers=mallory) as events:
                body = {"id": 1, "method": "agent.getTree", "params": {}}
                tree = await served.http.post(f"/threads/{thread}/commands", json=body, headers=mallory)
                assert tree.json()["error"] == "no_such_run"
                answer = {"interrupt_id": asked["interrupt_id"], "namespace": [], "response": "yes"}
                body = {"id": 1, "method": "input.respond", "params": answer}
                refused = await served.http.post(f"/threads/{thread}/commands", json=body, headers=mallory)
                assert refused.json()["error"] == "no_such_interrupt"
                await command(served.http, thread, "input.respond", **answer)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await anext(events)

            path = f"/threads/{thread}/stream/events"
            nobody = await served.http.post(path, json={"channels": ALL}, headers={"authorization": ""})
            assert nobody.status_code == 401

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "missing required field `channels`"),
        ({"channels": []}, "length >= 1"),
        ({"channels": ["valeus"]}, "Unknown channel 'valeus'. Known ones: values"),
        ({"channels": ["custom:"]}, "Unknown channel 'custom:'"),
        ({"channels": ["values"], "since": -1}, ">= 0 at `$.since`"),
        ({"channels": ["values"], "since": True}, "at `$.since`"),
        ({"channels": ["values"], "namespaces": ["inner"]}, "at `$.namespaces[0]`"),
        ({"channels": ["values"], "depth": "1"}, "at `$.depth`"),
    ],
)
def test_a_wrong_filter_is_refused_with_a_sentence(run: Run, body: object, sentence: str) -> None:
    async def scenario(served: Served) -> None:
        reply = await served.http.post(f"/threads/{new_thread()}/stream/events", json=body)
        assert reply.status_code == 422
        assert sentence in json.loads(reply.content)["detail"]

    run(scenario)


def test_a_wrong_last_event_id_is_refused(run: Run) -> None:
    async def scenario(served: Served) -> None:
        path, headers = f"/threads/{new_thread()}/stream/events", {"last-event-id": "yesterday"}
        reply = await served.http.post(path, json={"channels": ALL}, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")

    run(scenario)
