"""The hosts that are compared: how each is installed and started, all with the settings that they have by themselves."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".envs"


@dataclass(frozen=True)
class Host:
    """`agent` is a folder under `agents/`, copied for each start; `command` gets the folder of its programs, and a port."""

    name: str
    label: str
    wire: str
    agent: str
    health: str
    command: Callable[[Path, int], Sequence[str]]
    packages: Sequence[str] = ()
    """What to install in an environment of its own; nothing for what runs in Pilothouse's."""
    shows: str = ""
    """The package whose version is the host's."""
    variant_of: str = ""
    """The host whose environment this one shares."""

    @property
    def programs(self) -> Path:
        if not self.packages:
            return Path(sys.executable).parent
        return ENVIRONMENTS / (self.variant_of or self.name) / "bin"


def _uvicorn(programs: Path, port: int) -> list[str]:
    return [
        f"{programs}/uvicorn",
        "app:app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]


def _adk(programs: Path, port: int) -> list[str]:
    return [f"{programs}/adk", "api_server", "--host", "127.0.0.1", "--port", str(port)]


HOSTS = {
    host.name: host
    for host in (
        Host(
            "ours",
            "**Pilothouse** VERSION, saves to Valkey",
            "agent-protocol",
            "lg",
            "/ok",
            lambda programs, port: [
                f"{programs}/python",
                "-m",
                "pilothouse",
                "serve",
                ".",
                "--port",
                str(port),
                "--data",
                "./data",
            ],
            shows="pilothouse",
        ),
        Host(
            "langgraph-dev",
            "`langgraph dev` VERSION, saves to memory",
            "agent-protocol",
            "lg",
            "/ok",
            lambda programs, port: [
                f"{programs}/langgraph",
                "dev",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--no-browser",
                "--no-reload",
            ],
            ("langgraph-cli[inmem]",),
            "langgraph-api",
        ),
        Host(
            "adk",
            "ADK `api_server` VERSION, saves to SQLite",
            "adk",
            "adk",
            "/list-apps",
            lambda programs, port: [*_adk(programs, port), "."],
            ("google-adk",),
            "google-adk",
        ),
        Host(
            "adk-memory",
            "ADK `api_server` VERSION, saves to memory",
            "adk",
            "adk",
            "/list-apps",
            lambda programs, port: [*_adk(programs, port), "--session_service_uri", "memory://", "."],
            ("google-adk",),
            "google-adk",
            variant_of="adk",
        ),
        Host(
            "agno",
            "Agno AgentOS VERSION, saves to SQLite",
            "agno",
            "agno",
            "/health",
            _uvicorn,
            (
                "agno",
                "fastapi[standard]",
                "uvicorn[standard]",
                "sqlalchemy[asyncio]",
                "aiosqlite",
                "python-multipart",
            ),
            "agno",
        ),
        Host("bare", "Starlette VERSION alone, no agent", "bare", "bare", "/ok", _uvicorn, shows="starlette"),
    )
}


def install(host: Host) -> None:
    """An environment for the host, with the newest release, if it has none yet. uv makes it where there is uv."""
    if not host.packages or (host.programs / ".installed").exists():
        return
    environment = host.programs.parent
    environment.parent.mkdir(exist_ok=True)
    shutil.rmtree(environment, ignore_errors=True)
    if uv := shutil.which("uv"):
        _run([uv, "venv", "-q", "--python", sys.executable, str(environment)])
        _run([uv, "pip", "install", "-q", "--python", f"{host.programs}/python", *host.packages])
    else:
        _run([sys.executable, "-m", "venv", str(environment)])
        _run([f"{host.programs}/python", "-m", "pip", "install", "-q", *host.packages])
    (host.programs / ".installed").touch()


def version(host: Host) -> str:
    program = f"import importlib.metadata as m; print(m.version({host.shows!r}))"
    return subprocess.check_output([f"{host.programs}/python", "-c", program], text=True).strip()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
