"""How long runs stood still: computed from their logs, whose entries carry when they were written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.chaos.evidence import Evidence, LogEntry
from bench.chaos.faults import Fault, Kind


@dataclass(frozen=True)
class GoingOn:
    """One run that an instance held when a fault hit it, and that went on elsewhere."""

    run_id: str
    at_ms: float
    after_seconds: float
    """From the signal to the next attempt's mark in the log."""
    still_seconds: float
    """From the last event before that mark to the mark: what a client waited."""


def going_on(kind: Kind, faults: Sequence[Fault], evidence: Sequence[Evidence]) -> list[GoingOn]:
    logs = {run_id: log for one in evidence for run_id, log in one.logs.items()}
    found: list[GoingOn] = []
    for fault in faults:
        if fault.kind == kind:
            found += [one for run_id in fault.held if (one := _of(run_id, fault, logs)) is not None]
    return found


def _of(run_id: str, fault: Fault, logs: Mapping[str, Sequence[LogEntry]]) -> GoingOn | None:
    """None if the run had ended before, or ended where it was."""
    log = logs.get(run_id, ())
    if not log or log[-1].at_ms <= fault.at_ms:
        return None
    for before, mark in pairwise(log):
        if mark.at_ms > fault.at_ms and mark.kind == "run":
            after, still = (mark.at_ms - fault.at_ms) / 1000, (mark.at_ms - before.at_ms) / 1000
            return GoingOn(run_id, fault.at_ms, after, still)
    return None


def takeovers(evidence: Sequence[Evidence]) -> int:
    return sum(
        entry.kind == "run" and entry.offset > 1
        for one in evidence
        for log in one.logs.values()
        for entry in log
    )


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; not a number where there is no value."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]
