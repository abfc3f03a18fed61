"""`pilothouse serve`: the API and the page."""

import argparse
import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from pilothouse import __version__
from pilothouse.cli import logs
from pilothouse.cli.loops import run_async
from pilothouse.cli.progress import Progress
from pilothouse.errors import ConfigurationError
from pilothouse.settings import Settings, load
from pilothouse.wiring import App, open_app

_GRACE_SECONDS = 3
"""So long may open requests go on after SIGTERM; Cloud Run allows 10 seconds for everything."""


def run(options: argparse.Namespace) -> int:
    overrides = {name: getattr(options, name) for name in ("host", "port", "data", "model", "log_level")}
    settings = load(options.path, overrides=overrides)
    logs.configure(settings.log_level, settings.log_format)
    with _listen(settings) as listener:
        run_async(_serve(settings, listener))
    return 0


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with open_app(settings, Progress()) as app:
        config = uvicorn.Config(
            app.asgi,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ws_max_size=settings.max_body_bytes,
        )
        server = _Server(config, app)
        _announce(listener)
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Hands unfinished runs over as soon as it is told to stop, while requests are still being answered."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on SIGTERM and SIGINT. uvicorn's own raises the signal again at the end, which would end the process
        before what we opened is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.drain()
        await super().shutdown(sockets)


def _listen(settings: Settings) -> socket.socket:
    """Bound before anything else starts, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {settings.port} is in use: stop what listens on {where}, or choose another with --port."
            ) from error
        raise ConfigurationError(f"Can't listen on {where}: {error.strerror}.") from error


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"Pilothouse {__version__} at http://{shown}:{port}\n")
    sys.stderr.flush()
