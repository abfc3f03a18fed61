"""A whole instance behind a socket: what `serve` runs, and `chat` in the background."""

import errno
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from pilothouse.errors import ConfigurationError
from pilothouse.settings import Settings
from pilothouse.wiring import App, Report, open_app

_GRACE_SECONDS = 2
"""So long may open requests go on after SIGTERM; Cloud Run allows 10 seconds for everything."""


class Server(uvicorn.Server):
    """Hands unfinished runs over as soon as it is told to stop, while requests are still being answered."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the command. uvicorn's own raises them again at the end, which would end the process before
        what we opened is closed."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.drain()
        await super().shutdown(sockets)


@asynccontextmanager
async def open_server(settings: Settings, report: Report) -> AsyncGenerator[Server]:
    """The server of an instance that is open and at work. `serve(sockets=[…])` returns after `should_exit` was set.

    Raises `ConfigurationError` or `StoreUnavailable`.
    """
    async with open_app(settings, report) as app:
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
        logging.getLogger("uvicorn.error").addFilter(_is_no_broken_off_reply)
        yield Server(config, app)


def _is_no_broken_off_reply(record: logging.LogRecord) -> bool:
    """uvicorn takes a reply that we end in the middle (`server.streams.BrokenOff`) for a mistake."""
    return record.getMessage() != "ASGI callable returned without completing response."


def listen(host: str, port: int) -> socket.socket:
    """Bound before anything else starts, so that a port in use is said at once. Raises `ConfigurationError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        where = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {port} is in use: stop what listens on {where}, or choose another with --port."
            ) from error
        raise ConfigurationError(f"Can't listen on {where}: {error.strerror}.") from error


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
