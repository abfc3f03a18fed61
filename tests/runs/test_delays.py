"""Runs that are to start later."""

import asyncio
from datetime import timedelta

import pytest
from tests.runs.instances import instance, says
from tests.waiting import seen

from pilothouse.errors import NotFound
from pilothouse.events import RunEnded
from pilothouse.ports.principals import LOCAL
from pilothouse.ports.runs import MultitaskStrategy, Run, RunLease, RunStatus
from pilothouse.stores import keys

SOON = timedelta(seconds=0.3)
LATER = timedelta(hours=1)


def test_a_delayed_run_starts_when_it_is_due_wherever_it_was_asked_for(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as asked, instance(redis_url) as works:
            works.work(says("done"))
            await works.read(await works.start_run())  # both are at work by now
            late: list[int] = []
            for _ in range(5):
                run = await asked.start_run(delay=SOON)
                await works.read(run)
                run = await asked.runs.get(LOCAL, run.thread_id, run.run_id)
                late.append(run.begun_at_ms - run.created_at_ms - 300)
            assert min(late) >= 0
            assert sorted(late)[1] < 200, late  # a machine with other work to do is late now and then

    asyncio.run(main())


def test_a_delayed_run_does_not_keep_its_thread_from_running_others(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            later = await here.start_run(delay=LATER)
            here.work(says("done"))
            now = await here.start_run(later.thread_id)
            assert isinstance((await here.read(now))[-1].event, RunEnded)
            assert (await here.runs.get(LOCAL, later.thread_id, later.run_id)).status == "pending"

    asyncio.run(main())


def test_a_delayed_run_that_is_cancelled_ends_at_once_and_does_not_start(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            run = await here.start_run(delay=SOON)
            await here.runs.cancel(LOCAL, run.thread_id, run.run_id)
            here.work(says("done"))
            assert (await here.read(run))[-1].event == RunEnded("cancelled")
            after = await here.start_run(delay=SOON)
            await here.read(after)
            run = await here.runs.get(LOCAL, run.thread_id, run.run_id)
            assert (run.status, run.begun_at_ms) == ("interrupted", 0)

    asyncio.run(main())


def test_a_delayed_run_goes_with_its_thread(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            gone, stays = await here.start_run(delay=SOON), await here.start_run(delay=SOON)
            await here.threads.delete(LOCAL, gone.thread_id)
            here.work(says("done"))
            await here.read(stays)
            with pytest.raises(NotFound):
                await here.runs.get(LOCAL, gone.thread_id, gone.run_id)
            with pytest.raises(NotFound):
                await here.threads.get(LOCAL, gone.thread_id)

    asyncio.run(main())


def test_a_thread_that_has_expired_is_not_brought_back_by_a_run_that_is_due(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            gone, stays = await here.start_run(delay=SOON), await here.start_run(delay=SOON)
            await here.redis.pexpire(keys.thread(LOCAL, gone.thread_id), 1)
            here.work(says("done"))
            await here.read(stays)
            with pytest.raises(NotFound):
                await here.threads.get(LOCAL, gone.thread_id)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("strategy", "first"),
    [
        ("enqueue", "running"),
        ("reject", "running"),
        ("interrupt", "interrupted"),
        ("rollback", "interrupted"),
    ],
)
def test_what_a_delayed_run_does_to_one_at_work_it_does_when_it_is_due(
    redis_url: str, strategy: MultitaskStrategy, first: RunStatus
) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            begun = asyncio.Event()

            async def handle(lease: RunLease) -> None:
                begun.set()
                task = asyncio.current_task()
                assert task is not None
                try:
                    with lease.stop.bind(task):
                        await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if lease.stop.reason is None:
                        raise
                    task.uncancel()
                await lease.finish(RunEnded("cancelled"))

            async def status(run: Run) -> tuple[RunStatus, bytes | None]:
                found = await here.runs.get(LOCAL, run.thread_id, run.run_id)
                waiting = await here.redis.zrangebyscore(delayed, 0, float("inf"))
                return found.status, waiting[0] if waiting else None

            later = await here.start_run(delay=timedelta(seconds=1), strategy=strategy)
            delayed = f"{keys.prefix(keys.partition_of_run(later.run_id))}:delayed"
            held = await here.start_run(later.thread_id)
            here.work(handle)
            await begun.wait()
            assert await status(held) == ("running", later.run_id.encode())
            found, _ = await seen(lambda: status(held), lambda now: now[1] is None)
            if first == "interrupted":
                found, _ = await seen(lambda: status(held), lambda now: now[0] == first)
            assert found == first

    asyncio.run(main())


def test_a_run_is_kept_until_it_is_due_though_that_is_after_its_thread_would_expire(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:  # where threads live for an hour
            run = await here.start_run(delay=timedelta(days=3))
            lives = [
                await here.redis.pttl(key)
                for key in (keys.run(run.run_id), keys.log(run.run_id), keys.thread(LOCAL, run.thread_id))
            ]
            assert min(lives) > timedelta(days=3).total_seconds() * 1000

    asyncio.run(main())


def test_many_runs_that_are_due_at_once_all_start(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            runs = [await here.start_run(delay=SOON) for _ in range(250)]
            here.work(says("done"), slots=50)
            for run in runs:
                await here.read(run)

    asyncio.run(main())
