"""`pilothouse simulate`, with whole servers."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.processes import environment, start

ECHO = """
async def echo(messages):
    yield "you said "
    yield messages[-1].content
"""
DEADLINE_SECONDS = 40
READY = r"Cloud Run at (http://\S+)"


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A project with one agent, a function."""
    folder = tmp_path / "echo"
    folder.mkdir()
    (folder / "agent.py").write_text(ECHO)
    (folder / "pilothouse.toml").write_text('[agents.echo]\nfunction = "./agent.py:echo"\n')
    return folder


@dataclass
class Simulator:
    process: subprocess.Popen[str]
    log: Path

    @property
    def url(self) -> str:
        return self.until(READY)[1]

    def output(self) -> str:
        return self.log.read_text()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has said this."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := re.search(pattern, self.output())):
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)
        return found

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def simulating(path: Path, *options: str, until: str = READY) -> Iterator[Simulator]:
    """`pilothouse simulate PATH`, when it has said that it is ready, or else."""
    data, log = path.parent / "data", path.parent / "simulator.log"
    command = [sys.executable, "-m", "pilothouse", "simulate", str(path), "--data", str(data), "--port", "0"]
    with (
        log.open("w") as file,
        subprocess.Popen([*command, *options], env=environment(), stderr=file, text=True) as process,
    ):
        simulator = Simulator(process, log)
        try:
            simulator.until(until)
            yield simulator
        finally:
            process.terminate()
            process.wait(20)


def say(simulator: Simulator, text: str) -> Any:
    body = {"assistant_id": "echo", "input": {"messages": [{"role": "user", "content": text}]}}
    reply = httpx.post(f"{simulator.url}/runs/wait", json=body, timeout=30)
    return reply.raise_for_status().json()["messages"][-1]["content"]


def test_it_serves_says_what_happens_and_ends_cleanly(echo: Path) -> None:
    with simulating(echo, "--instances", "2", "--cpu", "request") as simulator:
        assert say(simulator, "hello") == "you said hello"
        for number in (1, 2):
            simulator.until(rf"instance {number} ready in [\d.]+ s\n")
            simulator.until(rf"instance {number} frozen \(no request\)\n")
        children = simulator.descendants()
        assert len(children) >= 2
        simulator.process.send_signal(signal.SIGINT)
        assert simulator.process.wait(20) == 0
        assert not any(child.is_running() for child in children)
        for number in (1, 2):
            ended = rf"instance {number} stopping\n(?s:.*)instance {number} ended "
            assert re.search(ended, simulator.output())
        assert "Traceback" not in simulator.output()
    assert "you said" not in (echo.parent / "data" / "simulation" / "instance-1.log").read_text()


def test_a_signal_makes_a_rolling_restart(echo: Path) -> None:
    with simulating(echo, "--instances", "1") as simulator:
        simulator.process.send_signal(signal.SIGUSR1)
        simulator.until(r"instance 2 ready(?s:.*)instance 1 stopping(?s:.*)instance 1 ended")
        assert say(simulator, "hello") == "you said hello"


@pytest.mark.parametrize("signals", [1, 2])
def test_it_ends_while_its_instances_start(echo: Path, signals: int) -> None:
    with simulating(echo, "--instances", "2", until=r"instance 2 started") as simulator:
        children = simulator.descendants()
        for _ in range(signals):
            simulator.process.send_signal(signal.SIGTERM)
        assert simulator.process.wait(20) == 0
        assert len(children) >= 2
        assert not any(child.is_running() for child in children)
        assert "Traceback" not in simulator.output()


def test_nothing_is_left_when_it_is_killed(echo: Path) -> None:
    with simulating(echo, "--instances", "2") as simulator:
        children = simulator.descendants()
        simulator.process.kill()
        _, alive = psutil.wait_procs(children, timeout=15)
        assert not alive


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--instances", "none"), "none is no number of instances: write 3"),
        (("--instances", "4-2"), "4-2 is no number of instances"),
        (("--instances", "0"), "0 is no number of instances"),
        (("--concurrency", "0"), "0 is no number from 1 on"),
        (("--timeout", "soon"), "soon is no number of seconds above 0"),
        (("--chaos", "-1"), "-1 is no number of seconds above 0"),
    ],
)
def test_wrong_options_are_said(echo: Path, options: tuple[str, str], message: str) -> None:
    ended = start("simulate", echo, *options)
    assert ended.returncode == 2
    assert message in " ".join(ended.stderr.split())


def test_what_is_wrong_in_the_project_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "pilothouse.toml").write_text("prot = 8080\n")
    ended = start("simulate", tmp_path)
    assert ended.returncode == 2
    assert "prot is not a setting" in ended.stderr
    assert "instance" not in ended.stderr


def test_the_help_has_an_example() -> None:
    assert "Example: pilothouse simulate ./my-agent --instances 3" in start("simulate", "--help").stdout


def test_the_page_tells_every_option(repository: Path) -> None:
    page = (repository / "docs" / "simulate.md").read_text()
    own = set(re.findall(r"--[a-z][a-z-]*", start("simulate", "--help").stdout))
    told = set(re.findall(r"--[a-z][a-z-]*", page))
    assert told - own == set()
    assert own - told == {"--help", "--port", "--data", "--model", "--log-level"}
