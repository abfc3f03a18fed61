"""Creating a run: once for an idempotency key, and once for an answer."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.runs.instances import Instance, instance, says

from pilothouse.errors import Conflict, InvalidRequest
from pilothouse.events import AgentId, Interrupt, Json, RunEnded, ThreadId
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.ports.runs import NewRun, Run, RunInput, RunLease

SOMEBODY_ELSE = Principal(UserId("somebody-else"))


def new(thread_id: ThreadId, key: str | None = None, *, says: str = "hello", resumes: bool = False) -> NewRun:
    return NewRun(
        thread_id,
        AgentId("agent"),
        RunInput(input=Json(f'"{says}"'.encode())),
        if_thread_missing="create",
        idempotency_key=key,
        resumes=resumes,
    )


def a_thread() -> ThreadId:
    return ThreadId(str(uuid4()))


def test_a_request_that_comes_again_with_its_key_is_the_same_run(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here, instance(redis_url) as there:
            thread_id = a_thread()
            creations = [one.runs.create(LOCAL, new(thread_id, "k1")) for one in [here, there] * 10]
            runs = await asyncio.gather(*creations)
            assert len({run.run_id for run in runs}) == 1
            other = await here.runs.create(LOCAL, new(thread_id, "k2"))
            assert len(await there.runs.list(LOCAL, thread_id)) == 2
            here.work(says("done"))
            await there.read(other)
            again = await here.runs.create(LOCAL, new(thread_id, "k1"))
            assert (again.run_id, again.status) == (runs[0].run_id, "success")

    asyncio.run(main())


def test_a_key_that_comes_with_another_request_is_refused(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here:
            thread_id = a_thread()
            await here.runs.create(LOCAL, new(thread_id, "k"))
            with pytest.raises(InvalidRequest, match="another request"):
                await here.runs.create(LOCAL, new(thread_id, "k", says="something else"))
            await here.runs.create(SOMEBODY_ELSE, new(thread_id, "k", says="something else"))

    asyncio.run(main())


def test_a_key_is_free_again_when_its_run_is_deleted(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            first = await here.runs.create(LOCAL, new(a_thread(), "k"))
            await here.runs.cancel(LOCAL, first.thread_id, first.run_id)
            await here.runs.delete(LOCAL, first.thread_id, first.run_id)
            second = await here.runs.create(LOCAL, new(first.thread_id, "k"))
            assert second.run_id != first.run_id

    asyncio.run(main())


async def asking(here: Instance) -> Run:
    """A run that has ended with a question."""

    async def ask(lease: RunLease) -> None:
        if not lease.run.after:
            await lease.finish(RunEnded("interrupted", interrupts=(Interrupt("i1", Json(b'"sure?"')),)))
        else:
            await says("answered")(lease)

    here.work(ask)
    run = await here.runs.create(LOCAL, new(a_thread()))
    await here.read(run)
    return run


def test_an_answer_that_is_given_twice_at_once_runs_once(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here, instance(redis_url) as there:
            asked = await asking(here)
            answer = new(asked.thread_id, resumes=True)
            answers = [one.runs.create(LOCAL, answer) for one in [here, there] * 5]
            made = await asyncio.gather(*answers, return_exceptions=True)
            runs = [one for one in made if isinstance(one, Run)]
            assert len(runs) == 1
            assert all(isinstance(one, Conflict) for one in made if one not in runs)
            await there.read(runs[0])
            with pytest.raises(Conflict, match="waits for no answer"):
                await there.runs.create(LOCAL, answer)

    asyncio.run(main())


def test_cancelling_a_run_that_waits_for_a_human_withdraws_its_question(redis_url: str) -> None:
    async def main() -> None:
        async with instance(redis_url) as here, instance(redis_url) as there:
            asked = await asking(here)
            assert (await there.threads.get(LOCAL, asked.thread_id)).status == "interrupted"
            await there.runs.cancel(LOCAL, asked.thread_id, asked.run_id)
            thread = await there.threads.get(LOCAL, asked.thread_id)
            assert (thread.status, thread.interrupts) == ("idle", ())
            await there.read(await there.runs.create(LOCAL, new(asked.thread_id)))

    asyncio.run(main())


def test_a_run_knows_how_the_one_before_it_ended(redis_url: str) -> None:
    async def main() -> None:
        seen: list[str | None] = []

        async def fail(lease: RunLease) -> None:
            seen.append(lease.run.after)
            await lease.finish(RunEnded("error"))

        async with instance(redis_url) as here:
            thread_id = a_thread()
            here.work(fail)
            for _ in range(2):
                await here.read(await here.runs.create(LOCAL, new(thread_id)))
            assert seen == [None, "error"]

    asyncio.run(main())


def test_an_answer_to_a_run_that_failed_may_be_given_again(valkey_url: str) -> None:
    async def main() -> None:
        async def fail(lease: RunLease) -> None:
            await lease.finish(RunEnded("error"))

        async with instance(valkey_url) as here:
            here.work(fail)
            run = await here.runs.create(LOCAL, new(a_thread()))
            await here.read(run)
            await here.read(await here.runs.create(LOCAL, new(run.thread_id, resumes=True)))

    asyncio.run(main())


def test_keys_of_requests_expire(valkey_url: str) -> None:
    async def main() -> None:
        async with instance(valkey_url) as here:
            run = await here.runs.create(LOCAL, new(a_thread(), "k"))
            keys = [key async for key in here.redis.scan_iter(f"*{run.thread_id}:key:*")]  # type: ignore[attr-defined]
            left = [await here.redis.pttl(key) for key in keys]  # type: ignore[attr-defined]
            assert len(left) == 1
            assert 0 < left[0] <= timedelta(days=1).total_seconds() * 1000

    asyncio.run(main())
