"""Crons start runs.

Several instances may start the run of one time, and one may die when it has: the run's idempotency key, made of the cron
and the time, makes one run of all of them. A run without a thread of its cron's gets one whose id follows from the same.
"""

import logging
import time
from datetime import timedelta
from uuid import UUID, uuid5

import msgspec

from pilothouse.errors import InvalidRequest, PilothouseError
from pilothouse.events import Json, ThreadId
from pilothouse.ports.crons import Cron, CronPlan, DueCrons
from pilothouse.ports.push import CpuPush
from pilothouse.ports.runs import NewRun, Runs

logger = logging.getLogger(__name__)


class CronRunner:
    """`push` brings CPU for the next time, where there is none without a request."""

    def __init__(self, due: DueCrons, runs: Runs, push: CpuPush | None = None) -> None:
        self._due = due
        self._runs = runs
        self._push = push

    async def run(self) -> None:
        """Start the runs of all crons whose time comes, until cancelled."""
        await self._due.watch(self._fire)

    async def _fire(self, cron: Cron, due_ms: int) -> bool:
        facts = {"cron_id": cron.cron_id, "due_ms": due_ms}
        try:
            run = await self._runs.create(cron.principal, run_of(cron, due_ms))
        except PilothouseError as error:
            logger.warning("cron started no run", extra={**facts, "code": error.code, "reason": str(error)})
            return not error.retryable
        logger.info("cron fired", extra={**facts, "run_id": run.run_id, "thread_id": run.thread_id})
        if self._push is not None:
            await _ask_for_next(self._push, cron.plan, due_ms)
        return True


async def _ask_for_next(push: CpuPush, plan: CronPlan, after_ms: int = 0) -> None:
    """Have CPU when the cron fires next, now or later than `after_ms`."""
    now_ms = time.time_ns() // 1_000_000
    try:
        next_ms = plan.next_after(max(now_ms, after_ms))
    except InvalidRequest:  # its zone is gone from this machine's database
        return
    if next_ms is not None:
        await push.ask(timedelta(milliseconds=next_ms - now_ms))


def run_of(cron: Cron, due_ms: int) -> NewRun:
    """The run of one time."""
    plan = cron.plan
    metadata = msgspec.json.decode(plan.metadata, type=dict[str, Json])
    cron_id = Json(msgspec.json.encode(cron.cron_id))
    return NewRun(
        thread_id=cron.thread_id or ThreadId(str(uuid5(UUID(cron.cron_id), str(due_ms)))),
        agent_id=plan.agent_id,
        request=plan.request,
        metadata=Json(msgspec.json.encode({**metadata, "cron_id": cron_id})),
        multitask_strategy=plan.multitask_strategy,
        if_thread_missing="create",
        delete_thread_after=cron.thread_id is None and not plan.keep_thread,
        idempotency_key=f"cron {cron.cron_id} {due_ms}",
        webhook=plan.webhook,
    )
