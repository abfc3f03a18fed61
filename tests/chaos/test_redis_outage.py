"""Redis goes away for ten seconds, or hangs: nothing that was acknowledged is lost, and nobody waits without an answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from bench.chaos.client import Seen
from bench.chaos.cluster import RedisServer
from tests.chaos.servers import AGENT, Servers, create, new_thread, servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

OUTAGE_SECONDS = 10.0
TOKENS = 100
TOKEN_MS = 130
"""A run is longer than the outage, and is under way when it begins and when it ends."""


@dataclass(frozen=True)
class Outage:
    begin: Callable[[RedisServer], Awaitable[None]]
    end: Callable[[RedisServer], Awaitable[None]]
    answer_seconds: float
    """So long may a request take that can't be served."""


async def _stop(redis: RedisServer) -> None:
    redis.terminate()
    await redis.wait()


async def _pause(redis: RedisServer) -> None:
    redis.pause()


async def _go_on(redis: RedisServer) -> None:
    redis.go_on()


STOPPED = Outage(_stop, RedisServer.start, answer_seconds=6.0)
HANGING = Outage(_pause, _go_on, answer_seconds=6.0)


@pytest.mark.parametrize("outage", [STOPPED, HANGING], ids=["stopped", "hanging"])
def test_while_redis_is_away_requests_are_told_to_come_back_and_streams_wait(
    outage: Outage, tmp_path: Path
) -> None:
    async def main() -> None:
        environment = {"CHAOS_TOKENS": str(TOKENS), "CHAOS_TOKEN_MS": str(TOKEN_MS)}
        async with servers(AGENT, tmp_path, environment=environment) as up:
            here, there = up.instances
            streamed = await _begin(up)
            clients = [up.client(at, silence=30) for at in (here, there)]
            following = [Seen(streamed.thread_id, streamed.run_id, "word") for _ in clients]
            async with asyncio.TaskGroup() as group:
                for client, seen in zip(clients, following, strict=True):
                    group.create_task(client.follow(seen))
                await _until(lambda: all(seen.last_id > 3 for seen in following))
                queued = (await create(up, there, streamed.thread_id, "agent", "next")).json()["run_id"]

                await outage.begin(up.cluster.redis)
                began = time.monotonic()
                asking = [group.create_task(_ask(up, at.url)) for at in (here, there)]
                await asyncio.sleep(max(0.0, began + OUTAGE_SECONDS - time.monotonic()))
                await outage.end(up.cluster.redis)

            for seen in following:
                assert (seen.status, seen.cuts) == ("success", 0)
            assert following[0].frames == following[1].frames
            await up.journal.wait_for("step", run_id=queued)
            for reply, took in [await asked for asked in asking]:
                assert reply.status_code == 503
                assert float(reply.headers["retry-after"]) > 0
                assert reply.json()["code"] == "store_unavailable"
                assert took < outage.answer_seconds
            for client in clients:
                await client.close()

    asyncio.run(main())


async def _begin(up: Servers) -> Seen:
    thread_id = await new_thread(up, up.instances[0])
    run_id = (await create(up, up.instances[0], thread_id, "agent", "word")).json()["run_id"]
    await up.journal.wait_for("step")
    return Seen(thread_id, run_id, "word")


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  frames set no events
            await asyncio.sleep(0.02)


async def _ask(up: Servers, url: str) -> tuple[httpx.Response, float]:
    """A request that needs Redis."""
    started = time.monotonic()
    reply = await up.http.post(f"{url}/threads", json={})
    took = time.monotonic() - started
    print(f"answered with {reply.status_code} after {took:.2f} s: {reply.text}")
    return reply, took
