"""`POST /internal/work`: a request that is held open while there is work, so that this instance has CPU.

For platforms that give CPU only while a request is answered; the queue knows what there is to do.

- It is held while a run is due or under way, on whatever instance: one that is under way elsewhere may be frozen there,
  and is due here once its lease has lapsed.
- While runs wait, every such request is held: the platform sees the demand, and starts instances. Once all are taken, one
  on each instance is enough, and the others are let go.
- When its time is up and there is work, the next one is asked for. A 503 would bring it too, and does when the server
  stops; but Cloud Tasks slows a queue down whose requests fail, and waits longer after each.
"""

import asyncio
from dataclasses import replace

from starlette.responses import Response
from starlette.routing import Route

from pilothouse.ports.push import WORK_PATH
from pilothouse.ports.runs import QueueLoad
from pilothouse.server.calls import Call, json_reply, operation
from pilothouse.server.errors import error_reply
from pilothouse.server.parts import Parts, Work

_LOOK_EVERY_SECONDS = 1


def work_routes(parts: Parts) -> list[Route]:
    """No route where nothing is pushed."""
    if parts.work is None:
        return []
    held = operation("POST", WORK_PATH, _Holding(parts.work).hold)
    return [held.route(replace(parts, authenticate=parts.work.authenticate))]


class _Holding:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._held = 0
        self._looking = asyncio.Lock()
        self._looked_at = 0.0
        self._seen = QueueLoad(0, 0)

    async def hold(self, call: Call) -> Response:
        """Hold the request while there is work."""
        self._held += 1
        try:
            return await self._reply(call)
        finally:
            self._held -= 1

    async def _reply(self, call: Call) -> Response:
        clock, stopping = asyncio.get_running_loop().time, self._work.stopping
        came = clock()
        while not stopping.is_set():
            load = await self._look(max(came, clock() - _LOOK_EVERY_SECONDS))
            if not load.waiting and (not load.under_way or self._held > 1):
                return json_reply({"left": False})
            if clock() - came > self._work.hold.total_seconds():
                if await self._work.push.ask():
                    return json_reply({"left": True})
                break
            if await call.request.is_disconnected():
                break
            await _wait(stopping)
        return error_reply(
            503, "work_left", "Runs are left to be executed: come again.", {"retry-after": "1"}
        )

    async def _look(self, since: float) -> QueueLoad:
        """What was in the queue at a time after `since`, on the loop's clock. Those who wait share one look."""
        async with self._looking:
            if self._looked_at <= since:
                looked_at = asyncio.get_running_loop().time()
                self._seen = await self._work.load()
                self._looked_at = looked_at
            return self._seen


async def _wait(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_EVERY_SECONDS):
            await stopping.wait()
    except TimeoutError:
        return
