"""Finding runs across threads."""

import asyncio
from datetime import timedelta

from tests.runs.instances import Instance, instance, says

from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.ports.runs import Run

LATER = timedelta(hours=1)
MALLORY = Principal(UserId("mallory"))


async def runs_of(here: Instance, count: int) -> list[Run]:
    """Ended runs, each on a thread of its own, the newest first."""
    made = [await here.start_run() for _ in range(count)]
    here.work(says("done"))
    for run in made:
        await here.read(run)
    return made[::-1]


def test_the_newest_run_is_first_whatever_its_thread(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            made = await runs_of(here, 4)
            newest = await here.start_run(made[-1].thread_id)
            await here.read(newest)

            found = await here.runs.search(LOCAL, limit=3)

            assert found[0].run_id == newest.run_id
            # (Of one millisecond, any may be first.)
            assert [run.created_at_ms for run in found[1:]] == [run.created_at_ms for run in made[:2]]
            assert [run.status for run in found] == ["success"] * 3

    asyncio.run(main())


def test_runs_of_one_status_are_found_behind_many_of_another(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            made = await runs_of(here, 3)
            waiting = await here.start_run(delay=LATER)
            for _ in range(3):
                await here.start_run(delay=LATER)

            pending = await here.runs.search(LOCAL, status="pending", offset=3)
            ended = await here.runs.search(LOCAL, status="success", limit=2, offset=1)

            assert [run.created_at_ms for run in pending] == [waiting.created_at_ms]
            assert [run.created_at_ms for run in ended] == [run.created_at_ms for run in made[1:]]
            assert all(run.due_at_ms - run.created_at_ms == 3_600_000 for run in pending)
            assert len(await here.runs.search(LOCAL, limit=100)) == 7

    asyncio.run(main())


def test_a_user_finds_no_run_of_another(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            await here.start_run()
            theirs = await here.start_run(principal=MALLORY)

            assert [run.run_id for run in await here.runs.search(MALLORY)] == [theirs.run_id]

    asyncio.run(main())
