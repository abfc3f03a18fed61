"""An instance that stood still wakes up, and believes that its runs are its own still. Another has them by now."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from bench.chaos.client import Seen
from bench.chaos.cluster import Instance
from tests.chaos.servers import AGENT, AGENTS, Servers, create, ended, new_thread, servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PAUSE_SECONDS = 20.0
TAKEN_OVER_SECONDS = 10.0
TOKENS = 60
TOKEN_MS = 150


def test_what_an_instance_writes_after_a_pause_of_twenty_seconds_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        environment = {"CHAOS_TOKENS": str(TOKENS), "CHAOS_TOKEN_MS": str(TOKEN_MS)}
        async with servers(AGENT, tmp_path, environment=environment) as up:
            thread_id = await new_thread(up, up.instances[0])
            run_id = (await create(up, up.instances[0], thread_id, "agent", "word")).json()["run_id"]
            # The answer, after the tools, is under way.
            pid = (await up.journal.wait_for("step", 2)).facts["pid"]
            paused, other = up.executing(pid), up.other(up.executing(pid))
            paused.pause()
            pause_began = time.monotonic()
            taken = await up.journal.wait_for("step", pid=other.pid, within=TAKEN_OVER_SECONDS)
            assert taken.facts["run_id"] == run_id
            assert await ended(up, other, thread_id, run_id) == "success"
            before = await _all_of(up, other, thread_id, run_id)
            await asyncio.sleep(max(0.0, pause_began + PAUSE_SECONDS - time.monotonic()))
            paused.go_on()
            await _until_logged(paused, "lease lost")
            assert await _all_of(up, other, thread_id, run_id) == before
            assert await _all_of(up, paused, thread_id, run_id) == before
            assert before["attempts"] == [1, 2]
            assert [message["type"] for message in before["messages"]] == [
                "human",
                "ai",
                "tool",
                "tool",
                "ai",
            ]
            assert len(before["messages"][-1]["content"].split()) == TOKENS

    asyncio.run(main())


def test_a_run_whose_agent_blocks_its_process_goes_on_elsewhere(tmp_path: Path) -> None:
    async def main() -> None:
        async with servers(AGENTS, tmp_path) as up:
            thread_id = await new_thread(up, up.instances[0])
            run_id = (await create(up, up.instances[0], thread_id, "blocking")).json()["run_id"]
            blocked = up.executing((await up.journal.wait_for("blocking")).facts["pid"])
            other = up.other(blocked)
            taken = await up.journal.wait_for("blocking", attempt=2, within=TAKEN_OVER_SECONDS)
            assert taken.facts["pid"] == other.pid
            assert await ended(up, other, thread_id, run_id) == "success"
            before = await _all_of(up, other, thread_id, run_id)
            assert before["messages"][-1]["content"] == "attempt 2"
            await up.journal.wait_for("woken", within=20)
            await _until_logged(blocked, "lease lost")
            assert await _all_of(up, blocked, thread_id, run_id) == before

    asyncio.run(main())


async def _all_of(up: Servers, at: Instance, thread_id: str, run_id: str) -> Mapping[str, Any]:
    """A run's events, and its thread's state, as this instance tells them."""
    client = up.client(at, silence=20)
    seen = Seen(thread_id, run_id, "")
    await client.follow(seen)
    state = await client.request("GET", f"/threads/{thread_id}/state")
    thread = await client.request("GET", f"/threads/{thread_id}")
    await client.close()
    attempts = [frame.data for frame in seen.frames if frame.event == "metadata"]
    return {
        "frames": seen.frames,
        "attempts": [int(data.rpartition(":")[2].rstrip("}")) for data in attempts],
        "messages": state["values"]["messages"],
        "state": state,
        "thread": thread,
    }


async def _until_logged(instance: Instance, what: str) -> None:
    """It says that its write was refused."""
    async with asyncio.timeout(20):
        while what not in instance.log.read_text():  # noqa: ASYNC110  files set no events
            await asyncio.sleep(0.05)
