"""A server's processes, whatever it starts: what they cost, and their end. Reads Linux's /proc."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

_MARK = "BENCH_MARK"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
START_DEADLINE = 180.0
STOP_DEADLINE = 15.0


class Server:
    """A command under way. Its processes are those that inherited its mark, or name its folder: guards and databases too."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str, folder: Path, log: Path) -> None:
        self._process = process
        self._mark = f"{_MARK}={mark}".encode()
        self._folder = str(folder).encode()
        self._log = log

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self._process.pid

    def pids(self) -> list[int]:
        return [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._owns(entry)
        ]

    def _owns(self, entry: Path) -> bool:
        try:
            return (
                self._mark in (entry / "environ").read_bytes().split(b"\0")
                or self._folder in (entry / "cmdline").read_bytes()
            )
        except OSError:
            return False

    def cpu_seconds(self) -> float:
        """User and system time of all of them, and of children that they have waited for."""
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += sum(map(int, fields[11:15]))
        return total / _TICKS

    def rss_mb(self) -> float:
        """Resident memory, summed."""
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        return total / 1e6

    def wait_until_healthy(self, url: str) -> float:
        """Seconds until the first good reply. Raises with the end of the log when the server ends before."""
        started = time.perf_counter()
        while time.perf_counter() - started < START_DEADLINE:
            if self._process.poll() is not None:
                break
            with suppress(URLError, OSError), urlopen(url, timeout=5) as reply:
                if reply.status == 200:
                    return time.perf_counter() - started
            time.sleep(0.02)
        raise RuntimeError(f"{url} gave no reply. The log ends:\n{self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Ask the command itself to end; then end whatever is left."""
        self._signal([self._process.pid], signal.SIGTERM)
        self._signal(self.pids(), signal.SIGKILL)

    def _signal(self, pids: Sequence[int], how: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        deadline = time.monotonic() + STOP_DEADLINE
        while self._process.poll() is None or self.pids():
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)


@dataclass
class Cost:
    """What a server spent within a block, and which part of the machine others took meanwhile."""

    cpu_seconds: float = 0.0
    disturbance: float = 0.0


@contextmanager
def metering(server: Server) -> Iterator[Cost]:
    """Filled in when the block ends. This process counts as neither the server nor others."""
    cost = Cost()
    own, driver, machine, clock = (
        server.cpu_seconds(),
        time.process_time(),
        _machine_seconds(),
        time.perf_counter(),
    )
    yield cost
    cost.cpu_seconds = server.cpu_seconds() - own
    others = _machine_seconds() - machine - cost.cpu_seconds - (time.process_time() - driver)
    capacity = (time.perf_counter() - clock) * (os.cpu_count() or 1)
    cost.disturbance = max(0.0, others) / capacity


def _machine_seconds() -> float:
    """What the processors of the machine have worked so far, for anybody."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


@contextmanager
def serving(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Run a command in a folder of its own; on leaving, all that it started is ended."""
    mark, log = uuid4().hex, folder / "server.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PILOTHOUSE_")}  # noqa: TID251  # what the servers inherit
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, **environment, _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, mark, folder, log)
    try:
        yield server
    finally:
        server.stop()
        process.wait(STOP_DEADLINE)
