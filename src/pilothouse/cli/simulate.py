"""`pilothouse simulate`: a local Cloud Run."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
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
    least, most = options.instances
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
    """Until a signal: the first one stops the instances as Cloud Run does, another one kills them."""
    loop, this, restart = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert this
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, this.cancel)
    loop.add_signal_handler(signal.SIGUSR1, restart.set)
    with suppress(asyncio.CancelledError):
        async with CloudRun(options, listener=listener, report=_say) as run:
            _write(f"A simulated Cloud Run at {run.url} (process {os.getpid()}; logs in {options.logs})")
            while True:
                await restart.wait()
                restart.clear()
                await _restart(run)


async def _restart(run: CloudRun) -> None:
    try:
        await run.restart()
    except ConfigurationError as error:
        _write(f"The restart was given up. {error}")


def _say(event: Event) -> None:
    _write(f"{event.at.astimezone():%H:%M:%S} {event}")


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _passed_on(options: argparse.Namespace) -> tuple[str, ...]:
    given = (("--model", options.model), ("--log-level", options.log_level))
    return tuple(part for name, value in given if value for part in (name, value))
