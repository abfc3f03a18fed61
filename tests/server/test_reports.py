"""How runs went, over HTTP."""

from collections.abc import Callable
from typing import Any

from tests.server.serving import Served, says

Run = Callable[..., None]


async def search(served: Served, **query: Any) -> list[str]:
    reply = await served.http.post("/runs/search", json=query)
    assert reply.status_code == 200, reply.text
    return [run["run_id"] for run in reply.json()]


def test_runs_are_found_across_threads_page_by_page(run: Run) -> None:
    async def scenario(served: Served) -> None:
        threads = [await served.thread(), await served.thread()]
        ids: list[str] = []
        for number in range(5):
            made = await served.sdk.runs.create(threads[number % 2], "echo", input=says("hello"))
            await served.sdk.runs.join(made["thread_id"], made["run_id"])
            ids.insert(0, made["run_id"])

        assert await search(served, limit=5) == ids
        assert await search(served, limit=2, offset=1) == ids[1:3]
        assert await search(served, status="success", limit=2, offset=2) == ids[2:4]
        assert await search(served, status="error", thread_id=threads[0]) == []
        assert await search(served, thread_id=threads[0]) == ids[::2]

    run(scenario)


def test_a_run_that_has_ended_is_found_until_its_thread_is_deleted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        made = await served.sdk.runs.create(thread, "echo", input=says("hello"))
        await served.sdk.runs.join(thread, made["run_id"])
        assert made["run_id"] in await search(served)

        await served.sdk.threads.delete(thread)

        assert made["run_id"] not in await search(served)

    run(scenario)


def test_a_run_under_way_is_reported_as_far_as_it_is(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        async with served.gate() as gate:
            made = await served.sdk.runs.create(thread, "echo", input=says(f"one {gate.word} two"))
            await gate.reached.wait()
            report = (await served.http.get(f"/runs/{made['run_id']}")).json()

        assert (report["status"], report["outcome"], report["ended_at"]) == ("running", None, None)
        assert report["first_token_at"] >= report["attempts"][0]["begun_at"] >= report["created_at"]
        assert report["model_calls"] == 1

    run(scenario)


def test_a_run_that_is_to_begin_later_says_when(run: Run) -> None:
    async def scenario(served: Served) -> None:
        made = await served.sdk.runs.create(
            await served.thread(), "echo", input=says("hi"), after_seconds=3600
        )

        report = (await served.http.get(f"/runs/{made['run_id']}")).json()

        assert report["due_at"][:13] != report["created_at"][:13]
        assert (report["status"], report["attempts"], report["first_token_at"]) == ("pending", [], None)

    run(scenario)


def test_calls_and_failures_of_tools_are_counted_by_name(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        made = await served.sdk.runs.create(thread, "adds", input=says("3 4"))
        await served.sdk.runs.join(thread, made["run_id"])

        report = (await served.http.get(f"/runs/{made['run_id']}")).json()

        assert (report["tool_calls"], report["failed_tool_calls"]) == ({"add": 1}, 0)

    run(scenario)


def test_what_can_not_be_asked_for_is_said(run: Run) -> None:
    async def scenario(served: Served) -> None:
        for body, words in (
            ({"status": "sleeping"}, "'sleeping'"),
            ({"agent": "echo"}, "`agent`"),
            ({"limit": 5000}, "1000"),
            ({"thread_id": "x"}, "thread id 'x'"),
        ):
            refused = await served.http.post("/runs/search", json=body)
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
            assert words in refused.json()["detail"]
        absent = await served.http.get("/runs/0a0a0a0a-0000-4000-8000-000000000001")
        assert absent.status_code == 404

    run(scenario)
