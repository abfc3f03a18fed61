"""`pilothouse work`: executes runs, with no API."""

import argparse
import asyncio
import signal

from pilothouse.cli import logs
from pilothouse.cli.loops import leave_threads, run_async
from pilothouse.cli.progress import Progress
from pilothouse.settings import Settings, load
from pilothouse.wiring import open_app


def run(options: argparse.Namespace) -> int:
    overrides = {name: getattr(options, name) for name in ("data", "model", "log_level")}
    settings = load(options.path, overrides={**overrides, "host": "127.0.0.1"})
    logs.configure(settings)
    run_async(_work(settings))
    leave_threads()
    return 0


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_app(settings, Progress()) as app:
        await stop.wait()
        await app.drain()
