"""`pilothouse simulate`: a local Cloud Run."""

import argparse
import asyncio
import re
import signal
import socket
import sys
from datetime import timedelta

from pilothouse.cli.hosting import listen
from pilothouse.cli.loops import run_async
from pilothouse.errors import ConfigurationError
from pilothouse.settings import load
from pilothouse.simulation import CloudRun, Event, Options

_LOOPBACK = "127.0.0.1"


def run(options: argparse.Namespace) -> int:
    overrides = {"host": _LOOPBACK, "data": options.data, "model": options.model}
    settings = load(options.path, overrides={**overrides, "log_level": options.log_level})
    least, most = _range(options.instances)
    simulated = Options(
        path=options.path,
        data=settings.data_dir,
        redis=settings.redis,
        arguments=_passed_on(options),
        least=least,
        most=most,
        concurrency=options.concurrency,
        timeout=timedelta(seconds=options.timeout),
        idle=timedelta(seconds=options.idle),
        cpu=options.cpu,
        session_affinity=options.session_affinity,
        chaos=timedelta(seconds=options.chaos) if options.chaos else None,
    )
    with listen(_LOOPBACK, options.port) as listener:
        run_async(_simulate(simulated, listener))
    return 0


async def _simulate(options: Options, listener: socket.socket) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    opening = CloudRun(options, listener=listener, report=_say)
    async with opening as run:
        logs = options.data / "simulation"
        sys.stderr.write(f"A simulated Cloud Run at {run.url} (logs of the instances in {logs})\n")
        sys.stderr.flush()
        await stop.wait()


def _say(event: Event) -> None:
    sys.stderr.write(f"{event.at.astimezone():%H:%M:%S} {event}\n")
    sys.stderr.flush()


def _range(text: str) -> tuple[int, int]:
    """`3` is always three, `0-4` as many as needed."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if most < max(least, 1):
        raise ConfigurationError(
            f"--instances {text} is no number of instances: write 3 for always three, or 0-4 for as many as are needed."
        )
    return least, most


def _passed_on(options: argparse.Namespace) -> tuple[str, ...]:
    given = (("--model", options.model), ("--log-level", options.log_level))
    return tuple(part for name, value in given if value for part in (name, value))
