"""One attempt at a run in a process of its own, which its tool may kill."""

import asyncio
from functools import partial
from pathlib import Path

from tests.tool_calls.agents import AGENTS, Kill, kill_soon, kill_this_process
from tests.tool_calls.places import Place, SlowCheckpointer

from pilothouse.events import RunId, ThreadId
from pilothouse.stores.client import connect


def attempt(
    redis_url: str, thread_id: str, run_id: str, agent: str, file: Path, kill_after: float | None
) -> None:
    """`kill_after` is in seconds from when the tool starts; 0 at once, None never."""
    then: Kill = partial(kill_soon, kill_after) if kill_after else kill_this_process
    if kill_after is None:
        then = nothing

    async def main() -> None:
        # The wider the gap between a step and its checkpoint, the surer is a tool that does not wait for it found out.
        place = FarPlace(connect(redis_url), ThreadId(thread_id))
        engine = place.engine(AGENTS[agent](file, then))
        async with asyncio.timeout(20):
            await place.drive(engine, run_id=RunId(run_id))

    asyncio.run(main())


class FarPlace(Place):
    checkpointer = SlowCheckpointer


def nothing() -> None:
    pass
