"""The runner: takes runs from the queue and executes them."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

from pilothouse.errors import LeaseLost, NotFound, PilothouseError, StoreUnavailable
from pilothouse.events import AgentId, Interrupt, RunEnded, RunError, ThreadId
from pilothouse.ports.checkpoints import Checkpoints
from pilothouse.ports.engines import Agents, EngineRequest
from pilothouse.ports.limits import RunLimits
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import Run, RunLease, RunQueue, Runs, StopReason
from pilothouse.ports.telemetry import Telemetry, Watch
from pilothouse.ports.threads import Threads
from pilothouse.runs.meter import RunMeter

logger = logging.getLogger(__name__)

_MAX_CRASHES = 5
_RELEASE_SECONDS = 2
_MESSAGE_LIMIT = 1000


class Runner:
    """Executes runs: one `RunEnded` for each, whatever happens."""

    def __init__(
        self,
        agents: Agents,
        queue: RunQueue,
        runs: Runs,
        threads: Threads,
        checkpoints: Checkpoints,
        limits: Callable[[AgentId], RunLimits],
        telemetry: Telemetry,
    ) -> None:
        self._agents = agents
        self._queue = queue
        self._runs = runs
        self._threads = threads
        self._checkpoints = checkpoints
        self._limits = limits
        self._telemetry = telemetry

    async def work(self, slots: int, stopping: asyncio.Event) -> None:
        """Execute runs, at most `slots` at once, until `stopping` is set and the last of them has ended.

        When cancelled, it hands those that are under way back, and other workers take them at once.
        """
        await self._queue.work(self._execute, self._bury, slots, stopping)

    def hand_over(self) -> None:
        """Hand the runs that are under way to other workers, each as soon as it may be stopped."""
        self._queue.hand_over()

    async def _execute(self, lease: RunLease) -> None:
        with self._telemetry.attempt(lease.run) as watch:
            await self._carry_out(lease, watch)

    async def _carry_out(self, lease: RunLease, watch: Watch) -> None:
        run = lease.run
        facts = {"run_id": run.run_id, "thread_id": run.thread_id, "attempt": run.attempt}
        try:
            end = await self._attempt(lease, watch)
            if end is None:
                await _release(lease)
            else:
                await self._finish(lease, end)
                watch.ended(end)
        except LeaseLost:
            logger.warning("lease lost", extra=facts)
        except asyncio.CancelledError:
            await asyncio.shield(_release(lease))
            raise
        except Exception:
            logger.exception("run could not be ended", extra=facts)

    async def _attempt(self, lease: RunLease, watch: Watch) -> RunEnded | None:
        """Run the engine. Returns how the run ended, None if it is to go on elsewhere; raises `CancelledError` when this
        worker is cancelled."""
        run = lease.run
        if run.crashes >= _MAX_CRASHES:
            message = f"The run was tried {_MAX_CRASHES} times at one place, and each time its process died: see the server's log."
            return RunEnded("error", RunError("crash_loop", message))
        task = asyncio.current_task()
        assert task is not None, "a run is executed in a task"
        meter = RunMeter(self._limits(run.agent_id), lease.usage, lambda: lease.stop.set("budget"))
        try:
            with lease.stop.bind(task), meter.timed(run.begun_at_ms):
                return await self._iterate(lease, meter, watch)
        except asyncio.CancelledError:
            if lease.stop.reason is None or task.uncancel() > 0:
                raise
            return _stopped(lease.stop.reason, meter)
        except LeaseLost:
            raise
        except PilothouseError as error:
            logger.warning("run failed", extra={"run_id": run.run_id, "code": error.code}, exc_info=error)
            return RunEnded("error", RunError(error.code, str(error)))
        except Exception as error:
            logger.exception("run failed", extra={"run_id": run.run_id, "agent_id": run.agent_id})
            message = f"{type(error).__name__}: {error}"[:_MESSAGE_LIMIT]
            return RunEnded("error", RunError("run_failed", message))

    async def _iterate(self, lease: RunLease, meter: RunMeter, watch: Watch) -> RunEnded:
        run = lease.run
        engine = await self._agents.engine(run.agent_id)
        request = EngineRequest(
            principal=run.principal,
            agent_id=run.agent_id,
            thread_id=run.thread_id,
            run_id=run.run_id,
            attempt=run.attempt,
            request=run.request,
            metadata=run.metadata,
            after=run.after,
            meter=meter,
            stop=lease.stop,
            watch=watch,
        )
        async with aclosing(engine.run(request)) as batches:
            async for events in batches:
                watch.events(events)
                await lease.append(events)
        interrupts: Sequence[Interrupt] = await engine.interrupts(run.principal, run.thread_id)
        return RunEnded("interrupted" if interrupts else "success", interrupts=tuple(interrupts))

    async def _finish(self, lease: RunLease, end: RunEnded) -> None:
        run, rollback = lease.run, lease.stop.reason == "rollback"
        if rollback:
            await self._checkpoints.delete_for_runs(run.principal, run.thread_id, [run.run_id])
        await lease.finish(end)
        if rollback:
            await self._forget(run)

    async def _forget(self, run: Run) -> None:
        try:
            await self._runs.delete(run.principal, run.thread_id, run.run_id)
        except NotFound:
            logger.info("run was gone already", extra={"run_id": run.run_id})

    async def _bury(self, principal: Principal, thread_id: ThreadId) -> None:
        await self._checkpoints.delete_thread(principal, thread_id)
        try:
            await self._threads.delete(principal, thread_id)
        except NotFound:
            logger.info("thread was gone already", extra={"thread_id": thread_id})


def _stopped(reason: StopReason, meter: RunMeter) -> RunEnded | None:
    """How a run ends that was told to stop; None if it does not end, but goes on elsewhere."""
    match reason:
        case "lost":
            raise LeaseLost
        case "handover":
            return None
        case "budget":
            return RunEnded("budget_exceeded", interrupts=(meter.interrupt(),))
        case "interrupt" | "rollback":
            return RunEnded("cancelled")


async def _release(lease: RunLease) -> None:
    try:
        async with asyncio.timeout(_RELEASE_SECONDS):
            await lease.release()
    except (LeaseLost, StoreUnavailable, TimeoutError) as error:  # it lapses
        logger.warning(
            "run could not be handed over", extra={"run_id": lease.run.run_id, "cause": str(error)}
        )
