"""`pilothouse doctor`: checks every part and says how to fix what does not work."""

import argparse
import asyncio
import platform
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from pilothouse import __version__
from pilothouse.cli import logs
from pilothouse.cli.client import Client
from pilothouse.cli.loops import run_async
from pilothouse.cli.progress import PassingProgress
from pilothouse.cli.terminal import Terminal, wrapped
from pilothouse.errors import ConfigurationError, PilothouseError, StoreUnavailable
from pilothouse.settings import FILE, Settings, load
from pilothouse.wiring import checks

FAILED = 1
_QUICK_SECONDS = 10
_SERVER_SECONDS = 120
"""An embedded server may have to be set up first."""
_MODEL_SECONDS = 60
_AGENTS_SECONDS = 180
_LITTLE_BYTES = 1_000_000_000
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}
_NAME_WIDTH = 10
_MOST_WIDTH = 110
_UNWRAPPED = 10_000


class Finding(msgspec.Struct, frozen=True):
    """What a check found. `text` says how to fix what is not ok."""

    name: str
    mark: Literal["ok", "warning", "failed"]
    text: str


def run(options: argparse.Namespace) -> int:
    doctor = Doctor(Terminal())
    overrides = {name: getattr(options, name) for name in ("host", "port", "data", "model")}
    try:
        settings = load(options.path, overrides=overrides)
    except ConfigurationError as error:
        doctor.show(Finding("Settings", "failed", str(error)))
    else:
        logs.configure(settings, "text", level=options.log_level or "critical")
        run_async(doctor.examine(settings))
    return doctor.conclude()


class Doctor:
    """Makes the checks one after the other, each with a deadline, and shows what they find."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._failures = 0

    async def examine(self, settings: Settings) -> None:
        report = PassingProgress(lambda: False)
        await self._check("Python", _QUICK_SECONDS, lambda: asyncio.to_thread(_python_line))
        await self._check("Settings", _QUICK_SECONDS, lambda: asyncio.to_thread(_settings_line, settings))
        await self._check("Data", _QUICK_SECONDS, lambda: asyncio.to_thread(_data_line, settings))
        await self._check("Redis", _SERVER_SECONDS, lambda: checks.redis_line(settings))
        await self._check("PostgreSQL", _SERVER_SECONDS, lambda: checks.postgres_line(settings, report))
        for name in checks.model_names(settings):
            await self._check("Model", _MODEL_SECONDS, lambda name=name: checks.model_line(settings, name))
        await self._check("Agents", _AGENTS_SECONDS, lambda: self._agents(settings, report))
        await self._check("Port", _QUICK_SECONDS, lambda: asyncio.to_thread(_port_line, settings))
        await self._check("Callers", _QUICK_SECONDS, lambda: _callers_line(settings))

    def show(self, finding: Finding) -> None:
        self._failures += finding.mark == "failed"
        mark, colour = _MARKS[finding.mark]
        indent = " " * (_NAME_WIDTH + 6)
        width = min(self._terminal.width, _MOST_WIDTH) if self._terminal.is_terminal else _UNWRAPPED
        text = "\n".join(wrapped(line, width - len(indent)) for line in finding.text.splitlines())
        mark = self._terminal.styled(mark, colour)
        self._terminal.put(f"  {mark} {finding.name:{_NAME_WIDTH}}  " + text.replace("\n", f"\n{indent}"))

    def conclude(self) -> int:
        """Say what it comes to; the exit status."""
        match self._failures:
            case 0:
                summary = self._terminal.styled("Everything that is needed works.", "green")
            case 1:
                summary = self._terminal.styled("One thing is to be fixed.", "red")
            case number:
                summary = self._terminal.styled(f"{number} things are to be fixed.", "red")
        self._terminal.put(f"\n{summary}")
        return FAILED if self._failures else 0

    async def _check(self, name: str, seconds: float, check: Callable[[], Awaitable[str | None]]) -> None:
        """`check` returns what is there, or None where it has shown that itself; it raises what is wrong."""
        with self._terminal.waiting(f"  … {name}"):
            try:
                async with asyncio.timeout(seconds):
                    text = await check()
                finding = Finding(name, "ok", text) if text else None
            except TimeoutError:
                finding = Finding(name, "failed", f"No answer within {seconds:.0f} seconds.")
            except checks.NotNow as error:
                finding = Finding(name, "warning", str(error))
            except PilothouseError as error:
                finding = Finding(name, "failed", str(error))
        if finding:
            self.show(finding)

    async def _agents(self, settings: Settings, report: PassingProgress) -> str | None:
        try:
            found = await checks.agent_lines(settings, report)
        except StoreUnavailable as error:
            raise checks.NotNow("Not looked at: they need Redis.") from error
        for agent, line in found.items():
            mark = "ok" if isinstance(line, str) else "failed"
            self.show(Finding("Agent", mark, f"{agent} {line}" if mark == "ok" else f"{agent}: {line}"))
        return None


def _python_line() -> str:
    return (
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, Pilothouse {__version__}"
    )


def _settings_line(settings: Settings) -> str:
    if settings.project:
        names = ", ".join(str(graph.agent_id) for graph in settings.project.graphs)
        return f"{settings.root / 'langgraph.json'}: {names}"
    file = settings.root / FILE
    if not file.is_file():
        return f"No {FILE} in {settings.root}: the built-in assistant is served."
    return f"{file}: {', '.join(settings.agents) or 'the built-in assistant'}"


def _data_line(settings: Settings) -> str:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ConfigurationError(
            f"{folder} can't be written to ({error.strerror}): choose another folder with --data."
        ) from error
    if free < _LITTLE_BYTES:
        raise checks.NotNow(f"{folder} has only {free // 1_000_000} MB free: make room.")
    return f"{folder}, {free // 1_000_000_000} GB free"


def _port_line(settings: Settings) -> str:
    if settings.port == 0:
        return "any that is free"
    host = settings.host if settings.is_loopback else "127.0.0.1"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(2)
        if probe.connect_ex((host, settings.port)) != 0:
            return f"{settings.port} is free"
    try:
        Client(
            f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
        ).agents(2)
    except PilothouseError as error:
        if getattr(error, "status", None) != 401:
            raise ConfigurationError(
                f"{settings.port} is used by something else: stop it, or choose another port with --port."
            ) from error
    return f"Pilothouse answers at {settings.port}"


async def _callers_line(settings: Settings) -> str:
    if settings.auth is None:
        return f"this machine's user, without a password: {settings.host} can't be reached from elsewhere"
    return await checks.callers_line(settings.auth)
