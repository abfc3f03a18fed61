"""A cancellation reaches a run on another instance within a second, whatever it is doing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.chaos.servers import AGENTS, Servers, create, ended, new_thread, servers

pytestmark = pytest.mark.timeout(60)

WITHIN_SECONDS = 1.0

Begin: TypeAlias = Callable[[Servers, str], Awaitable[tuple[str, int]]]
"""Brings a run of a thread into a state, and says its id and the process that executes it; 0 if none does."""


async def _until(up: Servers, thread_id: str, agent: str, text: str, event: str) -> tuple[str, int]:
    seen = len(up.journal.of(event))
    run_id = (await create(up, up.instances[0], thread_id, agent, text)).json()["run_id"]
    entry = await up.journal.wait_for(event, seen + 1)
    return run_id, int(entry.facts.get("pid", 0))


async def _waiting_for_the_model(up: Servers, thread_id: str) -> tuple[str, int]:
    return await _until(up, thread_id, "model", "hello", "/hang/chat/completions")


async def _in_an_async_tool(up: Servers, thread_id: str) -> tuple[str, int]:
    return await _until(up, thread_id, "tools", "wait_async", "wait_async")


async def _in_a_sync_tool(up: Servers, thread_id: str) -> tuple[str, int]:
    return await _until(up, thread_id, "tools", "wait_sync", "wait_sync")


async def _queued(up: Servers, thread_id: str) -> tuple[str, int]:
    await _until(up, thread_id, "tools", "wait_async", "wait_async")
    return (await create(up, up.instances[0], thread_id, "turn")).json()["run_id"], 0


async def _waiting_for_a_human(up: Servers, thread_id: str) -> tuple[str, int]:
    run_id = (await create(up, up.instances[0], thread_id, "human")).json()["run_id"]
    assert await ended(up, up.instances[0], thread_id, run_id) == "interrupted"
    return run_id, 0


STATES: Mapping[str, Begin] = {
    "waiting for the model": _waiting_for_the_model,
    "in an async tool": _in_an_async_tool,
    "in a sync tool": _in_a_sync_tool,
    "queued": _queued,
    "waiting for a human": _waiting_for_a_human,
}


def test_a_run_is_cancelled_from_another_instance_within_a_second_whatever_it_is_doing(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        took: dict[str, float] = {}
        async with servers(AGENTS, tmp_path) as up:
            for state, begin in STATES.items():
                thread_id = await new_thread(up, up.instances[0])
                run_id, pid = await begin(up, thread_id)
                elsewhere = up.other(up.executing(pid)) if pid else up.instances[1]
                started = time.monotonic()
                url = f"{elsewhere.url}/threads/{thread_id}/runs/{run_id}"
                (await up.http.post(f"{url}/cancel")).raise_for_status()
                assert await ended(up, elsewhere, thread_id, run_id) == "interrupted"
                took[state] = time.monotonic() - started
                print(f"cancelled while {state}: {took[state] * 1000:.0f} ms")
        assert {state: seconds for state, seconds in took.items() if seconds >= WITHIN_SECONDS} == {}

    asyncio.run(main())


def test_a_thread_goes_on_after_its_run_was_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with servers(AGENTS, tmp_path) as up:
            for begin in (_waiting_for_a_human, _in_an_async_tool):
                thread_id = await new_thread(up, up.instances[0])
                run_id, _ = await begin(up, thread_id)
                url = f"{up.instances[1].url}/threads/{thread_id}/runs/{run_id}"
                (await up.http.post(f"{url}/cancel")).raise_for_status()
                after = (await create(up, up.instances[1], thread_id, "turn")).json()["run_id"]
                assert await ended(up, up.instances[0], thread_id, after) == "success"

    asyncio.run(main())
