"""What goes over the wire when a run is streamed, and that the SDK copes with connections that break."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from tests.server.serving import Served, says

Run = Callable[..., None]


async def parts_of(stream: Any) -> list[Any]:
    return [part async for part in stream]


def text_of(parts: list[Any]) -> str:
    return "".join(part.data[0]["content"] for part in parts if part.event == "messages")


def test_a_stream_has_the_headers_and_frames_that_clients_depend_on(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        body = {"assistant_id": "echo", "input": says("hi"), "stream_mode": "values"}

        reply = await served.http.post(f"/threads/{thread}/runs/stream", json=body)

        (started,) = await served.sdk.runs.list(thread)
        path = f"/threads/{thread}/runs/{started['run_id']}"
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-accel-buffering"] == "no"
        assert reply.headers["content-location"] == path
        assert reply.headers["location"] == f"{path}/stream"
        frames = reply.text.split("\n\n")
        assert frames[0].startswith("retry: 250\nevent: metadata\ndata: {")
        assert f'"run_id":"{started["run_id"]}"' in frames[0]
        assert frames[0].endswith("\nid: 1")
        assert frames[-2].startswith("event: end\n")
        assert frames[-1] == ""

    run(scenario)


def test_a_client_that_joins_late_misses_nothing(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            started = await runs.create(
                thread, "echo", input=says(f"one {gate.word} two"), stream_mode=["messages-tuple"]
            )
            await gate.reached.wait()
            joined = runs.join_stream(thread, started["run_id"])
            first = await anext(joined)
            assert (first.event, first.id) == ("metadata", "1")
            gate.open()
            parts = [first, *await parts_of(joined)]

        assert text_of(parts) == "one two "
        assert parts[-1].event == "end"
        again = await parts_of(runs.join_stream(thread, started["run_id"]))
        assert again == parts

    run(scenario)


def test_a_client_that_comes_back_gets_what_follows_its_last_event(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        started = await runs.create(thread, "echo", input=says("hi"), stream_mode=["values", "updates"])
        parts = await parts_of(runs.join_stream(thread, started["run_id"]))

        for seen, part in enumerate(parts[:-1], 1):
            rest = await parts_of(runs.join_stream(thread, started["run_id"], last_event_id=part.id))
            assert rest == parts[seen:]

    run(scenario)


@asynccontextmanager
async def cutting_proxy(target: str, after: bytes) -> AsyncGenerator[str]:
    """A proxy that cuts each of its first two connections that say `after`, in the middle of the reply."""
    cuts = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cuts
        url = httpx.URL(target)
        up_reader, up_writer = await asyncio.open_connection(url.host, url.port)

        async def up() -> None:
            while data := await reader.read(65536):
                up_writer.write(data)

        async def down() -> None:
            nonlocal cuts
            while data := await up_reader.read(65536):
                writer.write(data)
                await writer.drain()
                if after in data and cuts < 2:
                    cuts += 1
                    return

        tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        up_writer.close()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_the_sdk_goes_on_after_cut_connections_without_losing_or_doubling_anything(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        async with (
            served.gate() as gate,
            cutting_proxy(served.url, after=b"event: me") as url,
            get_client(url=url, api_key=None) as sdk,
        ):
            asked = says(f"one {gate.word} two")
            stream = sdk.runs.stream(thread, "echo", input=asked, stream_mode=["messages-tuple", "values"])
            parts: list[Any] = []
            async for part in stream:
                parts.append(part)
                if text_of(parts) == "one ":
                    gate.open()

        whole = await served.http.get(f"/threads/{thread}/runs")
        run_id = whole.json()[0]["run_id"]
        assert parts == await parts_of(served.sdk.runs.join_stream(thread, run_id))
        assert text_of(parts) == "one two "

    run(scenario)


@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
def test_a_run_goes_on_without_its_client_unless_asked_to_stop(run: Run, on_disconnect: str) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        async with served.gate() as gate:
            body = {
                "assistant_id": "echo",
                "input": says(f"one {gate.word} two"),
                "on_disconnect": on_disconnect,
            }
            async with served.http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as reply:
                await gate.reached.wait()
                run_id = reply.headers["content-location"].rpartition("/")[2]
            if on_disconnect == "continue":
                gate.open()
            await served.sdk.runs.join(thread, run_id)

        status = (await served.sdk.runs.get(thread, run_id))["status"]
        assert status == ("interrupted" if on_disconnect == "cancel" else "success")

    run(scenario)


def test_a_failed_run_streams_its_error_and_then_its_end(run: Run) -> None:
    async def scenario(served: Served) -> None:
        stream = served.sdk.runs.stream(await served.thread(), "echo", input=says("fail:"))

        *_, error, end = await parts_of(stream)

        assert (error.event, error.data) == (
            "error",
            {"error": "run_failed", "message": "ValueError: the model broke"},
        )
        assert (end.event, end.data["status"]) == ("end", "error")

    run(scenario)


def test_what_a_run_asks_a_human_is_in_its_last_values(run: Run) -> None:
    async def scenario(served: Served) -> None:
        stream = served.sdk.runs.stream(
            await served.thread(), "asks", input=says("go"), stream_mode="values", version="v2"
        )

        parts = [part async for part in stream]

        assert parts[-1]["type"] == "values"
        assert [i["value"] for i in parts[-1]["interrupts"]] == [{"question": "may I?"}]

    run(scenario)


def test_tools_are_streamed_as_they_run(run: Run) -> None:
    async def scenario(served: Served) -> None:
        stream = served.sdk.runs.stream(
            await served.thread(), "adds", input=says("go"), stream_mode=["tools"]
        )

        told = [part.data for part in await parts_of(stream) if part.event == "tools"]

        assert [(t["event"], t["tool_call_id"], t["tool_name"]) for t in told] == [
            ("tool-started", "call-1", "add"),
            ("tool-finished", "call-1", "add"),
        ]
        assert told[0]["input"] == {"a": 1, "b": 2}

    run(scenario)


@pytest.mark.parametrize(
    "mode",
    [
        "values",
        "messages",
        "messages-tuple",
        "updates",
        "events",
        "tasks",
        "checkpoints",
        "debug",
        "custom",
        "tools",
    ],
)
def test_every_stream_mode_ends_well(run: Run, mode: Any) -> None:
    async def scenario(served: Served) -> None:
        stream = served.sdk.runs.stream(await served.thread(), "adds", input=says("go"), stream_mode=[mode])
        events = [part.event.partition("/")[0] for part in await parts_of(stream)]

        assert (events[0], events[-1]) == ("metadata", "end")
        expected = {"messages-tuple": "messages"}.get(mode, mode)
        assert set(events[1:-1]) == (set() if mode == "custom" else {expected})

    run(scenario)


def test_messages_so_far_grow_piece_by_piece(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.gate() as gate:
            asked = says(f"one {gate.word} two")
            stream = served.sdk.runs.stream(
                await served.thread(), "echo", input=asked, stream_mode="messages"
            )
            parts: list[Any] = []
            async for part in stream:
                parts.append(part)
                if part.event == "messages/partial":
                    gate.open()

        texts = [part.data[0]["content"] for part in parts if part.event == "messages/partial"]
        assert texts[0] == "one "
        assert texts[-1] == "one two "

    run(scenario)


def test_subgraphs_are_streamed_under_their_namespace_when_asked_for(run: Run) -> None:
    async def scenario(served: Served) -> None:
        modes: Any = ["updates", "messages-tuple"]
        for subgraphs in (True, False):
            stream = served.sdk.runs.stream(
                await served.thread(),
                "nested",
                input=says("hi"),
                stream_mode=modes,
                stream_subgraphs=subgraphs,
            )
            names = {part.event.split(":")[0] for part in await parts_of(stream)}
            assert ("updates|inner" in names) is subgraphs

    run(scenario)


def test_a_run_without_a_thread_is_streamed_and_can_be_joined_by_its_id(run: Run) -> None:
    async def scenario(served: Served) -> None:
        created: list[Any] = []
        stream = served.sdk.runs.stream(
            None,
            "echo",
            input=says("hi"),
            stream_mode="messages-tuple",
            on_completion="keep",
            on_run_created=created.append,
        )
        parts = await parts_of(stream)
        assert text_of(parts) == "hi "

        joined = await served.http.get(f"/runs/{created[0]['run_id']}/stream")
        assert joined.text.count("event: messages\n") == 1

    run(scenario)


@pytest.mark.parametrize(
    "query",
    [
        "stream_mode=updates&stream_mode=values",
        'stream_mode=["updates","values"]',
        "stream_mode=updates,values",
    ],
)
def test_a_joined_stream_takes_its_modes_in_each_form_that_clients_use(run: Run, query: str) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        started = await served.sdk.runs.create(
            thread, "echo", input=says("hi"), stream_mode=["updates", "values", "tasks"]
        )

        reply = await served.http.get(f"/threads/{thread}/runs/{started['run_id']}/stream?{query}")

        lines = reply.text.splitlines()
        names = {line.removeprefix("event: ") for line in lines if line.startswith("event: ")}
        assert names == {"metadata", "updates", "values", "end"}

    run(scenario)


def test_a_stream_whose_run_is_deleted_ends_in_an_error(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        async with served.gate() as gate:
            started = await served.sdk.runs.create(thread, "echo", input=says(gate.word))
            await gate.reached.wait()
            stream = served.sdk.runs.join_stream(thread, started["run_id"])
            assert (await anext(stream)).event == "metadata"
            await served.sdk.threads.delete(thread)
            rest = await parts_of(stream)

        assert rest[-1].event in ("error", "end")

    run(scenario)
