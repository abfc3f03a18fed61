"""Embedded servers as other processes use them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis

from pilothouse.stores.embedded import locks

DEADLINE_SECONDS = 20


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for: {what}"
        time.sleep(0.01)


class Home:
    """One embedded server, seen from outside."""

    def __init__(self, kind: str, data: Path) -> None:
        self.kind = kind
        self.data = data
        self.path = data / kind

    @property
    def pid(self) -> int:
        return int((self.path / "server.lock").read_text())

    @property
    def guard_pid(self) -> int:
        return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(self.pid)]))

    def is_stopped(self) -> bool:
        return all(locks.is_free(self.path / name) for name in ("guard.lock", "server.lock"))

    def is_stopping(self) -> bool:
        return not locks.is_free(self.path / "users.lock", shared=True)

    def wait_until_stopped(self) -> None:
        wait_for(self.is_stopped, f"{self.kind} to stop")

    def stopped_cleanly(self) -> bool:
        last_words = "ready to exit, bye bye" if self.kind == "valkey" else "database system is shut down"
        return last_words in (self.path / "server.log").read_text().splitlines()[-1]

    def write(self, url: str, value: str) -> None:
        if self.kind == "valkey":
            with redis.Redis.from_url(url) as client:
                client.rpush("kept", value)
        else:
            with psycopg.connect(url) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
                connection.execute("INSERT INTO kept VALUES (%s)", [value])

    def read(self, url: str) -> list[str]:
        if self.kind == "valkey":
            with redis.Redis.from_url(url, decode_responses=True) as client:
                return [str(value) for value in client.lrange("kept", 0, -1)]
        with psycopg.connect(url) as connection:
            return [row[0] for row in connection.execute("SELECT value FROM kept")]


class User:
    """Another process that uses the server."""

    def __init__(self, home: Home) -> None:
        script = Path(__file__).with_name("user_process.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), home.kind, str(home.data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SOME_SECRET": "hunter2"},  # noqa: TID251 - what a child of ours would have
        )
        assert self._line() == "starting"

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def url(self) -> str:
        """Wait until the server is up for this process."""
        url = self._line()
        assert url, "the process ended"
        return url

    def leave(self, how: str) -> None:
        if how == "clean exit":
            assert self.process.stdin
            self.process.stdin.close()
        else:
            self.process.send_signal(signal.Signals[how])
        self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        self.process.kill()
        assert self.process.stdin
        assert self.process.stdout
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()
        self.process.wait(DEADLINE_SECONDS)


@pytest.fixture
def data() -> Iterator[Path]:
    """A data directory with a short name (sockets!), and no server left behind."""
    directory = Path(tempfile.mkdtemp(prefix="ph-"))
    yield directory
    for home in map(Home, ("valkey", "postgres"), (directory, directory)):
        if home.path.exists():
            home.wait_until_stopped()
    for link in directory.rglob("sockets"):
        shutil.rmtree(link.readlink(), ignore_errors=True)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def prepared_postgres() -> Iterator[Path]:
    """PostgreSQL's home after a first start, which takes a second or more: to be copied."""
    with tempfile.TemporaryDirectory(prefix="ph-") as directory:
        user = User(Home("postgres", Path(directory)))
        user.url()
        user.leave("clean exit")
        user.close()
        yield Path(directory, "postgres")


@pytest.fixture(params=["valkey", "postgres"])
def home(request: pytest.FixtureRequest, data: Path) -> Home:
    if request.param == "postgres":
        prepared = request.getfixturevalue("prepared_postgres")
        subprocess.run(["cp", "-a", prepared, data], check=True)  # with its owner
    return Home(request.param, data)


@pytest.fixture
def new_user(home: Home) -> Iterator[Callable[[], User]]:
    users: list[User] = []

    def start() -> User:
        users.append(User(home))
        return users[-1]

    yield start
    for user in users:
        user.close()
