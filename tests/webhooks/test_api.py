"""Webhooks of a whole server: what a client asks for and a receiver gets."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.server.serving import Served, says
from tests.webhooks.receivers import SECRET, Receiver

from pilothouse.errors import ConfigurationError

Run = Callable[..., None]
SIGNED = {"PILOTHOUSE_WEBHOOK_SECRET": SECRET, "PILOTHOUSE_WEBHOOK_HOSTS": "127.0.0.1, hooks.internal:8080"}


def test_a_receiver_gets_the_run_with_the_values_of_its_thread(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with Receiver() as receiver:
            thread = await served.thread()
            created: Any = await served.sdk.runs.create(
                thread,
                "echo",
                input=says("good morning"),
                webhook=receiver.url,
                metadata={"team": "blue"},
                durability="exit",
            )
            [message] = await receiver.got()
            body = message.verified()
            shown: Any = await served.sdk.runs.get(thread, created["run_id"])
            assert {name: body[name] for name in shown} == shown
            assert (body["status"], body["error"]) == ("success", None)
            contents = [each["content"].strip() for each in body["values"]["messages"]]
            assert contents == ["good morning", "good morning"]

    run(scenario, **SIGNED)


def test_the_values_are_those_at_the_end_of_the_run_and_not_of_a_later_one(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with Receiver() as receiver:
            thread = await served.thread()
            for text in ("one", "two", "three"):
                await served.sdk.runs.create(thread, "echo", input=says(text), webhook=receiver.url)
            messages = [message.verified() for message in await receiver.got(3)]
            lengths = {len(message["values"]["messages"]) for message in messages}
            assert lengths == {2, 4, 6}

    run(scenario, **SIGNED)


def test_runs_that_fail_or_ask_or_are_cancelled_are_told_with_what_they_came_to(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with Receiver() as receiver, served.gate() as gate:
            runs = served.sdk.runs
            thread = await served.thread()
            held: Any = await runs.create(thread, "echo", input=says(gate.word), webhook=receiver.url)
            await gate.reached.wait()
            queued: Any = await runs.create(thread, "echo", input=says("later"), webhook=receiver.url)
            await runs.cancel(thread, queued["run_id"])
            await runs.cancel(thread, held["run_id"])
            failed: Any = await runs.create(None, "echo", input=says("fail:"), webhook=receiver.url)
            asked: Any = await runs.create(
                await served.thread(), "asks", input=says("x"), webhook=receiver.url
            )
            told = {body["run_id"]: body for body in [m.verified() for m in await receiver.got(4)]}
            statuses = {run_id: body["status"] for run_id, body in told.items()}
            assert statuses == {
                held["run_id"]: "interrupted",
                queued["run_id"]: "interrupted",
                failed["run_id"]: "error",
                asked["run_id"]: "interrupted",
            }
            assert told[failed["run_id"]]["error"] == "ValueError: the model broke"
            assert told[queued["run_id"]]["values"] is None

    run(scenario, **SIGNED)


def test_the_thread_of_a_stateless_run_and_of_a_cron_are_told_as_well(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with Receiver() as receiver:
            values: Any = await served.sdk.runs.wait(None, "echo", input=says("hello"), webhook=receiver.url)
            [message] = await receiver.got()
            assert message.verified()["values"] == values

            cron: Any = await served.sdk.crons.create(
                "echo", schedule="* * * * * *", input=says("tick"), webhook=receiver.url
            )
            body = (await receiver.got(2))[1].verified()
            await served.sdk.crons.delete(cron["cron_id"])
            assert body["metadata"] == {"cron_id": cron["cron_id"]}
            assert body["values"]["messages"][-1]["content"].strip() == "tick"

    run(scenario, **SIGNED)


REFUSED = [
    ("https://10.0.0.1/hook", "10.0.0.1 is not public"),
    ("http://hooks.internal/", "must be an https:// URL"),
    ("https://me:pass@example.com/", "no user and password"),
    ("https://localhost:8123/", "not public"),
    ("/internal", "must be a URL"),
    ("", "not a URL"),
]


def test_a_webhook_that_may_not_be_called_is_refused_wherever_a_run_is_made(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        cron: Any = await served.sdk.crons.create("echo", schedule="0 9 * * *")
        for url, message in REFUSED:
            body = {"assistant_id": "echo", "webhook": url, "schedule": "0 9 * * *"}
            replies = [
                await served.http.post(path, json=body)
                for of in (f"/threads/{thread}/runs", "/runs")
                for path in (of, f"{of}/stream", f"{of}/wait", f"{of}/crons")
            ]
            replies.append(await served.http.post("/runs/batch", json=[body]))
            path = f"/runs/crons/{cron['cron_id']}"
            replies.append(await served.http.patch(path, json={"webhook": url}))
            for reply in replies:
                assert (reply.status_code, message in reply.json()["detail"]) == (422, True), reply.text
        assert await served.sdk.runs.list(thread) == []
        allowed = {"assistant_id": "echo", "webhook": "http://hooks.internal:8080/", "after_seconds": 3600}
        assert (await served.http.post("/runs", json=allowed)).status_code == 200

    run(scenario, **SIGNED)


def test_without_a_secret_runs_with_a_webhook_are_refused_with_what_to_do(run: Run) -> None:
    async def scenario(served: Served) -> None:
        body = {"assistant_id": "echo", "webhook": "https://example.com/hook"}
        reply = await served.http.post("/runs", json=body)
        assert reply.status_code == 422
        assert "set webhook_secret (see docs/schedules.md)" in reply.json()["detail"]

    run(scenario)


def test_the_secret_is_shown_nowhere(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(served: Served) -> None:
        async with Receiver(500) as receiver:
            await served.sdk.runs.create(None, "echo", input=says("x"), webhook=receiver.url)
            await receiver.got()
            assert SECRET not in (await served.http.get("/info")).text

    caplog.set_level("DEBUG")
    run(scenario, **SIGNED)
    everything = " ".join(str(vars(record)) for record in caplog.records)
    assert SECRET.removeprefix("whsec_") not in everything


def test_a_secret_that_is_none_is_told_at_the_start(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="webhook_secret must be whsec_"):
        run(None, PILOTHOUSE_WEBHOOK_SECRET="changeme")
