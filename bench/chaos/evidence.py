"""What is left of a run when all is over: its log in Redis, what a client reads that comes late, and its thread's history."""

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bench.chaos.client import Client, Frame, Lost, Seen
from bench.chaos.cluster import Cluster
from bench.chaos.suite import Conversation, Outcome
from redis.asyncio import Redis

from pilothouse.events import RunId
from pilothouse.stores import keys

_AT_ONCE = 8
_READ_SECONDS = 120


@dataclass(frozen=True)
class LogEntry:
    offset: int
    at_ms: int
    event: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.event["e"])


@dataclass
class Evidence:
    """Of one conversation."""

    conversation: Conversation
    runs: Sequence[Mapping[str, Any]]
    """All runs of the thread as the API lists them, oldest first."""
    logs: Mapping[str, Sequence[LogEntry]]
    late: Mapping[str, Sequence[Frame]]
    """What a client sees that follows from the start, undisturbed, when all is over."""
    messages: Sequence[Mapping[str, Any]]


async def gather(servers: Cluster, outcome: Outcome) -> list[Evidence]:
    deadline = time.monotonic() + _READ_SECONDS
    client = Client(lambda: servers.healthy()[0].url, random.Random(0), lambda: deadline)
    redis: Any = Redis.from_url(servers.redis.url)
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(conversation: Conversation) -> Evidence:
        async with room:
            return await _of(client, redis, conversation)

    try:
        return await asyncio.gather(*map(one, outcome.conversations))
    finally:
        await redis.aclose()
        await client.close()


async def _of(client: Client, redis: Any, conversation: Conversation) -> Evidence:
    try:
        runs = await client.runs(conversation.thread_id)
    except Lost as error:
        conversation.trouble = conversation.trouble or str(error)
        return Evidence(conversation, (), {}, {}, ())
    state = await client.request("GET", f"/threads/{conversation.thread_id}/state")
    ended = {run["run_id"] for run in runs if run["status"] not in ("pending", "running")}
    late: dict[str, Sequence[Frame]] = {}
    for seen in conversation.seen:
        if seen.run_id in ended:
            again = Seen(seen.thread_id, seen.run_id, seen.word)
            await client.follow(again)
            late[seen.run_id] = again.frames
    return Evidence(
        conversation,
        runs,
        {run["run_id"]: await _log(redis, run["run_id"]) for run in runs},
        late,
        cast("dict[str, Any]", state["values"] or {}).get("messages", []),
    )


async def _log(redis: Any, run_id: str) -> list[LogEntry]:
    entries = await redis.xrange(keys.log(RunId(run_id)))
    return [
        LogEntry(int(i.split(b"-")[0]), int(fields[b"t"]), json.loads(fields[b"e"])) for i, fields in entries
    ]
