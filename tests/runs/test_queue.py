"""The order of runs, cancelling, and taking over from a dead worker."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from tests.runs.instances import delta, instance, says, texts

from pilothouse.errors import Conflict, LeaseLost
from pilothouse.events import Offset, RunEnded, RunStarted
from pilothouse.ports.principals import LOCAL
from pilothouse.ports.runs import QueueLoad, RunLease

WORKER = [sys.executable, "-m", "tests.runs.hanging_worker"]


def test_runs_of_a_thread_are_executed_one_after_the_other_in_order(redis_url: str) -> None:
    async def main() -> None:
        order: list[str] = []
        at_work = 0

        async def handle(lease: RunLease) -> None:
            nonlocal at_work
            at_work += 1
            assert at_work == 1
            order.append(lease.run.run_id)
            await asyncio.sleep(0)
            at_work -= 1
            await lease.finish(RunEnded("success"))

        async with instance(redis_url) as here, instance(redis_url) as there:
            runs = [await here.start_run()]
            runs += [await here.start_run(runs[0].thread_id) for _ in range(9)]
            here.work(handle)
            there.work(handle)
            await here.read(runs[-1])
            assert order == [run.run_id for run in runs]
            thread = await here.threads.get(LOCAL, runs[0].thread_id)
            assert thread.status == "idle"

    asyncio.run(main())


def test_reject_refuses_a_second_run_while_the_first_is_under_way(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            run = await here.start_run()
            with pytest.raises(Conflict, match="busy"):
                await here.start_run(run.thread_id, strategy="reject")
            here.work(says("done"))
            await here.read(run)
            await here.start_run(run.thread_id, strategy="reject")

    asyncio.run(main())


def test_interrupt_ends_the_run_before_and_takes_its_place(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            first = await here.start_run()
            second = await here.start_run(first.thread_id)
            third = await here.start_run(first.thread_id, strategy="interrupt")
            here.work(says("third"))
            assert texts(await here.read(third)) == ["third"]
            for run in (first, second):
                records = await here.read(run)
                assert records[-1].event == RunEnded("cancelled")

    asyncio.run(main())


def test_cancelling_reaches_a_run_on_another_instance(redis_url: str) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def handle(lease: RunLease) -> None:
            task = asyncio.current_task()
            assert task
            try:
                with lease.stop.bind(task):
                    begun.set()
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                task.uncancel()
                assert lease.stop.reason == "interrupt"
                await lease.finish(RunEnded("cancelled"))

        async with instance(redis_url) as here, instance(redis_url) as there:
            here.work(handle)
            run = await there.start_run()
            await begun.wait()
            started = time.monotonic()
            await there.runs.cancel(LOCAL, run.thread_id, run.run_id)
            assert (await there.read(run))[-1].event == RunEnded("cancelled")
            assert time.monotonic() - started < 1

    asyncio.run(main())


def test_cancelling_a_waiting_run_lets_the_next_one_go(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            first = await here.start_run()
            second = await here.start_run(first.thread_id)
            await here.runs.cancel(LOCAL, first.thread_id, first.run_id)
            here.work(says("second"))
            assert texts(await here.read(second)) == ["second"]
            assert (await here.read(first))[-1].event == RunEnded("cancelled")

    asyncio.run(main())


def test_a_delayed_run_starts_when_it_is_due(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            here.work(says("late"))
            started = time.monotonic()
            run = await here.start_run(delay=timedelta(seconds=1))
            assert texts(await here.read(run)) == ["late"]
            assert time.monotonic() - started >= 1

    asyncio.run(main())


def test_a_released_run_is_taken_by_another_worker_with_the_next_attempt(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:

            async def handle(lease: RunLease) -> None:
                if lease.run.attempt == 1:
                    await lease.append([delta("one")])
                    await lease.release()
                else:
                    assert lease.run.crashes == 0
                    await says("two")(lease)

            here.work(handle)
            records = await here.read(await here.start_run())
            assert texts(records) == ["one", "two"]
            attempts = [record.event.attempt for record in records if isinstance(record.event, RunStarted)]
            assert attempts == [1, 2]
            assert [record.offset for record in records] == list(range(1, len(records) + 1))

    asyncio.run(main())


def test_a_killed_workers_run_goes_on_elsewhere_within_ten_seconds(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            run = await here.start_run()
            with subprocess.Popen([*WORKER, valkey_url]) as worker:  # noqa: ASYNC220  it starts in a moment
                async with asyncio.timeout(20):
                    async for batch in here.log.follow(LOCAL, run.thread_id, run.run_id):
                        if texts(list(batch)):
                            break
                os.kill(worker.pid, signal.SIGKILL)
            killed = time.monotonic()
            crashes: list[int] = []

            async def go_on(lease: RunLease) -> None:
                crashes.append(lease.run.crashes)
                await says("taken over")(lease)

            here.work(go_on)
            records = await here.read(run)
            assert time.monotonic() - killed < 10
            assert texts(records) == ["hanging", "taken over"]
            assert crashes == [1]
            assert [record.offset for record in records] == list(range(1, len(records) + 1))

    asyncio.run(main())


def test_a_worker_that_wakes_up_after_losing_its_lease_can_not_write(valkey_url: str) -> None:
    async def main() -> None:
        released, taken, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def sleeper(lease: RunLease) -> None:
            await lease.release()  # as if the lease had lapsed: the run is taken by the other instance
            released.set()
            await taken.wait()
            for write in (
                lease.append([delta("too late")]),
                lease.finish(RunEnded("error")),
                lease.release(),
            ):
                with pytest.raises(LeaseLost):
                    await write
            refused.set()

        async def second(lease: RunLease) -> None:
            assert lease.run.attempt == 2
            taken.set()
            await refused.wait()
            await lease.finish(RunEnded("success"))

        async with instance(valkey_url) as here, instance(valkey_url) as there:
            working = here.work(sleeper, slots=1)
            run = await here.start_run()
            async with asyncio.timeout(10):
                await released.wait()
            there.work(second)
            records = await there.read(run, after=Offset(0))
            assert records[-1].event == RunEnded("success")
            assert texts(records) == []
            assert not working.done()

    asyncio.run(main())


def test_a_stopping_worker_ends_what_it_has_and_takes_no_more(valkey_url: str) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def handle(lease: RunLease) -> None:
            begun.set()
            await here.stopping.wait()
            await says("ended")(lease)

        async with instance(valkey_url) as here, instance(valkey_url) as there:
            working = here.work(handle)
            run = await here.start_run()
            async with asyncio.timeout(5):
                await begun.wait()
                here.stopping.set()
                await working
            assert texts(await here.read(run)) == ["ended"]
            later = await here.start_run()
            there.work(says("elsewhere"))
            assert texts(await here.read(later)) == ["elsewhere"]

    asyncio.run(main())


def test_the_load_is_what_waits_and_what_is_under_way(redis_url: str) -> None:
    async def main() -> None:
        began, go_on = asyncio.Semaphore(0), asyncio.Event()

        async def handle(lease: RunLease) -> None:
            began.release()
            await go_on.wait()
            await lease.finish(RunEnded("success"))

        async with instance(redis_url) as here, instance(redis_url) as elsewhere:
            assert await here.queue.load() == QueueLoad(waiting=0, under_way=0)
            runs = [await here.start_run(), await here.start_run()]
            runs += [await here.start_run(runs[0].thread_id)]  # waits for its thread, and is not due
            await here.start_run(delay=timedelta(hours=1))
            assert await here.queue.load() == QueueLoad(waiting=2, under_way=0)
            elsewhere.work(handle)
            for _ in range(2):
                await began.acquire()
            assert await here.queue.load() == QueueLoad(waiting=0, under_way=2)
            runs += [await here.start_run(delay=timedelta(seconds=1.5))]
            assert await here.queue.load() == QueueLoad(waiting=1, under_way=2)
            go_on.set()
            await asyncio.gather(*map(here.read, runs))
            assert await here.queue.load() == QueueLoad(waiting=0, under_way=0)

    asyncio.run(main())
