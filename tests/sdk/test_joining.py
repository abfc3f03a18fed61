"""Runs in the background: joined before, in the middle and after their end, and left."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from tests.sdk.parts import contents, events, parts_of, text
from tests.sdk.proxies import cutting_proxy
from tests.server.serving import Served, says

Run = Callable[..., None]


def test_a_background_run_is_joined_in_the_middle_and_after_its_end(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            started = await runs.create(
                thread,
                "talker",
                input=says(f"one {gate.word} two"),
                stream_mode=["messages-tuple", "values"],
                stream_resumable=True,
            )
            run_id = started["run_id"]
            await gate.reached.wait()
            assert (await served.sdk.threads.get(thread))["status"] == "busy"
            joined = runs.join_stream(thread, run_id)
            first = [await anext(joined) for _ in range(2)]
            waiting = asyncio.ensure_future(runs.join(thread, run_id))
            gate.open()
            middle = [*first, *await parts_of(joined)]
            values = await waiting

        assert text(middle) == "one two "
        assert contents(values)[-1] == "one two"
        assert await parts_of(runs.join_stream(thread, run_id)) == middle
        assert await runs.join(thread, run_id) == values
        assert events(await parts_of(runs.join_stream(thread, run_id, stream_mode="values"))) == ["values"]
        for seen, part in enumerate(middle[:-1], 1):
            rest = await parts_of(runs.join_stream(thread, run_id, last_event_id=part.id))
            assert rest == middle[seen:]

    run(scenario)


@pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect")
def test_a_wait_that_is_cut_off_comes_back_with_the_result(run: Run) -> None:
    async def scenario(served: Served) -> None:
        # The head of the reply comes through, the body does not.
        async with (
            cutting_proxy(served.url, after_bytes=400, cuts=1) as proxy,
            get_client(url=proxy.url, api_key=None) as sdk,
        ):
            thread = await served.thread()
            asked = says("a question " * 50)
            values = await sdk.runs.wait(thread, "talker", input=asked)

        assert proxy.cuts_left == 0
        assert contents(values)[-1] == ("a question " * 50).strip()
        assert len(await served.sdk.runs.list(thread)) == 1

    run(scenario)


@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
def test_a_run_whose_client_leaves_is_cancelled_only_when_asked_for(run: Run, on_disconnect: Any) -> None:
    async def scenario(served: Served) -> None:
        runs, thread, run_id = served.sdk.runs, await served.thread(), ""
        async with served.gate() as gate:
            async with get_client(url=served.url, api_key=None) as leaving:
                stream = leaving.runs.stream(
                    thread, "talker", input=says(f"one {gate.word} two"), on_disconnect=on_disconnect
                )
                run_id = (await anext(stream)).data["run_id"]
                await gate.reached.wait()
                await stream.aclose()
            if on_disconnect == "continue":
                gate.open()
            await runs.join(thread, run_id)

        status = (await runs.get(thread, run_id))["status"]
        assert status == ("interrupted" if on_disconnect == "cancel" else "success")

    run(scenario)


def test_a_joined_stream_cancels_the_run_with_it_when_asked_for(run: Run) -> None:
    async def scenario(served: Served) -> None:
        runs, thread = served.sdk.runs, await served.thread()
        async with served.gate() as gate:
            started = await runs.create(thread, "talker", input=says(f"one {gate.word}"))
            await gate.reached.wait()
            stream = runs.join_stream(thread, started["run_id"], cancel_on_disconnect=True)
            await anext(stream)
            await stream.aclose()
            await runs.join(thread, started["run_id"])

        assert (await runs.get(thread, started["run_id"]))["status"] == "interrupted"

    run(scenario)


@pytest.mark.slow
def test_a_quiet_wait_is_kept_alive_with_line_breaks_and_answers_json(run: Run) -> None:
    async def scenario(served: Served) -> None:
        body = {"assistant_id": "talker"}
        async with served.gate() as gate:
            path = f"/threads/{await served.thread()}/runs/wait"
            body["input"] = says(f"one {gate.word} two")
            async with served.http.stream("POST", path, json=body) as reply:
                chunks = reply.aiter_bytes()
                first = await anext(chunks)
                gate.open()
                rest = b"".join([chunk async for chunk in chunks])

        assert first.strip(b"\n") == b""
        assert contents(httpx.Response(200, content=first + rest).json())[-1] == "one two"

    run(scenario)
