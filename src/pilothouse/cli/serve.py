"""`pilothouse serve`: the API and the page."""

import argparse
import asyncio
import signal
import socket
import sys

from pilothouse import __version__
from pilothouse.cli import logs
from pilothouse.cli.hosting import listen, open_server, url_of
from pilothouse.cli.loops import leave_threads, run_async
from pilothouse.cli.progress import Progress
from pilothouse.settings import Settings, load


def run(options: argparse.Namespace) -> int:
    overrides = {name: getattr(options, name) for name in ("host", "port", "data", "model", "log_level")}
    settings = load(options.path, overrides=overrides)
    logs.configure(settings)
    with listen(settings.host, settings.port) as listener:
        run_async(_serve(settings, listener))
    leave_threads()
    return 0


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with open_server(settings, Progress()) as server:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        sys.stderr.write(f"Pilothouse {__version__} at {url_of(listener)}\n")
        sys.stderr.flush()
        await server.serve(sockets=[listener])
