"""Following the runs of a thread."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta

from tests.runs.instances import instance, says

from pilothouse.events import RunEnded, RunId
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.ports.runs import Run, RunLease

MALLORY = Principal(UserId("mallory"))
DEADLINE_SECONDS = 20


async def take(batches: AsyncGenerator[Sequence[Run], None], count: int) -> list[RunId]:
    """The next runs, under a deadline."""
    runs: list[Run] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(runs) < count:
            runs += await anext(batches)
    return [run.run_id for run in runs]


def test_runs_are_told_in_the_order_in_which_they_begin_and_each_once(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            first = await here.start_run()
            later = await here.start_run(first.thread_id, delay=timedelta(seconds=1))
            second = await here.start_run(first.thread_id)
            here.work(says("a"))
            async with aclosing(here.log.follow_thread(LOCAL, first.thread_id)) as runs:
                assert await take(runs, 3) == [first.run_id, second.run_id, later.run_id]
            async with aclosing(here.log.follow_thread(LOCAL, first.thread_id, 1)) as runs:
                assert await take(runs, 2) == [second.run_id, later.run_id]
            assert (await here.threads.get(LOCAL, first.thread_id)).runs_begun == 3

    asyncio.run(main())


def test_a_run_that_begins_elsewhere_is_told_at_once(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here, instance(redis_url) as there:
            here.work(says("a"))
            old = await here.start_run()
            await here.read(old)
            async with aclosing(there.log.follow_thread(LOCAL, old.thread_id)) as runs:
                assert await take(runs, 1) == [old.run_id]
                async with asyncio.timeout(4):
                    waiting = asyncio.ensure_future(anext(runs))
                    new = await here.start_run(old.thread_id)
                    assert [run.run_id for run in await waiting] == [new.run_id]

    asyncio.run(main())


def test_a_run_that_is_cancelled_before_it_began_is_told_as_well(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            run = await here.start_run()
            await here.runs.cancel(LOCAL, run.thread_id, run.run_id)
            async with aclosing(here.log.follow_thread(LOCAL, run.thread_id)) as runs:
                assert await take(runs, 1) == [run.run_id]

    asyncio.run(main())


def test_a_number_is_kept_when_an_earlier_run_is_deleted(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            here.work(says("a"))
            first = await here.start_run()
            await here.read(first)
            await here.runs.delete(LOCAL, first.thread_id, first.run_id)
            second = await here.start_run(first.thread_id)
            await here.read(second)
            assert (await here.runs.get(LOCAL, second.thread_id, second.run_id)).number == 2
            async with aclosing(here.log.follow_thread(LOCAL, first.thread_id)) as runs:
                assert await take(runs, 1) == [second.run_id]

    asyncio.run(main())


def test_a_run_keeps_its_number_when_another_worker_takes_it_over(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:

            async def hand_over_once(lease: RunLease) -> None:
                if lease.run.attempt == 1:
                    await lease.release()
                else:
                    await lease.finish(RunEnded("success"))

            here.work(hand_over_once)
            run = await here.start_run()
            await here.read(run)
            ended = await here.runs.get(LOCAL, run.thread_id, run.run_id)
            assert (ended.attempt, ended.number) == (2, 1)

    asyncio.run(main())


def test_somebody_elses_thread_has_no_runs(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            here.work(says("a"))
            run = await here.start_run()
            await here.read(run)
            async with aclosing(here.log.follow_thread(MALLORY, run.thread_id)) as runs:
                assert await anext(runs) == ()

    asyncio.run(main())


def test_nothing_of_a_deleted_thread_stays(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            here.work(says("a"))
            run = await here.start_run()
            await here.read(run)
            await here.threads.delete(LOCAL, run.thread_id)
            keys = [key async for key in here.redis.scan_iter(match=f"*{run.thread_id}*")]
            assert keys == []

    asyncio.run(main())
