"""The embedded PostgreSQL, with pgvector."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from pilothouse.errors import ConfigurationError
from pilothouse.stores.embedded.accounts import Account, account_for
from pilothouse.stores.embedded.postgres_binaries import (
    MAJOR,
    REMEDY,
    packaged_binaries,
    reachable_binaries,
    run,
)
from pilothouse.stores.embedded.sockets import make_socket_directory, socket_directory
from pilothouse.stores.embedded.supervisor import Launch, Server, home_of, in_use

USER = "pilothouse"
SOCKET = ".s.PGSQL.5432"
ANSWER_SECONDS = 2
WORKING_DIRECTORY = Path("/proc/self/cwd")
"""Names the data, which we enter as root, to an account that may not pass the directories above them."""


def _silent(message: str) -> None: ...


@asynccontextmanager
async def running_postgres(data: Path, on_progress: Callable[[str], None] = _silent) -> AsyncGenerator[str]:
    """The URL (`postgresql://…`, for psycopg) of the server with its data in `data/postgres`, shared with every process that
    uses the same directory. It is started if need be, and stops when the last of them goes.

    `on_progress` is told what is being prepared, the first time. PostgreSQL does not run as root: if we are root it
    runs as `postgres` or `nobody`, who then owns `data/postgres/data`. Raises `ConfigurationError` where it can't run.
    """
    home = home_of("postgres", data)

    async def prepare() -> Launch:
        account = account_for(home / "data", REMEDY)
        installation = await reachable_binaries(packaged_binaries(), account, on_progress)
        if not (home / "data").exists():
            on_progress("Preparing the database (once; takes a few seconds)")
            await _initialise(installation, home / "data", account)
        _require_version(home / "data")
        sockets = make_socket_directory(home, SOCKET, account)
        _remove_stale_locks(home / "data", sockets)
        command = _command(installation, _path_for(account, home / "data"), sockets, home / "data")
        return Launch(command=command, directory=home / "data", account=account)

    async def is_ready() -> bool:
        return await _answers(_url(home))

    server = Server(
        name="PostgreSQL server",
        home=home,
        stop_signal=signal.SIGINT,
        prepare=prepare,
        is_ready=is_ready,
        remedy=REMEDY,
    )
    async with in_use(server):
        yield _url(home)


def _url(home: Path) -> str:
    return f"postgresql://{USER}@/postgres?host={quote(str(socket_directory(home)), safe='')}"


def _path_for(account: Account | None, directory: Path) -> Path:
    """How a program that is started in the directory, as the account, names it."""
    return WORKING_DIRECTORY if account and WORKING_DIRECTORY.exists() else directory


@contextmanager
def _whole_or_not_at_all(data: Path, account: Account | None) -> Generator[Path]:
    """A new directory that gets its name when the block has succeeded."""
    for abandoned in data.parent.glob("new-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix="new-", dir=data.parent))
    if account:
        os.chown(directory, account.uid, account.gid)
    yield directory
    directory.rename(data)


async def _initialise(installation: Path, data: Path, account: Account | None) -> None:
    with _whole_or_not_at_all(data, account) as directory:
        command = [
            str(installation / "bin" / "initdb"),
            *("-D", str(_path_for(account, directory))),
            *("-U", USER),
            *("-A", "trust"),  # the socket's directory is closed to other accounts
            *("-E", "UTF8"),
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
        ]
        await run(command, directory, account)


def _require_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != MAJOR:
        raise ConfigurationError(
            f"{data} was made by PostgreSQL {found}, and this is {MAJOR}: "
            "move it away, or run the version of Pilothouse that made it and dump its content."
        )


def _remove_stale_locks(data: Path, sockets: Path) -> None:
    """Remove the lock files that a power cut left, if their process id is now that of something else.

    PostgreSQL would refuse to start. It sees by itself when there is no such process.
    """
    with suppress(FileNotFoundError, ValueError):
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        if "postgres" not in _program_of(pid):
            (data / "postmaster.pid").unlink()
            (sockets / f"{SOCKET}.lock").unlink(missing_ok=True)


def _program_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    with suppress(OSError):
        return subprocess.run(
            ["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5
        ).stdout
    return ""


def _command(installation: Path, data: Path, sockets: Path, home_data: Path) -> list[str]:
    settings = {
        "listen_addresses": "",
        # A relative path is within the data: the server may not be able to pass the directories above.
        "unix_socket_directories": "." if sockets == home_data else str(sockets),
        "unix_socket_permissions": "0700",
        "shared_buffers": "256MB",
        "max_connections": "50",
        "jit": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(installation / "bin" / "postgres"), "-D", str(data), *options]


async def _answers(url: str) -> bool:
    import psycopg

    try:
        connection = await psycopg.AsyncConnection.connect(url, connect_timeout=ANSWER_SECONDS)
    except psycopg.OperationalError:
        return False
    await connection.close()
    return True
