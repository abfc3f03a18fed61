"""Two users' messages on one thread at once, through two instances: the four policies, a hundred rounds."""

import asyncio
import statistics
import time
from collections import defaultdict
from pathlib import Path

import httpx
import pytest
from tests.chaos.servers import AGENTS, Servers, create, ended, new_thread, servers

pytestmark = pytest.mark.timeout(60)

POLICIES = ("reject", "enqueue", "interrupt", "rollback")
ROUNDS = 100
THREADS = 5
"""At a time; each has its rounds one after the other."""
QUEUED = 30
GAP_MS = 20
FORGOTTEN_SECONDS = 3


def test_two_runs_of_a_thread_are_never_executed_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with servers(AGENTS, tmp_path) as up:
            async with asyncio.TaskGroup() as users:
                rounds = [users.create_task(_rounds(up, number)) for number in range(THREADS)]
            assert sum(task.result() for task in rounds) > 0
            _check_turns(up)

    asyncio.run(main())


async def _rounds(up: Servers, number: int) -> int:
    """How many runs were rejected."""
    rejected = 0
    thread_id = await new_thread(up, up.instances[0])
    for turn in range(number, ROUNDS, THREADS):
        policy = POLICIES[turn // THREADS % len(POLICIES)]
        replies = await asyncio.gather(
            *(create(up, at, thread_id, "turn", f"{turn}", multitask_strategy=policy) for at in up.instances)
        )
        rejected += await _check_round(up, thread_id, policy, replies)
    return rejected


async def _check_round(up: Servers, thread_id: str, policy: str, replies: list[httpx.Response]) -> int:
    """What became of two runs that were asked for at once, of a thread that was idle. How many were rejected: none where an
    instance took so long to answer that the other's run was over."""
    accepted = [reply.json() for reply in replies if reply.status_code == 200]
    refused = [reply.status_code for reply in replies if reply.status_code != 200]
    assert refused in (([409], []) if policy == "reject" else ([],))
    statuses = [await ended(up, up.instances[0], thread_id, run["run_id"]) for run in accepted]
    assert "success" in statuses
    if policy == "rollback":
        for run, status in zip(accepted, statuses, strict=True):
            assert status == "success" or await _is_forgotten(up, thread_id, run["run_id"]), status
    else:
        assert set(statuses) <= ({"success", "interrupted"} if policy == "interrupt" else {"success"})
    return len(refused)


async def _is_forgotten(up: Servers, thread_id: str, run_id: str) -> bool:
    """A run that is rolled back ends, and is deleted then."""
    url = f"{up.instances[0].url}/threads/{thread_id}/runs/{run_id}"
    deadline = time.monotonic() + FORGOTTEN_SECONDS
    while (await up.http.get(url)).status_code != 404:
        if time.monotonic() > deadline:
            return False
    return True


def _check_turns(up: Servers) -> None:
    """Each turn ended before the next of its thread began."""
    at_work: defaultdict[str, list[str]] = defaultdict(list)
    turns = 0
    for entry in up.journal.entries:
        thread_id, run_id = entry.facts["thread_id"], entry.facts["run_id"]
        if entry.facts["at"] == "begin":
            assert at_work[thread_id] == []
            at_work[thread_id].append(run_id)
            turns += 1
        else:  # a turn that was cancelled as it began may have told of its end alone
            assert at_work[thread_id] in ([run_id], [])
            at_work[thread_id].clear()
    print(f"{turns} turns in {ROUNDS} rounds")
    assert turns >= ROUNDS


def test_queued_runs_of_a_thread_follow_each_other_in_order_and_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with servers(AGENTS, tmp_path) as up:
            await _warm_up(up)
            thread_id = await new_thread(up, up.instances[0])
            asked = [
                (await create(up, up.instances[number % 2], thread_id, "turn", text)).json()["run_id"]
                for number, text in enumerate(["hold", *map(str, range(QUEUED))])
            ]
            assert await ended(up, up.instances[0], thread_id, asked[-1]) == "success"
            begun = [entry for entry in up.journal.of("begin") if entry.facts["thread_id"] == thread_id]
            over = [entry for entry in up.journal.of("end") if entry.facts["thread_id"] == thread_id]
            assert [entry.facts["run_id"] for entry in begun] == asked
            gaps = [
                after.facts["sent_ms"] - before.at_ms for before, after in zip(over, begun[1:], strict=False)
            ]
            print(
                f"gap between queued runs: {statistics.median(gaps):.1f} ms median, {max(gaps):.1f} ms worst"
            )
            assert statistics.median(gaps) < GAP_MS

    asyncio.run(main())


async def _warm_up(up: Servers) -> None:
    """Both instances have executed a run: the first is slower."""
    while len({entry.facts["pid"] for entry in up.journal.of("begin")}) < len(up.instances):
        for at in up.instances:
            thread_id = await new_thread(up, at)
            run = (await create(up, at, thread_id, "turn")).json()
            await ended(up, at, thread_id, run["run_id"])
