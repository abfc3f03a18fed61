"""Crons and several instances, by a clock that the test sets."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from tests.runs.instances import Instance, instance, says
from tests.waiting import seen

from pilothouse.errors import InvalidRequest, NotFound
from pilothouse.events import AgentId, Json, ThreadId
from pilothouse.ports.crons import Cron, CronId, CronPlan, CronQuery
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.ports.runs import MultitaskStrategy, Run, RunInput
from pilothouse.runs.crons import CronRunner, run_of
from pilothouse.schedules import Schedule
from pilothouse.stores.crons.due import RedisDueCrons
from pilothouse.stores.crons.redis import RedisCrons

SOMEBODY_ELSE = Principal(UserId("somebody-else"))
QUICKLY = timedelta(milliseconds=20)
NINE = int(datetime.fromisoformat("2027-06-01T09:00:00+00:00").timestamp() * 1000)
DAY, MINUTE = 86_400_000, 60_000


@dataclass
class Clock:
    now_ms: int = NINE - MINUTE

    def __call__(self) -> int:
        return self.now_ms


def daily(**changes: object) -> CronPlan:
    plan = CronPlan(AgentId("agent"), Schedule("0 9 * * *"), RunInput(input=Json(b'"hi"')), Json(b"{}"))
    return msgspec.structs.replace(plan, **changes)


@dataclass
class Crew:
    """Instances that share a Redis, and the crons there."""

    clock: Clock
    crons: RedisCrons
    instances: Sequence[Instance]
    watching: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def watch(self) -> None:
        """Every instance looks for due crons."""
        for one in self.instances:
            due = RedisDueCrons(one.redis, self.clock, QUICKLY)
            self.watching.append(one.tasks.create_task(CronRunner(due, one.runs).run()))

    async def stop_watching(self) -> None:
        for task in self.watching:
            task.cancel()
        if self.watching:
            await asyncio.wait(self.watching)
        self.watching.clear()

    async def moved_on(self, cron: Cron) -> Cron:
        """The cron when it has another next time than it has now."""
        return await seen(
            lambda: self.crons.get(cron.principal, cron.cron_id),
            lambda now: now.next_run_ms != cron.next_run_ms,
        )

    async def runs_of(self, cron: Cron, due_ms: int = NINE) -> Sequence[Run]:
        """Newest first; none if they have no thread yet."""
        try:
            thread_id = run_of(cron, due_ms).thread_id
            return await self.instances[0].runs.list(cron.principal, thread_id, limit=100)
        except NotFound:
            return ()


@dataclass
class Dying:
    """The port `DueCrons` of an instance that dies when it has started a run, before it moves the cron on."""

    due: RedisDueCrons
    last_act: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, fire: Callable[[Cron, int], Awaitable[bool]]) -> None:
        async def fire_and_stop(cron: Cron, due_ms: int) -> bool:
            await fire(cron, due_ms)
            self.last_act.set()
            await asyncio.Event().wait()
            return True

        await self.due.watch(fire_and_stop)


@asynccontextmanager
async def crew(url: str, size: int = 1) -> AsyncGenerator[Crew]:
    async with asyncio.timeout(40), AsyncExitStack() as stack:
        instances = [await stack.enter_async_context(instance(url)) for _ in range(size)]
        clock = Clock()
        one = Crew(clock, RedisCrons(instances[0].redis, clock), instances)
        stack.push_async_callback(one.stop_watching)
        yield one


def test_each_time_fires_once_however_many_instances_look(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url, 4) as all_of_them:
            crons = [await all_of_them.crons.create(LOCAL, None, daily(keep_thread=True)) for _ in range(20)]
            all_of_them.watch()
            for day in range(3):
                due = NINE + day * DAY
                all_of_them.clock.now_ms = due
                for i, cron in enumerate(crons):
                    crons[i] = await all_of_them.moved_on(cron)
                    assert crons[i].next_run_ms == due + DAY
                for cron in crons:
                    [fired] = await all_of_them.runs_of(cron, due)
                    metadata = msgspec.json.decode(fired.metadata)
                    assert (fired.request.input, metadata["cron_id"]) == (Json(b'"hi"'), cron.cron_id)

    asyncio.run(main())


def test_a_time_fires_once_when_an_instance_dies_between_the_run_and_moving_the_cron_on(
    redis_url: str,
) -> None:
    async def main() -> None:
        async with crew(redis_url, 2) as both:
            cron = await both.crons.create(LOCAL, None, daily())
            both.clock.now_ms = NINE
            here = both.instances[0]
            dying = Dying(RedisDueCrons(here.redis, both.clock, QUICKLY))
            both.watching.append(here.tasks.create_task(CronRunner(dying, here.runs).run()))
            async with asyncio.timeout(10):
                await dying.last_act.wait()
            await both.stop_watching()
            assert (await both.crons.get(LOCAL, cron.cron_id)).next_run_ms == NINE
            assert len(await both.runs_of(cron)) == 1

            both.watch()
            await both.moved_on(cron)
            assert len(await both.runs_of(cron)) == 1

    asyncio.run(main())


def test_after_an_outage_a_cron_fires_once_and_not_for_every_time_that_it_missed(valkey_url: str) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one:
            thread_id = ThreadId(str(uuid4()))
            minutely = daily(schedule=Schedule("* * * * *"))
            cron = await one.crons.create(LOCAL, thread_id, minutely)
            assert cron.next_run_ms == NINE
            one.clock.now_ms = NINE + 2 * 60 * MINUTE + 1
            one.watch()
            moved = await one.moved_on(cron)
            assert moved.next_run_ms == NINE + (2 * 60 + 1) * MINUTE
            assert len(await one.runs_of(cron)) == 1

    asyncio.run(main())


def test_a_cron_on_a_thread_keeps_its_multitask_strategy_and_goes_on_when_it_finds_it_busy(
    valkey_url: str,
) -> None:
    async def main(strategy: MultitaskStrategy, count: int, statuses: set[str]) -> None:
        async with crew(valkey_url) as one:
            busy = await one.instances[0].start_run()
            plan = daily(multitask_strategy=strategy)
            cron = await one.crons.create(LOCAL, busy.thread_id, plan)
            one.clock.now_ms = NINE
            one.watch()
            await one.moved_on(cron)
            runs = await one.runs_of(cron)
            assert (len(runs), {run.status for run in runs}) == (count, statuses)

    asyncio.run(main("reject", 1, {"pending"}))
    asyncio.run(main("enqueue", 2, {"pending"}))
    asyncio.run(main("interrupt", 2, {"pending", "interrupted"}))


def test_the_thread_of_a_firing_goes_when_its_run_has_ended_unless_it_is_to_be_kept(valkey_url: str) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one:
            dropped = await one.crons.create(LOCAL, None, daily())
            kept = await one.crons.create(LOCAL, None, daily(keep_thread=True))
            one.clock.now_ms = NINE
            one.watch()
            for cron, goes in ((dropped, True), (kept, False)):
                await one.moved_on(cron)
                [run] = await one.runs_of(cron)
                assert run.delete_thread_after is goes

    asyncio.run(main())


def test_a_cron_that_is_off_or_over_or_deleted_does_not_fire(valkey_url: str) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one:
            off = await one.crons.create(LOCAL, None, daily(enabled=False))
            gone = await one.crons.create(LOCAL, None, daily())
            last = await one.crons.create(LOCAL, None, daily(end_time_ms=NINE + MINUTE))
            await one.crons.delete(LOCAL, gone.cron_id)
            assert off.next_run_ms is None
            one.clock.now_ms = NINE
            one.watch()
            over = await one.moved_on(last)
            assert over.next_run_ms is None
            one.clock.now_ms += DAY
            canary = await one.crons.create(LOCAL, None, daily(schedule=Schedule("* * * * *")))
            one.clock.now_ms += MINUTE
            await one.moved_on(canary)
            assert [len(await one.runs_of(cron)) for cron in (off, gone, last)] == [0, 0, 1]
            assert len(await one.runs_of(last, NINE + DAY)) == 0

            on = await one.crons.update(LOCAL, off.cron_id, lambda _: daily())
            assert on.next_run_ms == NINE + 2 * DAY

    asyncio.run(main())


def test_changes_at_once_are_all_made(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url) as one:
            cron = await one.crons.create(LOCAL, None, daily(metadata=Json(b"{}")))

            def add(name: str) -> Callable[[CronPlan], CronPlan]:
                def change(plan: CronPlan) -> CronPlan:
                    metadata = {**msgspec.json.decode(plan.metadata), name: 1}
                    return msgspec.structs.replace(plan, metadata=Json(msgspec.json.encode(metadata)))

                return change

            changes = [one.crons.update(LOCAL, cron.cron_id, add(name)) for name in "abcde"]
            await asyncio.gather(*changes)
            changed = await one.crons.get(LOCAL, cron.cron_id)
            assert msgspec.json.decode(changed.plan.metadata).keys() == set("abcde")
            assert changed.next_run_ms == cron.next_run_ms

    asyncio.run(main())


def test_a_change_beside_the_times_does_not_pass_over_one_that_is_due(valkey_url: str) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one:
            cron = await one.crons.create(LOCAL, None, daily())
            one.clock.now_ms = NINE + 500
            changed = await one.crons.update(
                LOCAL, cron.cron_id, lambda plan: daily(webhook="https://x.example")
            )
            assert changed.next_run_ms == NINE
            changed = await one.crons.update(
                LOCAL, cron.cron_id, lambda plan: daily(schedule=Schedule("1 9 * * *"))
            )
            assert changed.next_run_ms == NINE + MINUTE

    asyncio.run(main())


def test_an_end_in_the_past_and_a_schedule_that_never_comes_are_refused(valkey_url: str) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one:
            for plan, message in (
                (daily(end_time_ms=NINE - DAY), "end_time is in the past"),
                (daily(end_time_ms=NINE - 1), "never comes due before its end_time"),
                (daily(schedule=Schedule("* * */20 * 1L")), "never comes due"),
            ):
                with pytest.raises(InvalidRequest, match=message):
                    await one.crons.create(LOCAL, None, plan)
            assert await one.crons.search(LOCAL, CronQuery()) == ([], 0)

    asyncio.run(main())


def test_crons_of_somebody_else_do_not_exist(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url) as one:
            mine = await one.crons.create(LOCAL, None, daily())
            theirs = await one.crons.create(SOMEBODY_ELSE, None, daily())
            found, total = await one.crons.search(LOCAL, CronQuery())
            assert ([cron.cron_id for cron in found], total) == ([mine.cron_id], 1)
            with pytest.raises(NotFound, match=f"no cron {theirs.cron_id}"):
                await one.crons.get(LOCAL, theirs.cron_id)
            with pytest.raises(NotFound):
                await one.crons.update(LOCAL, theirs.cron_id, lambda plan: plan)
            with pytest.raises(NotFound):
                await one.crons.delete(LOCAL, theirs.cron_id)
            with pytest.raises(NotFound):
                await one.crons.delete(LOCAL, CronId(str(uuid4())))
            assert (await one.crons.get(SOMEBODY_ELSE, theirs.cron_id)).plan == daily()

    asyncio.run(main())


def test_a_cron_whose_run_could_begin_is_worked_on_like_any_other(valkey_url: str) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one:
            here = one.instances[0]
            cron = await one.crons.create(LOCAL, None, daily(keep_thread=True))
            one.clock.now_ms = NINE
            one.watch()
            here.work(says("good morning"))
            await one.moved_on(cron)
            [run] = await one.runs_of(cron)
            await here.read(run)
            [run] = await one.runs_of(cron)
            assert run.status == "success"

    asyncio.run(main())
