"""Settings: one model, read at start from `pilothouse.toml`, the environment and the command line, in rising order.

This is the only module that reads the environment. Every mistake is a `ConfigurationError` that names the key.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pilothouse.engines.langgraph.project import Project, read_project
from pilothouse.errors import ConfigurationError
from pilothouse.ports.limits import RunLimits

FILE = "pilothouse.toml"
PREFIX = "PILOTHOUSE_"
_SHORTEST_SECRET = 8
_PASSWORD = re.compile(r"://[^/@]*?:([^/]+)@")

Positive = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[agents.NAME]`: a graph, a function, or else the built-in assistant with these instructions, model and tools."""

    graph: str | None = None
    """`./file.py:name` of a LangGraph graph, relative to the file that says so."""
    function: str | None = None
    """`./file.py:name` of an async function."""
    description: str | None = None
    instructions: str | None = None
    model: str | None = None
    tools: tuple[str, ...] | None = None
    """Names of built-in tools, and `./file.py:name` of your own; without it, all built-in ones."""
    limits: RunLimits = RunLimits()
    """What a run of this agent may spend, in place of what `[limits]` says of each."""


class AuthSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[auth]`: who may call. Tokens are OpenID Connect ID tokens, verified against the issuer's public keys."""

    issuer: str
    audience: str
    jwks_url: str
    header: str = "authorization"
    """Where the token is; `x-goog-iap-jwt-assertion` behind Identity-Aware Proxy."""


class LimitSettings(RunLimits, frozen=True, forbid_unknown_fields=True):
    """`[limits]`: what a run may spend (see `ports.limits.RunLimits`), and how many there may be."""

    user_runs: Positive | None = None
    """How many unfinished runs a user may have; one more is refused (429)."""
    waiting_runs: Positive | None = 10_000
    """How many runs may wait for a worker, of all users together, and for their turn on one thread; one more is refused (429)."""


class PushSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[push]`: Cloud Tasks brings CPU to runs that no client waits for. For Cloud Run with request-based billing."""

    queue: str
    """`projects/PROJECT/locations/REGION/queues/NAME`."""
    url: str
    """Of this service: `https://…run.app`."""
    service_account: str
    """As whom Cloud Tasks calls the service; nobody else may."""
    audience: str | None = None
    """Of the ID tokens; without it, `url`."""
    hold_seconds: Annotated[int, msgspec.Meta(ge=1, le=1740)] = 270
    """So long is a request held at most: less than the service's request timeout."""
    endpoint: str | None = None
    """`HOST:PORT` of an emulator of Cloud Tasks."""
    issuer: str = "https://accounts.google.com"
    jwks_url: str = "https://www.googleapis.com/oauth2/v3/certs"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set. `PILOTHOUSE_PORT` sets `port`, and so on; tables only in the file."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8123
    data: str = "~/.local/share/pilothouse"
    """Where the embedded servers and the embedded model keep their files."""
    redis: str | None = None
    """`redis://…`, `rediss://…` or `unix://…` of a managed server; without it, one is started."""
    postgres: str | None = None
    """`postgresql://…` of a managed server; without it, one is started when something needs it."""
    model: str = "auto"
    """What the built-in assistant uses where its agent names none."""
    concurrency: Positive = 100
    """How many runs this process executes at once."""
    max_body_bytes: Positive = 32 * 1024 * 1024
    thread_ttl_days: Positive = 30
    """So long is a thread kept after its last change."""
    time_zone: str | None = None
    """The zone of "now" for the tools; without it, the machine's."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    model_path: str | None = None
    """A GGUF file to use as the embedded model."""
    webhook_secret: str | None = None
    """What webhooks are signed with: `whsec_` and base64; several, separated by spaces. Without it there are none."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts, or `host:port`, that webhooks may call though they are private, or over http."""
    auth: AuthSettings | None = None
    limits: LimitSettings = LimitSettings()
    push: PushSettings | None = None
    agents: dict[Name, AgentSettings] = {}

    # Set by what the whole field calls them.
    gemini_api_key: str | None = None
    gemini_base_url: str | None = None
    google_cloud_project: str | None = None
    google_cloud_location: str | None = None
    vertex_base_url: str | None = None
    openai_api_key: str | None = None
    openai_base_url: str | None = None
    model_api_key: str | None = None
    """For the server that a model's name carries: `openai/NAME@URL`."""
    ollama_host: str | None = None
    otel_exporter_otlp_endpoint: str | None = None
    """Where spans and metrics go, over OTLP/HTTP: `http://localhost:4318`."""
    otel_exporter_otlp_traces_endpoint: str | None = None
    """The whole URL for spans alone."""
    otel_exporter_otlp_metrics_endpoint: str | None = None
    """The whole URL for metrics alone."""
    otel_exporter_otlp_protocol: str = "http/protobuf"

    root: Path = Path()
    """The folder that relative paths start from: where `pilothouse.toml` or `langgraph.json` is."""
    project: Project | None = None
    """What `langgraph.json` says, where there is no `pilothouse.toml`."""

    @property
    def data_dir(self) -> Path:
        return Path(self.data).expanduser().absolute()

    @property
    def model_file(self) -> Path | None:
        return Path(self.model_path).expanduser().absolute() if self.model_path else None

    def run_limits(self, agent_id: str) -> RunLimits:
        """What a run of this agent may spend: its own limits, else the general ones."""
        own = self.agents[agent_id].limits if agent_id in self.agents else RunLimits()
        names = RunLimits.__struct_fields__
        chosen = {n: getattr(self.limits, n) if getattr(own, n) is None else getattr(own, n) for n in names}
        return RunLimits(**chosen)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show: keys and passwords, but for those so short that they are words."""
        keys = (self.gemini_api_key, self.openai_api_key, self.model_api_key)
        passwords = (_PASSWORD.search(url or "") for url in (self.redis, self.postgres))
        signing = (self.webhook_secret or "").split()
        secrets = (*keys, *signing, *(found[1] for found in passwords if found))
        return tuple(secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET)

    @property
    def otlp_traces(self) -> str | None:
        """The URL that spans are sent to, if they are."""
        return self.otel_exporter_otlp_traces_endpoint or self._otlp("traces")

    @property
    def otlp_metrics(self) -> str | None:
        """The URL that metrics are sent to, if they are."""
        return self.otel_exporter_otlp_metrics_endpoint or self._otlp("metrics")

    def _otlp(self, signal: str) -> str | None:
        base = self.otel_exporter_otlp_endpoint
        return f"{base.rstrip('/')}/v1/{signal}" if base else None

    @property
    def is_loopback(self) -> bool:
        return self.host in {"127.0.0.1", "::1", "localhost"}


_PLAIN_NAMES = {
    "PORT": "port",
    "GEMINI_API_KEY": "gemini_api_key",
    "GOOGLE_API_KEY": "gemini_api_key",
    "GOOGLE_GEMINI_BASE_URL": "gemini_base_url",
    "GOOGLE_VERTEX_BASE_URL": "vertex_base_url",
    "GOOGLE_CLOUD_PROJECT": "google_cloud_project",
    "GOOGLE_CLOUD_LOCATION": "google_cloud_location",
    "OPENAI_API_KEY": "openai_api_key",
    "OPENAI_BASE_URL": "openai_base_url",
    "OLLAMA_HOST": "ollama_host",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otel_exporter_otlp_endpoint",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "otel_exporter_otlp_traces_endpoint",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "otel_exporter_otlp_metrics_endpoint",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "otel_exporter_otlp_protocol",
}
_LISTS = {"webhook_hosts"}
"""Separated by commas in the environment."""
_FILE_ONLY = {"agents", "auth", "push", "limits", "root", "project"}


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """The settings for serving `path`: a folder or a file (`pilothouse.toml`, `langgraph.json`); default: this folder.

    `overrides` are the command line's; a None in it is left out. Raises `ConfigurationError`.
    """
    root, project, values = _read_files(path or Path())
    environ = _process_environment(project) if environ is None else environ
    values |= _from_environment(environ)
    values |= {name: value for name, value in (overrides or {}).items() if value is not None}
    if "K_SERVICE" in environ:  # Cloud Run: its contract is to listen on every interface
        values.setdefault("host", "0.0.0.0")  # noqa: S104  refused below without authentication
        values.setdefault("log_format", "json")
    settings = msgspec.structs.replace(_convert(values), root=root, project=project)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if not settings.is_loopback and settings.auth is None:
        raise ConfigurationError(
            f"host {settings.host} can be reached from other machines, and no authentication is configured: "
            "add [auth] to pilothouse.toml (issuer, audience, jwks_url), or listen on 127.0.0.1."
        )
    if settings.push is not None:
        _check_push(settings.push)
    _check_telemetry(settings)
    for name, agent in settings.agents.items():
        if agent.graph and agent.function:
            raise ConfigurationError(f"agents.{name} has both graph and function: keep one.")


def _check_push(push: PushSettings) -> None:
    wanted = (
        (
            "queue",
            push.queue,
            r"projects/[^/]+/locations/[^/]+/queues/[^/]+",
            "projects/P/locations/L/queues/Q",
        ),
        ("url", push.url, r"https?://[^/?#]+/?", "the service's own address, https://HOST without a path"),
        (
            "service_account",
            push.service_account,
            r"[^@\s]+@[^@\s]+",
            "a service account's address, NAME@PROJECT.iam…",
        ),
        ("endpoint", push.endpoint or "HOST:1", r"[^/\s]+:\d+", "HOST:PORT of an emulator, or left out"),
    )
    for key, value, pattern, form in wanted:
        if not re.fullmatch(pattern, value):
            raise ConfigurationError(f"push.{key} is {value!r}: it must be {form}.")


def _check_telemetry(settings: Settings) -> None:
    if not (settings.otlp_traces or settings.otlp_metrics):
        return
    if settings.otel_exporter_otlp_protocol != "http/protobuf":
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {settings.otel_exporter_otlp_protocol}: spans and metrics are sent as http/protobuf "
            "alone. Set it to that, and the endpoint to your collector's HTTP port (4318 by default)."
        )
    for name in ("endpoint", "traces_endpoint", "metrics_endpoint"):
        url = getattr(settings, f"otel_exporter_otlp_{name}")
        if url is not None and not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"OTEL_EXPORTER_OTLP_{name.upper()} is {url}: write http://HOST:PORT.")


def _process_environment(project: Project | None) -> Mapping[str, str]:
    """This process's, with what `env` in `langgraph.json` sets: for our settings, and for the agent's own code."""
    if project is not None:
        for name, value in project.env.items():
            os.environ.setdefault(name, value)  # noqa: TID251  the one place that reads it
    return os.environ  # noqa: TID251  the one place that reads it


def _read_files(path: Path) -> tuple[Path, Project | None, dict[str, object]]:
    """The folder, and what `pilothouse.toml` or else `langgraph.json` in it says."""
    if not path.exists():
        raise ConfigurationError(f"There is no {path}: name a folder or a file that exists.")
    if path.is_dir():
        root, found = path.absolute(), [path / FILE, path / "langgraph.json"]
    else:
        root, found = path.absolute().parent, [path]
    for file in found:
        if file.is_file():
            if file.suffix == ".json":
                return root, read_project(file), {}
            return root, None, _read_toml(file)
    return root, None, {}


def _read_toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}.") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    known = set(Settings.__struct_fields__) - _FILE_ONLY
    values: dict[str, object] = {
        field: environ[name] for name, field in _PLAIN_NAMES.items() if environ.get(name)
    }
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known:
            raise ConfigurationError(f"{variable} is not a setting. Known: {', '.join(_variables(known))}.")
        values[name] = _parts(value) if name in _LISTS else value
    return values


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _variables(names: set[str]) -> list[str]:
    return sorted(
        PREFIX + name.upper() for name in names if name not in set(_PLAIN_NAMES.values()) - {"port"}
    )


def _convert(values: Mapping[str, object]) -> Settings:
    fields = set(Settings.__struct_fields__) - {"root", "project"}
    if unknown := set(values) - fields:
        known = ", ".join(sorted(fields))
        raise ConfigurationError(f"{FILE}: {', '.join(sorted(unknown))} is not a setting. Known: {known}.")
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{FILE} or its {PREFIX} variable: {error}.") from error
