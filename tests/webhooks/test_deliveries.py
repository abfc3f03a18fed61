"""Deliveries survive: failures of the receiver, and deaths of instances."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from tests.runs.instances import Instance, instance, says
from tests.waiting import seen
from tests.webhooks.receivers import KEY, Receiver, never

from pilothouse.engines.catalog import AgentDefinition, Catalog
from pilothouse.events import AgentId, Json, RunEnded, RunError, RunOutcome, ThreadId
from pilothouse.ports.principals import LOCAL
from pilothouse.ports.runs import NewRun, Run, RunInput, RunLease
from pilothouse.ports.webhooks import WebhookLease
from pilothouse.stores import keys
from pilothouse.stores.webhooks.redis import RedisWebhooks
from pilothouse.webhooks.addresses import WebhookAddresses
from pilothouse.webhooks.deliveries import Backoff, Deliveries
from pilothouse.webhooks.sending import Sender
from pilothouse.wire.webhooks import webhook_body

WORKER = [sys.executable, "-m", "tests.webhooks.dying_worker"]
QUICKLY = timedelta(milliseconds=20)


async def _no_agent() -> Any:
    raise AssertionError("nobody asks for it")


AGENTS = Catalog([AgentDefinition(AgentId("another"), "another", _no_agent)])
"""The one of these runs is not among them, so that they have no values."""


@dataclass
class Crew:
    """Instances that share a Redis."""

    instances: Sequence[Instance]
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    @property
    def here(self) -> Instance:
        return self.instances[0]

    async def start_run(self, url: str, **fields: Any) -> Run:
        new = NewRun(
            ThreadId(str(uuid4())), AgentId("agent"), RunInput(), if_thread_missing="create", webhook=url
        )
        return await self.here.runs.create(LOCAL, msgspec.structs.replace(new, **fields))

    def deliver(
        self,
        backoff: Backoff = Backoff(first=QUICKLY),  # noqa: B008  frozen
        *,
        deadline: timedelta = timedelta(seconds=5),
    ) -> None:
        """Every instance does."""
        for one in self.instances:
            sender = Sender(WebhookAddresses(["127.0.0.1"]), [KEY], deadline)
            queue = RedisWebhooks(one.redis, period=QUICKLY)
            work = Deliveries(queue, sender, AGENTS, webhook_body, backoff).run()
            self.tasks.append(one.tasks.create_task(work))

    async def left(self) -> int:
        """How many deliveries there are still."""
        counts = [
            len(await self.here.redis.zrangebyscore(keys.hooks(partition), 0, float("inf")))
            for partition in range(keys.PARTITIONS)
        ]
        return sum(counts)

    async def settled(self) -> None:
        await seen(self.left, lambda left: left == 0)


@asynccontextmanager
async def crew(url: str, size: int = 1) -> AsyncGenerator[Crew]:
    async with asyncio.timeout(40), AsyncExitStack() as stack:
        crew = Crew([await stack.enter_async_context(instance(url)) for _ in range(size)])
        try:
            yield crew
        finally:
            for task in crew.tasks:
                task.cancel()


def ends(outcome: RunOutcome, error: RunError | None = None) -> Callable[[RunLease], Any]:
    return lambda lease: lease.finish(RunEnded(outcome, error))


@pytest.mark.parametrize(
    ("outcome", "error", "status", "message"),
    [
        ("success", None, "success", None),
        ("error", RunError("run_failed", "it broke"), "error", "it broke"),
        ("timeout", RunError("timeout", "too long"), "timeout", "too long"),
        ("interrupted", None, "interrupted", None),
    ],
)
def test_the_end_of_a_run_is_told_once_whatever_it_is(
    redis_url: str, outcome: RunOutcome, error: RunError | None, status: str, message: str | None
) -> None:
    async def main() -> None:
        async with crew(redis_url, 3) as all_of_them, Receiver() as receiver:
            run = await all_of_them.start_run(receiver.url, metadata=Json(b'{"a":1}'))
            await all_of_them.start_run(receiver.url, webhook=None)
            all_of_them.here.work(ends(outcome, error))
            all_of_them.deliver()
            await receiver.got()
            await all_of_them.settled()
            [told] = receiver.messages
            body = told.verified()
            assert (told.id, body["run_id"], body["metadata"]) == (f"msg_{run.run_id}", run.run_id, {"a": 1})
            assert (body["status"], body["error"], body["values"]) == (status, message, None)
            assert body["run_started_at"] <= body["run_ended_at"] <= body["webhook_sent_at"]

    asyncio.run(main())


@pytest.mark.parametrize("delay", [None, timedelta(hours=1)])
def test_a_run_that_is_cancelled_before_it_begins_is_told(redis_url: str, delay: timedelta | None) -> None:
    async def main() -> None:
        async with crew(redis_url) as one, Receiver() as receiver:
            run = await one.start_run(receiver.url, delay=delay)
            await one.here.runs.cancel(LOCAL, run.thread_id, run.run_id)
            one.deliver()
            [message] = await receiver.got()
            body = message.verified()
            assert (body["status"], body["run_started_at"], body["error"]) == ("interrupted", None, None)

    asyncio.run(main())


def test_a_receiver_that_fails_gets_the_same_message_again_until_it_takes_it(
    caplog: pytest.LogCaptureFixture, valkey_url: str
) -> None:
    async def main() -> None:
        async with crew(valkey_url, 2) as both, Receiver(500, 503) as receiver:
            await both.start_run(receiver.url, metadata=Json(b'{"secret":"gold"}'))
            both.here.work(says("done"))
            both.deliver()
            messages = await receiver.got(3)
            await both.settled()
            assert len(messages) == 3
            assert len({(message.id, message.body) for message in messages}) == 1
            assert messages[2].verified()["metadata"] == {"secret": "gold"}

    caplog.set_level(logging.INFO, "pilothouse.webhooks")
    asyncio.run(main())
    told = [
        (record.message, vars(record)["attempt"]) for record in caplog.records if "attempt" in vars(record)
    ]
    assert told == [("webhook failed", 1), ("webhook failed", 2), ("webhook delivered", 3)]
    everything = " ".join(str(vars(record)) for record in caplog.records)
    assert "gold" not in everything
    assert "token=1" not in everything


def test_a_receiver_that_hangs_is_tried_again(valkey_url: str) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one, Receiver(never) as receiver:
            await one.start_run(receiver.url)
            one.here.work(says("done"))
            one.deliver(deadline=timedelta(seconds=0.3))
            await receiver.got(2)
            await one.settled()

    asyncio.run(main())


def test_what_fails_for_too_long_is_given_up_and_said_so(
    caplog: pytest.LogCaptureFixture, valkey_url: str
) -> None:
    async def main() -> None:
        async with crew(valkey_url) as one, Receiver(*[500] * 50) as receiver:
            await one.start_run(receiver.url)
            one.here.work(says("done"))
            one.deliver(Backoff(first=QUICKLY, give_up_after=timedelta(seconds=0.5)))
            await receiver.got(2)
            await one.settled()

    caplog.set_level(logging.WARNING, "pilothouse.webhooks")
    asyncio.run(main())
    assert caplog.records[-1].message == "webhook given up"
    assert vars(caplog.records[-1])["reason"] == "127.0.0.1 answered 500."


@pytest.mark.parametrize("attempts", [1, 5, 13])
def test_attempts_are_further_and_further_apart(attempts: int) -> None:
    delays = [Backoff().delay(attempts) for _ in range(100)]
    usual = timedelta(seconds=5) * 2 ** (attempts - 1)
    assert 0.75 * usual <= min(delays) < max(delays) <= 1.25 * usual


def test_attempts_go_on_for_about_a_day() -> None:
    waited = [Backoff().first * (2**attempts - 1) for attempts in range(20)]
    attempts = sum(wait < Backoff().give_up_after for wait in waited)
    assert attempts == 15


def test_when_the_process_dies_right_after_the_end_another_tells_it(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url) as one, Receiver() as receiver:
            run = await one.start_run(receiver.url)
            worker = await asyncio.create_subprocess_exec(
                *WORKER, redis_url, stdin=subprocess.DEVNULL, env={"PYTHONPATH": ":".join(sys.path)}
            )
            assert await worker.wait() == -9
            assert await one.left() == 1
            one.deliver()
            [message] = await receiver.got()
            assert message.verified()["run_id"] == run.run_id

    asyncio.run(main())


def test_when_the_process_dies_in_the_middle_of_a_delivery_another_takes_it_over(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url, 2) as both, Receiver() as receiver:
            taken = asyncio.Event()

            async def die(lease: WebhookLease) -> None:
                taken.set()
                await asyncio.Event().wait()

            run = await both.start_run(receiver.url)
            both.here.work(says("done"))
            dying = RedisWebhooks(both.here.redis, period=QUICKLY, lease=timedelta(seconds=0.3))
            death = both.here.tasks.create_task(dying.work(die, 1))
            async with asyncio.timeout(10):
                await taken.wait()
            death.cancel()
            both.deliver()
            [message] = await receiver.got()
            assert message.verified()["run_id"] == run.run_id
            await both.settled()

    asyncio.run(main())


def test_a_late_failure_does_not_put_off_what_somebody_else_is_at(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url) as one:
            leases: asyncio.Queue[WebhookLease] = asyncio.Queue()
            run = await one.start_run("http://127.0.0.1:1/")
            one.here.work(says("done"))
            queue = RedisWebhooks(one.here.redis, period=QUICKLY, lease=QUICKLY)
            one.tasks.append(one.here.tasks.create_task(queue.work(leases.put, 1)))
            async with asyncio.timeout(10):
                late, newer = await leases.get(), await leases.get()
            assert newer.webhook.attempt > late.webhook.attempt
            await late.keep(b"late")
            await late.postpone(timedelta(hours=1))
            async with asyncio.timeout(10):
                again = await leases.get()
                while again.webhook.attempt <= newer.webhook.attempt + 1:
                    again = await leases.get()
            assert (again.webhook.run.run_id, again.webhook.body) == (run.run_id, None)

    asyncio.run(main())


def test_what_is_due_outlives_its_run_and_its_thread(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url) as one, Receiver() as receiver:
            run = await one.start_run(receiver.url)
            one.here.work(says("done"))
            await one.here.read(run)
            await one.here.threads.delete(LOCAL, run.thread_id)
            one.deliver()
            [message] = await receiver.got()
            assert message.verified()["status"] == "success"

    asyncio.run(main())


def test_every_key_of_a_delivery_is_gone_when_it_is_settled(redis_url: str) -> None:
    async def main() -> None:
        async with crew(redis_url) as one, Receiver() as receiver:
            run = await one.start_run(receiver.url)
            one.here.work(says("done"))
            one.deliver()
            await receiver.got()
            await one.settled()
            assert not await one.here.redis.hgetall(keys.hook(run.run_id))

    asyncio.run(main())
