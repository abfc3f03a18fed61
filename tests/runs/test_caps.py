"""How many runs there may be: of a user, in the queue, on a thread."""

import asyncio

import pytest
from tests.runs.instances import instance, says

from pilothouse.errors import TooBusy
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.stores.runs.runs import Caps

SOMEBODY_ELSE = Principal(UserId("somebody-else"))


def test_a_user_has_no_more_unfinished_runs_than_allowed(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url, Caps(user_runs=2)) as here:
            first, _ = [await here.start_run() for _ in range(2)]
            with pytest.raises(TooBusy, match="2 runs under way"):
                await here.start_run()
            await here.start_run(principal=SOMEBODY_ELSE)
            await here.runs.cancel(LOCAL, first.thread_id, first.run_id)
            last = await here.start_run()
            with pytest.raises(TooBusy):
                await here.start_run()
            here.work(says("done"))
            await here.read(last)
            await here.start_run()

    asyncio.run(main())


def test_a_queue_that_is_full_takes_no_more(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url, Caps(waiting_runs=3)) as here:
            runs = [await here.start_run() for _ in range(3)]
            with pytest.raises(TooBusy, match="3 runs are waiting"):
                await here.start_run()
            here.work(says("done"))
            await asyncio.gather(*map(here.read, runs))
            await here.backlog.count()
            await here.start_run()

    asyncio.run(main())


def test_no_more_runs_wait_on_a_thread_than_allowed(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url, Caps(waiting_runs=2)) as here:
            run = await here.start_run()
            for _ in range(2):
                here.backlog.waiting = 0
                await here.start_run(run.thread_id)
            here.backlog.waiting = 0
            with pytest.raises(TooBusy, match="as many runs waiting"):
                await here.start_run(run.thread_id)

    asyncio.run(main())
