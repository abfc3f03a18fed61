"""Logs on standard error: lines for people, or one JSON object a line for Cloud Logging.

Each line says on which run and thread the code that wrote it was at work; in JSON, in which trace too.
"""

import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from pilothouse.ports.tracing import Trace, current
from pilothouse.settings import Settings

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_SEVERITY = {"WARNING": "WARNING", "ERROR": "ERROR", "CRITICAL": "CRITICAL", "DEBUG": "DEBUG"}
_CLOUD = "logging.googleapis.com/"
_WRITES_CONTENT = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "asyncio",
    "uvicorn",
    "websockets",
    "google_genai",
    "openai",
    "urllib3",
)
"""Loggers that are too chatty below warnings, or write down what is sent: prompts, frames, headers."""


def configure(
    settings: Settings,
    form: Literal["text", "json"] | None = None,
    file: Path | None = None,
    *,
    level: str | None = None,
) -> None:
    """As the settings say; what else is given takes the place of theirs, and of standard error."""
    handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)
    is_json = (form or settings.log_format) == "json"
    lines = _JsonLines(settings.google_cloud_project) if is_json else _Lines()
    handler.setFormatter(_Discreet(lines, settings.secrets))
    logging.basicConfig(level=(level or settings.log_level).upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _WRITES_CONTENT:
        logging.getLogger(name).setLevel(logging.WARNING)


def _labels() -> dict[str, str]:
    place = current.get()
    labels = {"run_id": place.run_id, "thread_id": place.thread_id}
    return {name: value for name, value in labels.items() if value is not None}


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class _Discreet(logging.Formatter):
    """Blots out secrets: servers may repeat the key that they refuse, and a traceback has their words."""

    def __init__(self, lines: logging.Formatter, secrets: Sequence[str]) -> None:
        super().__init__()
        self._lines = lines
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = self._lines.format(record)
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = self.formatTime(record, "%H:%M:%S")
        facts = " ".join(f"{name}={value}" for name, value in (_labels() | _facts(record)).items())
        line = f"{time} {record.levelname.lower():7} {record.getMessage()}  {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonLines(logging.Formatter):
    """The fields that Cloud Logging knows, facts beside them.

    https://cloud.google.com/logging/docs/structured-logging#special-payload-fields
    """

    def __init__(self, project: str | None) -> None:
        super().__init__()
        self._traces = f"projects/{project}/traces/" if project else ""

    def format(self, record: logging.LogRecord) -> str:
        labels = _labels()
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {
            "severity": _SEVERITY.get(record.levelname, "INFO"),
            "message": record.getMessage(),
            "time": time.replace("+00:00", "Z"),
            "logger": record.name,
            **labels,
            **_facts(record),
            **self._trace_fields(current.get().trace),
            f"{_CLOUD}sourceLocation": {
                "file": record.pathname,
                "line": str(record.lineno),
                "function": record.funcName,
            },
        }
        if labels:
            entry[f"{_CLOUD}labels"] = labels
        if record.exc_info:
            entry["stack_trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry, enc_hook=str).decode()

    def _trace_fields(self, trace: Trace | None) -> dict[str, object]:
        if trace is None:
            return {}
        fields: dict[str, object] = {f"{_CLOUD}trace": f"{self._traces}{trace.trace_id}"}
        if trace.span_id:
            fields |= {f"{_CLOUD}spanId": trace.span_id, f"{_CLOUD}trace_sampled": trace.is_sampled}
        return fields
