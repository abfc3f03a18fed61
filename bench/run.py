"""Compares what Pilothouse costs with other hosts of agents, on this machine, in one run.

    python bench/run.py [--only ours,langgraph-dev] [--quick] [--write]

Needs Linux. Each host serves the same agent (`agents/`), with the settings that it has by itself, and is driven by the
same load. The LangGraph library's own cost of a run, with no server around it, is measured before and after each host,
for machines and moments differ: read the ratios. `--write` puts the table into RESULTS.md.
"""

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import table
from hosts import HERE, HOSTS, Host, install, version
from load import drive
from table import Reading

from processes import metering, serving

TOKENS = 100
AT_ONCE = 20
SETTINGS = {"FAKE_TOKENS": str(TOKENS), "LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"}


def floor_ms(runs: int) -> float:
    command = [sys.executable, str(HERE / "floor.py"), str(runs)]
    return float(subprocess.check_output(command, text=True))


def measure(host: Host, *, quick: bool) -> Reading:
    """Start the host, and drive it: one run at a time, then many at once."""
    runs, alone = (60, 15) if quick else (300, 60)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name) / "agent", free_port()
        shutil.copytree(HERE / "agents" / host.agent, folder, ignore=shutil.ignore_patterns("__pycache__"))
        with serving(host.command(host.programs, port), folder, SETTINGS) as server:
            waited = server.wait_until_healthy(f"http://127.0.0.1:{port}{host.health}")
            start_cpu, start_rss = server.cpu_seconds(), server.rss_mb()
            say(f"{host.name}: healthy after {waited:.1f} s; warming up")
            warm = asyncio.run(drive(host.wire, port, runs=20, at_once=4, tokens=TOKENS))
            if warm.errors:
                raise RuntimeError(warm.errors[0])
            say(f"{host.name}: {alone} runs, one at a time")
            with metering(server) as idle_cost:
                idle = asyncio.run(drive(host.wire, port, runs=alone, at_once=1, tokens=TOKENS))
            say(f"{host.name}: {runs} runs, {AT_ONCE} at a time")
            with metering(server) as busy_cost:
                busy = asyncio.run(drive(host.wire, port, runs=runs, at_once=AT_ONCE, tokens=TOKENS))
            end_rss = server.rss_mb()
    errors = idle.errors + busy.errors
    if errors:
        say(f"{host.name}: {len(errors)} runs failed, the first with {errors[0]}")
    return Reading(
        host=host.name,
        label=host.label.replace("VERSION", version(host)),
        cpu_ms=busy_cost.cpu_seconds / max(busy.runs, 1) * 1000,
        alone_cpu_ms=idle_cost.cpu_seconds / max(idle.runs, 1) * 1000,
        runs_per_second=busy.runs_per_second,
        first_ms=idle.first_ms,
        start_cpu_seconds=start_cpu,
        start_rss_mb=start_rss,
        end_rss_mb=end_rss,
        disturbance=max(idle_cost.disturbance, busy_cost.disturbance),
        errors=len(errors),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compare(names: Sequence[str], *, quick: bool) -> tuple[list[Reading], list[str]]:
    """A reading of each host, with the floor just before and after it; and what could not be measured, and why."""
    readings: list[Reading] = []
    problems: list[str] = []
    floor_runs = 60 if quick else 200
    say("floor: graph.astream, no server")
    before = floor_ms(floor_runs)
    for name in names:
        try:
            reading = measure(HOSTS[name], quick=quick)
        except (RuntimeError, OSError) as error:
            problems.append(f"{name}: {error}")
            say(problems[-1])
            continue
        say("floor: graph.astream, no server")
        after = floor_ms(floor_runs)
        readings.append(replace(reading, floor_ms=(before + after) / 2))
        before = after
    return readings, problems


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Compare Pilothouse with other hosts of agents.")
    arguments.add_argument("--only", help=f"comma-separated, of: {', '.join(HOSTS)}")
    arguments.add_argument("--quick", action="store_true", help="fewer runs: a minute instead of three")
    arguments.add_argument("--write", action="store_true", help="write the table to bench/RESULTS.md")
    chosen = arguments.parse_args()
    names: Sequence[str] = chosen.only.split(",") if chosen.only else list(HOSTS)
    if unknown := [name for name in names if name not in HOSTS]:
        arguments.error(f"there is no host {unknown[0]!r}: choose from {', '.join(HOSTS)}")

    for name in names:
        say(f"{name}: installing, where that is not done yet")
        install(HOSTS[name])
    readings, problems = compare(names, quick=chosen.quick)
    text = table.render(readings, problems, tokens=TOKENS, at_once=AT_ONCE)
    print(text)
    if chosen.write:
        (HERE / "RESULTS.md").write_text(text)
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
