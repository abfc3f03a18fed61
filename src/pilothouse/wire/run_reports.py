"""How runs went: an extension of the protocol, for who operates a server and for `pilothouse runs`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from pilothouse.events import (
    CheckpointSaved,
    CustomEmitted,
    DebugEmitted,
    MessageChunk,
    MessageDelta,
    MessageFinished,
    Record,
    RunEnded,
    RunOutcome,
    RunStarted,
    StateUpdated,
    StateValues,
    TaskChanged,
    ToolFinished,
    ToolStarted,
)
from pilothouse.ports.runs import MultitaskStrategy, Run, RunStatus
from pilothouse.ports.tracing import Trace
from pilothouse.wire.paging import Limit, Skip
from pilothouse.wire.replies import instant
from pilothouse.wire.streaming_v1 import ErrorData, error_of


class RunSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs: of one thread, or of the user's 500 threads that changed last, the 100 newest of each."""

    thread_id: str | None = None
    status: RunStatus | None = None
    limit: Limit = 10
    offset: Skip = 0


class RunSummary(msgspec.Struct, frozen=True):
    """A run as it stands, without what it was asked."""

    run_id: str
    thread_id: str
    agent_id: str
    status: RunStatus
    attempt: int
    """0 before the first."""
    created_at: datetime
    updated_at: datetime
    """When it began or ended last."""
    begun_at: datetime | None


class AttemptReport(msgspec.Struct, frozen=True):
    attempt: int
    begun_at: datetime


class RunReport(msgspec.Struct, frozen=True):
    """How a run went so far. What is not known is null: of a log that has expired, only the end is."""

    run_id: str
    thread_id: str
    agent_id: str
    status: RunStatus
    outcome: RunOutcome | None
    """How it ended; tells a run that was cancelled from one that waits for a human, which `status` does not."""
    multitask_strategy: MultitaskStrategy
    trace_id: str
    created_at: datetime
    due_at: datetime | None
    """When it was to begin, if later."""
    first_token_at: datetime | None
    ended_at: datetime | None
    attempts: Sequence[AttemptReport]
    model_calls: int
    tool_calls: Mapping[str, int]
    """By tool, those that are in the run's stream."""
    failed_tool_calls: int
    input_tokens: int | None
    """Null where the model reports none."""
    output_tokens: int | None
    interrupts: int
    """How many answers of a human it waits for."""
    error: ErrorData | None


def run_summary(run: Run) -> RunSummary:
    return RunSummary(
        run_id=run.run_id,
        thread_id=run.thread_id,
        agent_id=run.agent_id,
        status=run.status,
        attempt=run.attempt,
        created_at=instant(run.created_at_ms),
        updated_at=instant(run.updated_at_ms),
        begun_at=_instant(run.begun_at_ms),
    )


class RunReporter:
    """Reads a run's records, in order from the first, and reports what they tell."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._attempts: dict[int, int] = {1: run.begun_at_ms} if run.begun_at_ms else {}
        self._first_token_ms = 0
        self._tools: Counter[str] = Counter()
        self._failed_tools = 0
        self._end: RunEnded | None = None
        self._ended_ms = 0

    def absorb(self, record: Record) -> None:
        event = record.event
        match event:
            case RunStarted():
                self._attempts.setdefault(event.attempt, record.at_ms)
            case MessageDelta() | MessageChunk() | MessageFinished():
                self._first_token_ms = self._first_token_ms or record.at_ms
            case ToolStarted():
                self._tools[event.name] += 1
            case ToolFinished():
                self._failed_tools += event.error is not None
            case RunEnded():
                self._end, self._ended_ms = event, record.at_ms
            case (
                StateUpdated()
                | StateValues()
                | TaskChanged()
                | CheckpointSaved()
                | DebugEmitted()
                | CustomEmitted()
            ):
                pass
            case _:
                assert_never(event)

    def report(self) -> RunReport:
        run, end, usage = self._run, self._end, self._run.usage
        has_tokens = usage.input_tokens or usage.output_tokens
        begun = run.begun_at_ms != 0
        return RunReport(
            run_id=run.run_id,
            thread_id=run.thread_id,
            agent_id=run.agent_id,
            status=run.status,
            outcome=end.outcome if end else None,
            multitask_strategy=run.multitask_strategy,
            trace_id=(Trace.parse(run.trace) or Trace.of_run(run.run_id)).trace_id,
            created_at=instant(run.created_at_ms),
            due_at=_instant(run.due_at_ms),
            first_token_at=_instant(self._first_token_ms),
            ended_at=_instant(self._ended_ms),
            attempts=[AttemptReport(n, instant(ms)) for n, ms in self._attempts.items()] if begun else [],
            model_calls=usage.model_calls,
            tool_calls=self._tools,
            failed_tool_calls=self._failed_tools,
            input_tokens=usage.input_tokens if has_tokens else None,
            output_tokens=usage.output_tokens if has_tokens else None,
            interrupts=len(end.interrupts) if end else 0,
            error=error_of(end) if end else None,
        )


def _instant(milliseconds: int) -> datetime | None:
    return instant(milliseconds) if milliseconds else None
