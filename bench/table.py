"""The results as Markdown: a table of all hosts, and the numbers that Pilothouse is to reach."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass

QUIET = 0.1


@dataclass(frozen=True)
class Reading:
    host: str
    label: str
    cpu_ms: float
    """Of one run, of many at once."""
    alone_cpu_ms: float
    """The same, one run at a time."""
    runs_per_second: float
    first_ms: float
    start_cpu_seconds: float
    start_rss_mb: float
    end_rss_mb: float
    disturbance: float
    """The part of the machine that others took meanwhile: 0.0 on a quiet one."""
    errors: int
    floor_ms: float = 0.0
    """The library's own cost of a run, around the time of this reading."""

    @property
    def times_floor(self) -> float:
        return self.cpu_ms / self.floor_ms


def render(
    readings: Sequence[Reading],
    problems: Sequence[str],
    *,
    tokens: int,
    at_once: int,
) -> str:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores that server and load share"
    columns = (
        "host",
        f"CPU a run, {at_once} at a time",
        "times the floor",
        "CPU a run, alone",
        f"runs/s, {at_once} at a time",
        "first token, idle, p50",
        "CPU to first healthy reply",
        "memory then",
        "memory at the end",
        "others on the machine",
    )
    floors = [reading.floor_ms for reading in readings] or [0.0]
    lines = [
        "# What a run costs",
        "",
        f"`make bench` on {time.strftime('%Y-%m-%d', time.gmtime())}: {machine}, Python {platform.python_version()}.",
        f"A run streams {tokens} tokens of a model that answers at once. In brackets: how many times Pilothouse's figure.",
        "The floor is the LangGraph library's own cost of the same run (`graph.astream`, no server, nothing saved):",
        f"{min(floors):.1f} to {max(floors):.1f} ms of CPU around the time of each row.",
        "",
        f"| {' | '.join(columns)} |",
        f"| --- |{' ---: |' * (len(columns) - 1)}",
    ]
    ours = next((reading for reading in readings if reading.host == "ours"), None)
    for reading in readings:
        cells = (
            reading.label + (f" ({reading.errors} runs failed)" if reading.errors else ""),
            _beside(reading.cpu_ms, ours and ours.cpu_ms, "{:.1f} ms"),
            f"{reading.times_floor:.1f}",
            _beside(reading.alone_cpu_ms, ours and ours.alone_cpu_ms, "{:.1f} ms"),
            _beside(reading.runs_per_second, ours and ours.runs_per_second, "{:.1f}"),
            _beside(reading.first_ms, ours and ours.first_ms, "{:.1f} ms"),
            _beside(reading.start_cpu_seconds, ours and ours.start_cpu_seconds, "{:.2f} s"),
            _beside(reading.start_rss_mb, ours and ours.start_rss_mb, "{:.0f} MB"),
            _beside(reading.end_rss_mb, ours and ours.end_rss_mb, "{:.0f} MB"),
            f"{reading.disturbance:.0%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    if any(reading.disturbance > QUIET for reading in readings):
        lines += ["", "**The machine was not quiet: these figures are provisional.**"]
    if ours:
        lines += ["", *_goals(ours, {reading.host: reading for reading in readings})]
    lines += [f"\n- not measured: {problem.splitlines()[0]}" for problem in problems]
    return "\n".join(lines) + "\n"


def _beside(value: float, ours: float | None, shape: str) -> str:
    text = shape.format(value)
    if not ours or value == ours:
        return text
    ratio = value / ours
    return f"{text} ({ratio:.0f})" if ratio >= 10 else f"{text} ({ratio:.2g})"


def _goals(ours: Reading, others: dict[str, Reading]) -> list[str]:
    """What design asks for, what is there, and whether that is enough."""
    goals = [
        ("CPU of a run, times the floor", ours.times_floor, 2.0, "≤"),
        ("first token, idle, p50, ms", ours.first_ms, 10.0, "≤"),
        ("CPU-seconds to the first healthy reply", ours.start_cpu_seconds, 1.0, "≤"),
        ("MB at the first healthy reply", ours.start_rss_mb, 90.0, "≤"),
    ]
    for name, times in (("langgraph-dev", 6.0), ("adk", 6.0), ("adk-memory", 6.0), ("agno", 2.0)):
        if name in others:
            ratio = ours.runs_per_second / others[name].runs_per_second
            goals.append((f"runs/s, times {others[name].label}", ratio, times, "≥"))
    lines = ["| to reach | goal | now | |", "| --- | ---: | ---: | --- |"]
    for what, now, goal, how in goals:
        reached = now <= goal if how == "≤" else now >= goal
        lines.append(f"| {what} | {how} {goal:g} | {now:.2f} | {'reached' if reached else '**not yet**'} |")
    return lines
