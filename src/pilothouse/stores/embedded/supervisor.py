"""Starts a server of ours where none runs, shares it between processes, and has it stopped when the last one goes.

The work is done by `guard`, a small process beside the server; its docstring has the rules.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

import msgspec

from pilothouse.errors import ConfigurationError
from pilothouse.stores.embedded import locks
from pilothouse.stores.embedded.accounts import Account

START = timedelta(seconds=120)
"""A server that replays a long log after a crash takes its time."""
STOP = timedelta(seconds=90)
"""More than the guard's own grace."""
LINGER = timedelta(seconds=10)
"""How long the last user waits for the server to stop; the guard goes on without it."""
LOG_TAIL_BYTES = 1_000


class Launch(msgspec.Struct, frozen=True):
    """How to start a server: an absolute command, the directory to start it in, the account to run it as."""

    command: Sequence[str]
    directory: Path
    account: Account | None = None


class Server(msgspec.Struct, frozen=True):
    """An embedded server.

    `home` is its own directory: locks, log and data. `prepare` is called by the one process that starts the server,
    while nothing runs there. `is_ready` asks the server itself. `remedy` says what to do where it can't run.
    """

    name: str
    home: Path
    stop_signal: signal.Signals
    prepare: Callable[[], Awaitable[Launch]]
    is_ready: Callable[[], Awaitable[bool]]
    remedy: str

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    @property
    def users_lock(self) -> Path:
        return self.home / "users.lock"

    @property
    def guard_lock(self) -> Path:
        return self.home / "guard.lock"

    @property
    def server_lock(self) -> Path:
        return self.home / "server.lock"


@asynccontextmanager
async def in_use(server: Server) -> AsyncGenerator[None]:
    """Keep the server running, started if need be, until the block ends or this process dies.

    It stops when its last user has left, and that one waits for it. Raises `ConfigurationError` if it does not start.
    """
    make_private(server.home)
    try:
        async with locks.held_shared(server.users_lock, within=STOP):
            await _ensure_running(server)
            yield
    finally:
        await _wait_if_last(server)


def home_of(name: str, data: Path) -> Path:
    """Where a server of this name lives below the data directory."""
    return data.absolute() / name


def make_private(directory: Path) -> None:
    """Make a directory that is closed to other accounts; one that exists is left as it is."""
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The data directory {directory} can't be made: {error.strerror}. Choose another one with --data."
        ) from error


async def _ensure_running(server: Server) -> None:
    started = False
    try:
        async with asyncio.timeout(START.total_seconds()):
            while True:
                with locks.opened(server.guard_lock) as guard:
                    if locks.take(guard):
                        if started:
                            raise ConfigurationError(_failure(server, "stopped at once"))
                        await _start(server, guard)
                        started = True
                if await server.is_ready():
                    return
                await asyncio.sleep(locks.POLL_SECONDS)
    except TimeoutError as error:
        raise ConfigurationError(_failure(server, f"was not ready within {START.seconds} seconds")) from error


async def _start(server: Server, guard: int) -> None:
    """Start the guard, which starts the server. `guard` is the locked file, which it takes over."""
    await _stop_leftover(server)
    launch = await server.prepare()
    account = f"{launch.account.uid}:{launch.account.gid}" if launch.account else ""
    with _new_log(server.log) as log:
        parent = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(Path(__file__).with_name("guard.py")),
            str(server.users_lock),
            str(guard),
            str(server.server_lock),
            str(int(server.stop_signal)),
            account,
            str(launch.directory),
            *launch.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(guard,),
        )
        await parent.wait()


async def _stop_leftover(server: Server) -> None:
    """Stop a server whose guard was killed; its lock tells that it lives, and its process id."""
    for signal_number in (server.stop_signal, signal.SIGKILL):
        if locks.is_free(server.server_lock):
            return
        with suppress(ProcessLookupError, ValueError):  # it died meanwhile, or has not written its id
            os.kill(int(server.server_lock.read_text()), signal_number)
        await locks.eventually(lambda: locks.is_free(server.server_lock), within=STOP / 3)


def _new_log(path: Path) -> IO[bytes]:
    """A fresh log; the one before is kept beside it, so that a crash can be read after the restart."""
    if path.exists():
        path.replace(path.with_name(f"{path.name}.1"))
    path.touch(mode=0o600)
    return path.open("wb")


async def _wait_if_last(server: Server) -> None:
    def stopped_or_shared() -> bool:
        # Others share the lock; the guard, once it stops the server, does not.
        shared = not locks.is_free(server.users_lock) and locks.is_free(server.users_lock, shared=True)
        return shared or locks.is_free(server.guard_lock)

    await locks.eventually(stopped_or_shared, within=LINGER)


def _failure(server: Server, what: str) -> str:
    log = server.log.read_bytes() if server.log.exists() else b""
    tail = log[-LOG_TAIL_BYTES:].decode(errors="replace").strip() or "(nothing)"
    return f"The embedded {server.name} {what}. {server.remedy} Its log, {server.log}, ends with:\n{tail}"
