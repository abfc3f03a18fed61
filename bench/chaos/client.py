"""A client that does what good clients do: it goes on elsewhere after the last event that it has, and asks again when told to wait.

A creation that nobody acknowledged may have happened or not: it is asked for again under the same idempotency key.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

MODES = ("messages-tuple", "updates", "tasks", "tools", "custom")
SILENCE_SECONDS = 5.0
"""A server that says nothing for so long is left for another."""


@dataclass(frozen=True)
class Frame:
    event: str
    data: str
    id: int | None


@dataclass
class Seen:
    """One run, as one client saw it."""

    thread_id: str
    run_id: str
    word: str
    frames: list[Frame] = field(default_factory=list[Frame])
    cuts: int = 0
    status: str = ""
    """What the `end` said."""
    first_ms: float = 0.0

    @property
    def last_id(self) -> int:
        return next((frame.id for frame in reversed(self.frames) if frame.id is not None), 0)


class Lost(Exception):
    """What was acknowledged is not there, or something that should pass did not."""


class Client:
    """`pick` chooses an instance's address, anew for each request."""

    def __init__(
        self,
        pick: Callable[[], str],
        chance: random.Random,
        deadline: Callable[[], float],
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._pick = pick
        self._chance = chance
        self._deadline = deadline
        timeout = httpx.Timeout(silence, connect=2, pool=None)
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False)
        self.refusals: dict[int, int] = {}
        """How often which status said "not now"."""

    async def close(self) -> None:
        await self._http.aclose()

    async def new_thread(self, thread_id: str) -> None:
        await self.request("POST", "/threads", json={"thread_id": thread_id, "if_exists": "do_nothing"})

    async def start(self, thread_id: str, word: str, body: Mapping[str, Any]) -> Seen:
        """Create a run: with its stream or without, as chance has it. Returns it as far as it was seen."""
        body = {"assistant_id": "agent", "stream_mode": MODES, **body}
        key = {"idempotency-key": str(UUID(int=self._chance.getrandbits(128), version=4))}
        while True:
            self._check_time(f"no run could be created on thread {thread_id}")
            create = self._stream if self._chance.random() < 0.5 else self._post
            if (seen := await create(thread_id, word, body, key)) is not None:
                return seen

    async def follow(self, seen: Seen) -> None:
        """To the end, wherever it is told."""
        path = f"/threads/{seen.thread_id}/runs/{seen.run_id}/stream"
        while not seen.status:
            self._check_time(f"run {seen.run_id} has not ended")
            headers = {"last-event-id": str(seen.last_id)} if seen.last_id else {}
            try:
                async with self._http.stream("GET", self._pick() + path, headers=headers) as reply:
                    if await self._is_good(reply):
                        await self._read(reply, seen)
            except httpx.HTTPError:
                seen.cuts += 1
                await self._pause()

    async def runs(self, thread_id: str) -> Sequence[Mapping[str, Any]]:
        """A thread's, oldest first."""
        return list(reversed(await self.request("GET", f"/threads/{thread_id}/runs?limit=1000")))

    async def request(self, method: str, path: str, json: Any = None) -> Any:
        """For what may be asked twice: again and again, until there is an answer."""
        while True:
            self._check_time(f"no answer to {method} {path}")
            try:
                reply = await self._http.request(method, self._pick() + path, json=json)
                if await self._is_good(reply):
                    return reply.json()
            except httpx.HTTPError:
                await self._pause()

    async def _post(self, thread_id: str, word: str, body: Any, key: Mapping[str, str]) -> Seen | None:
        try:
            reply = await self._http.post(f"{self._pick()}/threads/{thread_id}/runs", json=body, headers=key)
        except httpx.HTTPError:
            await self._pause()
            return None
        return Seen(thread_id, reply.json()["run_id"], word) if await self._is_good(reply) else None

    async def _stream(self, thread_id: str, word: str, body: Any, key: Mapping[str, str]) -> Seen | None:
        seen, started = None, time.perf_counter()
        try:
            url = f"{self._pick()}/threads/{thread_id}/runs/stream"
            async with self._http.stream("POST", url, json=body, headers=key) as reply:
                if not await self._is_good(reply):
                    return None
                run_id = reply.headers["content-location"].rpartition("/")[2]
                seen = Seen(thread_id, run_id, word)
                await self._read(reply, seen, started)
        except httpx.HTTPError:
            if seen is not None:
                seen.cuts += 1
            await self._pause()
        return seen

    async def _read(self, reply: httpx.Response, seen: Seen, started: float | None = None) -> None:
        """A record's frames count when the id has come, which the last of them carries."""
        unfinished: list[Frame] = []
        async with aclosing(frames(reply)) as coming:
            async for frame in coming:
                if started is not None and not seen.first_ms and frame.event == "messages":
                    seen.first_ms = (time.perf_counter() - started) * 1000
                unfinished.append(frame)
                if frame.id is None:
                    continue
                seen.frames += unfinished
                unfinished = []
                if frame.event == "end":
                    seen.status = json.loads(frame.data)["status"]
                    return
        seen.cuts += 1

    async def _is_good(self, reply: httpx.Response) -> bool:
        """False when it is to be asked again, after the time that it names. Raises `Lost` for what asking won't mend."""
        if reply.is_success:
            return True
        await reply.aread()
        if reply.status_code < 500 and reply.status_code != 429:
            raise Lost(
                f"{reply.request.method} {reply.request.url.path}: {reply.status_code} {reply.text[:200]}"
            )
        self.refusals[reply.status_code] = self.refusals.get(reply.status_code, 0) + 1
        await asyncio.sleep(float(reply.headers.get("retry-after", "1")))
        return False

    async def _pause(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.02, 0.2))

    def _check_time(self, what: str) -> None:
        if time.monotonic() > self._deadline():
            raise Lost(what)


async def frames(reply: httpx.Response) -> AsyncGenerator[Frame, None]:
    """Of an event stream. What is cut off within a frame is no frame."""
    fields: dict[str, str] = {}
    async for line in reply.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line and "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield Frame(fields.get("event", "message"), fields["data"], number)
            fields = {}
        elif not line:
            fields = {}
