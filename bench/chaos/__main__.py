"""Kills, stops and restarts servers at random under load, and checks what is promised.

    python -m bench.chaos [--short] [--seed N] [--write]

Three instances, one Redis, clients on all of them. The status is 1 when a promise was broken or a target missed.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
from pathlib import Path

from bench.chaos.checks import check
from bench.chaos.cluster import Cluster
from bench.chaos.evidence import gather
from bench.chaos.faults import Plan
from bench.chaos.report import draw_bar, missed_targets, render
from bench.chaos.suite import Options, Outcome, run_suite

RESULTS = Path(__file__).parent / "RESULTS.md"


async def chaos(options: Options, folder: Path) -> tuple[str, list[str]]:
    """The table, and what is wrong: promises broken and targets missed."""

    async def examine(servers: Cluster, outcome: Outcome) -> tuple[str, list[str]]:
        evidence = await gather(servers, outcome)
        problems = check(outcome, evidence)
        broken = [f"{promise}: {what}" for promise, found in problems.items() for what in found]
        return render(outcome, evidence, problems), broken + missed_targets(outcome, evidence)

    _, result = await run_suite(options, folder, draw_bar, examine)
    return result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description="Harm servers under load.")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="what chance draws from")
    parser.add_argument("--runs", type=int, default=200, help="at least so many (default 200)")
    parser.add_argument("--users", type=int, default=10, help="how many clients at once (default 10)")
    parser.add_argument("--tokens", type=int, default=100, help="how many tokens an answer has (default 100)")
    parser.add_argument("--token-ms", type=float, default=30, help="the model's time for one (default 30)")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=10)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--redis-restarts", type=int, default=4)
    parser.add_argument("--short", action="store_true", help="a minute: 40 runs, 5 faults")
    parser.add_argument("--redis", help="a Redis or Valkey binary (default: the embedded Valkey)")
    parser.add_argument("--folder", type=Path, help="keep logs and Redis's files here")
    parser.add_argument("--write", action="store_true", help="write the table to bench/chaos/RESULTS.md")
    return parser.parse_args()


def main() -> None:
    asked = parse()
    plan = Plan(asked.kills, asked.terms, asked.stops, asked.redis_restarts)
    if asked.short:
        plan = Plan(2, 1, 1, 1, stop_seconds=(8.0, 10.0), redis_seconds=(2.0, 4.0))
    options = Options(
        plan,
        40 if asked.short else asked.runs,
        asked.users,
        asked.seed,
        asked.tokens,
        asked.token_ms,
        asked.redis,
    )
    sys.stderr.write(f"seed {asked.seed}\n")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # no server outlives the suite
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        table, wrong = asyncio.run(chaos(options, folder.absolute()))
    print("\n" + table)
    if asked.write:
        RESULTS.write_text(table)
    for what in wrong:
        print(f"WRONG {what}", file=sys.stderr)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
