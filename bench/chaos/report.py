"""The table of a chaos run, and the bar while it goes on."""

import sys
from collections.abc import Sequence

from bench.chaos.checks import Problems, begun_again, doubled_events, lost_events
from bench.chaos.evidence import Evidence
from bench.chaos.faults import LABELS, Kind
from bench.chaos.figures import GoingOn, going_on, median, takeovers
from bench.chaos.suite import Outcome, Suite

KILL_TARGET_SECONDS = 10.0
TERM_TARGET_SECONDS = 1.0
_WIDTH = 24
_EXAMPLES = 5


def draw_bar(suite: Suite) -> None:
    """One line on the terminal; nothing where there is none."""
    if not sys.stderr.isatty():
        return
    faults, runs = len(suite.faults.happened), len(suite.conversations)
    done = min(runs / suite.options.runs, faults / suite.faults.planned if suite.faults.planned else 1.0, 1.0)
    bar = "#" * int(done * _WIDTH)
    text = f"[{bar:<{_WIDTH}}] {runs} runs, {faults} of {suite.faults.planned} faults"
    sys.stderr.write(f"\r{text}\x1b[K")
    sys.stderr.flush()


def missed_targets(outcome: Outcome, evidence: Sequence[Evidence]) -> list[str]:
    killed = [one.after_seconds for one in going_on("kill", outcome.faults, evidence)]
    handed = [one.after_seconds for one in going_on("term", outcome.faults, evidence)]
    missed: list[str] = []
    if killed and max(killed) >= KILL_TARGET_SECONDS:
        missed.append(f"kill: {max(killed):.1f} s at the worst, {KILL_TARGET_SECONDS:g} s is the target")
    if handed and median(handed) >= TERM_TARGET_SECONDS:
        missed.append(
            f"SIGTERM: {median(handed):.2f} s at the median, {TERM_TARGET_SECONDS:g} s is the target"
        )
    return missed


def render(outcome: Outcome, evidence: Sequence[Evidence], problems: Problems) -> str:
    rows = [*_what_happened(outcome, evidence), *_times(outcome, evidence)]
    rows += [
        ("messages cut off, marked, and said again under a new id", str(begun_again(evidence))),
        ("events that a client saw twice or out of order", str(doubled_events(evidence))),
        ("events that a client never saw", str(lost_events(evidence))),
    ]
    rows += [(promise, f"{len(found)} broken" if found else "held") for promise, found in problems.items()]
    table = ["| what | figure |", "| --- | --- |", *(f"| {name} | {figure} |" for name, figure in rows)]
    targets = [f"**Target missed**: {missed}" for missed in missed_targets(outcome, evidence)]
    lines = ["# Chaos: the last reading", "", _how(outcome), "", *table]
    lines += ["", *targets] if targets else []
    for promise, found in problems.items():
        if found:
            lines += ["", f"**{promise}**, the first of {len(found)}:", ""]
            lines += [f"- {what}" for what in found[:_EXAMPLES]]
    return "\n".join(lines) + "\n"


def _how(outcome: Outcome) -> str:
    options = outcome.options
    return (
        f"Three instances, one Redis with its append-only file, {options.users} clients on all of them, {options.tokens} tokens and two "
        f"tool calls a run, seed {options.seed}, {outcome.seconds:.0f} s. `make chaos` repeats it."
    )


def _what_happened(outcome: Outcome, evidence: Sequence[Evidence]) -> list[tuple[str, str]]:
    kinds = [fault.kind for fault in outcome.faults]
    seen = [one for each in outcome.conversations for one in each.seen]
    decisions = [decision for each in outcome.conversations for decision in each.decisions]
    asked = sum(bool(each.decisions) for each in outcome.conversations)
    refused = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.refusals.items()))
    return [
        ("runs", str(sum(len(each.runs) for each in evidence))),
        *((LABELS[kind], str(kinds.count(kind))) for kind in LABELS),
        ("runs that another instance took over", str(takeovers(evidence))),
        ("connections cut, and gone on elsewhere", str(sum(one.cuts for one in seen))),
        ("requests refused for now, by status", refused or "none"),
        (
            "runs that asked a human whether to run a cut-off tool again",
            f"{asked} (approved {decisions.count('approve')}, rejected {decisions.count('reject')})",
        ),
    ]


def _times(outcome: Outcome, evidence: Sequence[Evidence]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    names: dict[Kind, str] = {"kill": "kill -9", "term": "SIGTERM", "stop": "SIGSTOP"}
    for kind, name in names.items():
        found = going_on(kind, outcome.faults, evidence)
        faults = len({one.at_ms for one in found})
        rows.append(
            (f"{name} to going on elsewhere", _spread([o.after_seconds for o in found], found, faults))
        )
        if kind == "term":
            still = [one.still_seconds for one in found]
            rows.append(("SIGTERM: how long a run stood still", _spread(still, found, faults)))
    return rows


def _spread(values: Sequence[float], found: Sequence[GoingOn], faults: int) -> str:
    if not values:
        return "no run was hit"
    return f"{median(values):.2f} s median, {max(values):.2f} s worst ({len(found)} runs of {faults} faults)"
