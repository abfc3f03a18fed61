"""A server that exports nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.processes import environment

from pilothouse.errors import ConfigurationError
from pilothouse.settings import load

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


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is localhost:4318: write http://",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "4318"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is 4318: write http://",
        ),
    ],
)
def test_what_can_not_be_exported_to_is_refused_at_the_start(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        load(tmp_path, environ={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", **variables})


def test_a_protocol_does_not_matter_where_nothing_is_exported(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})

    assert (settings.otlp_traces, settings.otlp_metrics) == (None, None)


def test_one_endpoint_serves_both_signals_unless_they_have_their_own(tmp_path: Path) -> None:
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}
    own = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://traces.example/in"}

    both, mixed, one = (load(tmp_path, environ=environ) for environ in (base, base | own, own))

    assert (both.otlp_traces, both.otlp_metrics) == (
        "http://collector:4318/v1/traces",
        "http://collector:4318/v1/metrics",
    )
    assert (mixed.otlp_traces, mixed.otlp_metrics) == ("https://traces.example/in", both.otlp_metrics)
    assert (one.otlp_traces, one.otlp_metrics) == ("https://traces.example/in", None)
