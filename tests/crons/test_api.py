"""Crons as the Python SDK makes, changes, finds and deletes them, on a whole server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from tests.server.serving import Served, says
from tests.waiting import seen

from pilothouse.events import AgentId, Json
from pilothouse.ports.crons import CronPlan
from pilothouse.ports.principals import LOCAL
from pilothouse.ports.runs import RunInput
from pilothouse.schedules import Schedule
from pilothouse.stores.client import connect
from pilothouse.stores.crons.redis import RedisCrons

Run = Callable[..., None]
EVERY_SECOND = "* * * * * *"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=40)


def test_a_cron_is_made_looked_up_changed_and_deleted(run: Run) -> None:
    async def scenario(served: Served) -> None:
        crons = served.sdk.crons
        made: Any = await crons.create(
            "echo",
            schedule="0 9 * * 1-5",
            timezone=ZoneInfo("Europe/Berlin"),
            input=says("good morning"),
            metadata={"team": "blue"},
            config={"tags": ["daily"]},
            context={"language": "de"},
            interrupt_before=["say"],
            on_run_completed="keep",
            end_time=SOON,
            stream_mode=["values", "updates"],
            durability="sync",
        )
        assert (await served.http.get(f"/runs/crons/{made['cron_id']}")).json() | {"now": 0} == made | {
            "now": 0
        }
        echo = (await served.sdk.assistants.get("echo"))["assistant_id"]
        told = {key: made[key] for key in ("assistant_id", "schedule", "timezone", "metadata", "user_id")}
        assert told == {
            "assistant_id": echo,
            "schedule": "0 9 * * 1-5",
            "timezone": "Europe/Berlin",
            "metadata": {"team": "blue"},
            "user_id": "local",
        }
        assert (made["thread_id"], made["on_run_completed"], made["enabled"]) == (None, "keep", True)
        assert datetime.fromisoformat(made["end_time"]) == SOON
        next_run = datetime.fromisoformat(made["next_run_date"]).astimezone(ZoneInfo("Europe/Berlin"))
        assert (next_run.hour, next_run.minute, next_run.weekday() < 5) == (9, 0, True)
        assert made["payload"]["input"] == says("good morning")

        changed: Any = await crons.update(
            made["cron_id"],
            schedule="30 18 * * *",
            timezone="UTC",
            input=says("good evening"),
            end_time=None,
            metadata={"team": "red"},
            on_run_completed="delete",
            stream_mode="values",
            durability="exit",
        )
        kept = ("cron_id", "assistant_id", "created_at", "enabled")
        assert [changed[key] for key in kept] == [made[key] for key in kept]
        assert (changed["end_time"], changed["metadata"]) == (None, {"team": "red"})
        assert changed["next_run_date"].endswith("T18:30:00Z")
        assert changed["payload"]["input"] == says("good evening")
        assert changed["payload"]["context"] == {"language": "de"}

        off: Any = await crons.update(made["cron_id"], enabled=False)
        assert (off["enabled"], off["next_run_date"], off["schedule"]) == (False, None, "30 18 * * *")

        await crons.delete(made["cron_id"])
        assert (await served.http.get(f"/runs/crons/{made['cron_id']}")).status_code == 404

    run(scenario)


def test_crons_are_found_counted_sorted_and_paged(run: Run) -> None:
    async def scenario(served: Served) -> None:
        crons = served.sdk.crons
        thread = await served.thread()
        on_thread: Any = await crons.create_for_thread(thread, "echo", schedule="0 1 * * *")
        ids = [on_thread["cron_id"]]
        for hour in (3, 2):
            made: Any = await crons.create("asks", schedule=f"0 {hour} 1 1 *", metadata={"hour": hour})
            ids.append(made["cron_id"])
        off: Any = await crons.create("asks", schedule="0 0 * * *", enabled=False)

        async def found(**query: Any) -> list[str]:
            return [cron["cron_id"] for cron in await crons.search(**query)]

        assert await found() == [off["cron_id"], *reversed(ids)]
        assert await found(thread_id=thread) == await found(assistant_id="echo") == ids[:1]
        assert await found(enabled=False) == [off["cron_id"]]
        assert await found(metadata={"hour": 2}) == ids[2:]
        assert await found(assistant_id="nobody") == []
        by_time = await found(assistant_id="asks", sort_by="next_run_date", sort_order="asc")
        assert by_time == [ids[2], ids[1], off["cron_id"]]
        assert await crons.search(select=["schedule", "enabled"], limit=1) == [
            {"schedule": "0 0 * * *", "enabled": False}
        ]
        assert [await crons.count(), await crons.count(assistant_id="asks")] == [4, 3]
        assert await crons.count(thread_id=thread, metadata={"hour": 2}) == 0

        page = await served.http.post("/runs/crons/search", json={"limit": 3})
        assert (page.headers["x-pagination-total"], page.headers["x-pagination-next"]) == ("4", "3")

        await served.sdk.threads.delete(thread)
        assert await found(thread_id=thread) == []

    run(scenario)


def test_a_cron_runs_its_agent_with_a_thread_for_each_time(run: Run) -> None:
    async def scenario(served: Served) -> None:
        cron: Any = await served.sdk.crons.create(
            "echo",
            schedule=EVERY_SECOND,
            input=says("tick"),
            metadata={"name": "ticker"},
            on_run_completed="keep",
        )

        async def threads() -> list[Any]:
            return await served.sdk.threads.search(status="idle", metadata={"graph_id": "echo"}, limit=100)

        ran = await seen(threads, lambda found: len(found) >= 2)
        await served.sdk.crons.delete(cron["cron_id"])
        for thread in ran:
            [each] = await served.sdk.runs.list(thread["thread_id"])
            assert (each["status"], each["metadata"]) == (
                "success",
                {"name": "ticker", "cron_id": cron["cron_id"]},
            )
            assert thread["values"]["messages"][-1]["content"].strip() == "tick"

    run(scenario)


def test_a_cron_whose_agent_is_gone_goes_on_and_its_runs_say_why_they_failed(
    run: Run, valkey_url: str
) -> None:
    async def scenario(served: Served) -> None:
        redis = connect(valkey_url)
        plan = CronPlan(AgentId("gone"), Schedule(EVERY_SECOND), RunInput(), Json(b"{}"), keep_thread=True)
        cron = await RedisCrons(redis).create(LOCAL, None, plan)
        await redis.aclose()

        async def failed() -> list[Any]:
            return await served.sdk.threads.search(status="error")

        threads = await seen(failed, lambda found: len(found) >= 2)
        assert "no agent 'gone'" in threads[0]["error"]["message"]
        assert (await served.http.get(f"/runs/crons/{cron.cron_id}")).json()["enabled"]

    run(scenario)


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "missing required field `schedule`"),
    ({"schedule": "at nine"}, 422, "'at nine' is not a cron expression"),
    ({"schedule": "0 9 31 2 *"}, 422, "is not a cron expression (bad day-of-month)"),
    ({"schedule": "0 9 * * *", "timezone": "Berlin"}, 422, "There is no time zone 'Berlin'"),
    ({"schedule": "0 9 * * *", "end_time": "2020-01-01T00:00:00"}, 422, "The end_time is in the past"),
    ({"schedule": "0 9 * * *", "end_time": "tomorrow"}, 422, "`$.end_time`"),
    ({"schedule": "0 9 * * *", "on_run_completed": "hide"}, 422, "`$.on_run_completed`"),
    ({"schedule": "0 9 * * *", "stream_mode": "vals"}, 422, "Unknown stream mode 'vals'"),
    ({"schedule": "0 9 * * *", "config": []}, 422, "expected an object at `$.config`"),
    ({"schedule": "0 9 * * *", "webhook": "https://example.com"}, 422, "set webhook_secret"),
    ({"schedule": "0 9 * * *", "assistant_id": "nobody"}, 404, "no agent 'nobody'"),
    ({"schedule": "0 9 * * *", "assistant_id": "broken"}, 409, "could not be loaded"),
]


def test_a_cron_that_is_wrong_is_refused_with_a_sentence(run: Run) -> None:
    async def scenario(served: Served) -> None:
        await seen(lambda: served.http.get("/info"), lambda reply: "this file is broken" in reply.text)
        for fields, status, message in REFUSED:
            reply = await served.http.post("/runs/crons", json={"assistant_id": "echo", **fields})
            assert (reply.status_code, message in reply.json()["detail"]) == (status, True), reply.text
        assert await served.sdk.crons.count() == 0

    run(scenario)


def test_changes_that_are_wrong_leave_the_cron_as_it_was(run: Run) -> None:
    async def scenario(served: Served) -> None:
        made: Any = await served.sdk.crons.create("echo", schedule="0 9 * * *")
        path = f"/runs/crons/{made['cron_id']}"
        for change, message in (
            ({"schedule": "x"}, "not a cron expression"),
            ({"schedule": None}, "`$.schedule`"),
            ({"timezone": "Nowhere"}, "no time zone 'Nowhere'"),
            ({"end_time": "2020-01-01T00:00:00Z"}, "in the past"),
            ({"multitask_strategy": "wait"}, "`$.multitask_strategy`"),
            ({"metadata": 7}, "expected an object at `$.metadata`"),
        ):
            reply = await served.http.patch(path, json=change)
            assert (reply.status_code, message in reply.json()["detail"]) == (422, True), reply.text
        assert (await served.http.get(path)).json() | {"now": 0} == made | {"now": 0}

    run(scenario)


def test_a_cron_that_does_not_exist_is_told(run: Run) -> None:
    async def scenario(served: Served) -> None:
        nobody = uuid4()
        for method, path, body in (
            ("GET", f"/runs/crons/{nobody}", None),
            ("PATCH", f"/runs/crons/{nobody}", {}),
            ("DELETE", f"/runs/crons/{nobody}", None),
            ("POST", f"/threads/{nobody}/runs/crons", {"assistant_id": "echo", "schedule": "0 9 * * *"}),
        ):
            reply = await served.http.request(method, path, json=body)
            assert (reply.status_code, str(nobody) in reply.json()["detail"]) == (404, True), (method, path)
        to_make = {"assistant_id": "echo", "schedule": "0 9 * * *", "if_not_exists": "create"}
        made = await served.http.post(f"/threads/{nobody}/runs/crons", json=to_make)
        assert made.json()["thread_id"] == str(nobody)
        assert (await served.http.get("/runs/crons/mine")).status_code == 422

    run(scenario)
