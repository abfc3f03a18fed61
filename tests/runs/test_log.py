"""Following a run's log."""

import asyncio

import pytest
from tests.runs.instances import delta, instance, says, texts

from pilothouse.errors import LeaseLost, NotFound
from pilothouse.events import Offset, RunEnded, RunId, RunStarted, ThreadId
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.ports.runs import RunLease

MALLORY = Principal(UserId("mallory"))


def test_a_follower_sees_every_event_once_numbered_from_one(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            here.work(says("a", "b", "c"))
            run = await here.start_run()
            records = await here.read(run)
            assert [record.offset for record in records] == [1, 2, 3, 4, 5]
            assert isinstance(records[0].event, RunStarted)
            assert records[-1].event == RunEnded("success")
            assert texts(records) == ["a", "b", "c"]

    asyncio.run(main())


def test_a_follower_on_another_instance_sees_the_same_log(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here, instance(redis_url) as there:
            here.work(says(*map(str, range(100))))
            run = await here.start_run()
            local, remote = await asyncio.gather(here.read(run), there.read(run))
            assert local == remote

    asyncio.run(main())


def test_following_after_an_offset_gives_only_what_came_later(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            here.work(says("a", "b", "c"))
            run = await here.start_run()
            everything = await here.read(run)
            for offset in range(5):
                assert await here.read(run, after=offset) == everything[offset:]

    asyncio.run(main())


def test_a_live_event_reaches_another_instance_at_once(valkey_url: str) -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def handle(lease: RunLease) -> None:
            await lease.append([delta("first")])
            await go_on.wait()
            await lease.append([delta("second")])
            await lease.finish(RunEnded("success"))

        async with instance(valkey_url) as here, instance(valkey_url) as there:
            here.work(handle)
            run = await here.start_run()
            seen: list[str] = []
            async with asyncio.timeout(5):
                async for batch in there.log.follow(LOCAL, run.thread_id, run.run_id):
                    seen += texts(list(batch))
                    if seen == ["first"]:
                        go_on.set()
            assert seen == ["first", "second"]

    asyncio.run(main())


def test_a_run_of_somebody_else_does_not_exist(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            run = await here.start_run()
            with pytest.raises(NotFound):
                await anext(aiter(here.log.follow(MALLORY, run.thread_id, run.run_id)))
            with pytest.raises(NotFound):
                await anext(aiter(here.log.follow(LOCAL, ThreadId("other"), run.run_id)))
            with pytest.raises(NotFound):
                await anext(aiter(here.log.follow(LOCAL, run.thread_id, RunId("no such id"))))
            with pytest.raises(NotFound):
                await here.runs.get(MALLORY, run.thread_id, run.run_id)
            with pytest.raises(NotFound):
                await here.runs.cancel(MALLORY, run.thread_id, run.run_id)
            with pytest.raises(NotFound):
                await here.runs.delete(MALLORY, run.thread_id, run.run_id)
            with pytest.raises(NotFound):
                await here.runs.list(MALLORY, run.thread_id)
            with pytest.raises(NotFound):
                await here.runs.thread_of(MALLORY, run.run_id)

    asyncio.run(main())


def test_nothing_can_be_appended_after_the_end(valkey_url: str) -> None:
    async def main() -> None:
        refused = asyncio.Event()

        async def handle(lease: RunLease) -> None:
            await lease.finish(RunEnded("success"))
            with pytest.raises(LeaseLost):
                await lease.append([delta("late")])
            with pytest.raises(LeaseLost):
                await lease.finish(RunEnded("error"))
            refused.set()

        async with instance(valkey_url) as here:
            here.work(handle)
            run = await here.start_run()
            async with asyncio.timeout(5):
                await refused.wait()
            assert [record.offset for record in await here.read(run)] == [1, 2]

    asyncio.run(main())


def test_a_deleted_thread_stops_its_run_and_ends_its_followers(valkey_url: str) -> None:
    async def main() -> None:
        begun, lost = asyncio.Event(), asyncio.Event()

        async def handle(lease: RunLease) -> None:
            begun.set()
            task = asyncio.current_task()
            assert task
            with lease.stop.bind(task):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    task.uncancel()
            with pytest.raises(LeaseLost):
                await lease.append([delta("late")])
            lost.set()

        async with instance(valkey_url) as here:
            here.work(handle)
            run = await here.start_run()
            async with asyncio.timeout(5):
                await begun.wait()
                await here.threads.delete(LOCAL, run.thread_id)
                await lost.wait()
                with pytest.raises(NotFound):
                    await here.read(run, after=Offset(1))

    asyncio.run(main())
