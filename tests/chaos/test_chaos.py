"""The short form of `make chaos`: servers are killed, told to go, paused and cut from Redis while clients follow their runs."""

import asyncio
import sys
from pathlib import Path

import pytest
from bench.chaos.__main__ import chaos
from bench.chaos.faults import Plan
from bench.chaos.suite import Options

SEED = 7


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_runs_survive_kills_stops_and_restarts(tmp_path: Path) -> None:
    plan = Plan(2, 1, 1, 1, stop_seconds=(8.0, 10.0), redis_seconds=(2.0, 4.0))
    table, wrong = asyncio.run(
        chaos(Options(plan, runs=40, users=8, seed=SEED, longest_seconds=150), tmp_path)
    )
    sys.stdout.write(table)
    assert wrong == []
