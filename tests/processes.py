"""The server as a process of its own, as a user starts it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 30


@dataclass
class ServerProcess:
    url: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def kill(self) -> None:
        """Kill -9, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(15)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what would configure a server by chance."""
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251  the tests start processes
        if not name.startswith(("PILOTHOUSE_", "GEMINI", "GOOGLE", "OPENAI", "OLLAMA")) and name != "PORT"
    }
    return {**inherited, "PYTHONUNBUFFERED": "1", **(extra or {})}


def start(*arguments: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `pilothouse ARGUMENTS` to its end."""
    command = [sys.executable, "-m", "pilothouse", *map(str, arguments)]
    return subprocess.run(
        command, env=environment(env), capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def serving(
    path: Path, *, port: int, data: Path, env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()
) -> Iterator[ServerProcess]:
    """`pilothouse serve PATH`, ready; ended at the end of the block if it runs still."""
    command = [sys.executable, "-m", "pilothouse", "serve", str(path), "--data", str(data), *options]
    if "PORT" not in (env or {}):
        command += ["--port", str(port)]
    with (
        tempfile.NamedTemporaryFile("w", suffix=".log") as log,
        subprocess.Popen(command, env=environment(env), stderr=log, text=True) as process,
    ):
        server = ServerProcess(f"http://127.0.0.1:{port}", process, Path(log.name))
        try:
            _wait_until_ready(server)
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait_until_ready(server: ServerProcess) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{server.url}/ok", timeout=1):
                return
        except (OSError, urllib.error.URLError) as error:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start:\n{server.output()}") from error
            time.sleep(0.02)
