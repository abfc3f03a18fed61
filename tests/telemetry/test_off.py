"""A server that exports nothing."""

import subprocess
import sys
from pathlib import Path

from tests.processes import environment

_SERVE_AND_TELL = """
import asyncio, sys
from pathlib import Path
from tests.server.conftest import Silent
import httpx
from pilothouse.settings import load
from pilothouse.testing.loopback import LoopbackServer
from pilothouse.wiring import open_app

# LangGraph's own telemetry imports OpenTelemetry's spans by itself, where it is installed.
PARTS = ("opentelemetry.exporter", "opentelemetry.sdk.metrics", "prometheus_client")


def telling(when, *vendors):
    print(when, *(name for name in vendors if name in sys.modules))


telling("imported", "opentelemetry", "prometheus_client")


async def main():
    settings = load(Path(sys.argv[1]), environ={"PILOTHOUSE_REDIS": sys.argv[2], "PILOTHOUSE_DATA": sys.argv[1]})
    async with open_app(settings, Silent()) as app, LoopbackServer(app.asgi) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            ended = await http.post("/runs/wait", json={"assistant_id": "echo", "input": {"messages": ["hello"]}})
            assert ended.status_code == 200, ended.text
            telling("ran", *PARTS)
            await http.get("/metrics")
            telling("scraped", *PARTS)


asyncio.run(main())
"""


def test_a_run_needs_neither_opentelemetry_nor_prometheus(
    tmp_path: Path, valkey_url: str, repository: Path
) -> None:
    (tmp_path / "agent.py").write_text("async def echo(messages):\n    return 'hello'\n")
    (tmp_path / "pilothouse.toml").write_text('[agents.echo]\nfunction = "./agent.py:echo"\n')

    told = subprocess.run(
        [sys.executable, "-c", _SERVE_AND_TELL, tmp_path, valkey_url],
        env=environment(),
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )

    assert told.stdout.splitlines() == ["imported", "ran", "scraped prometheus_client"]
