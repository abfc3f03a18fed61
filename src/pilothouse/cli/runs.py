"""`pilothouse runs`: what runs do, and did."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from pilothouse.cli.client import Client, Refused
from pilothouse.cli.following import Following
from pilothouse.cli.json_shapes import as_list, as_object
from pilothouse.cli.servers import running_server
from pilothouse.cli.terminal import Terminal, printable
from pilothouse.cli.views import MODES, Conversation, Lines, Outcome
from pilothouse.errors import NotFound

FAILED = 1
_CANCEL_SECONDS = 60
_FINAL = frozenset({"success", "error", "timeout", "interrupted"})


def run(options: argparse.Namespace) -> int:
    runs = _Runs(running_server(options.url), Terminal(for_programs=options.json), as_json=options.json)
    match options.action:
        case "list":
            return runs.list(options.thread, options.status, options.limit)
        case "show":
            return runs.show(options.run)
        case "follow":
            return runs.follow(options.run)
        case _:
            return runs.cancel(options.run)


class _Runs:
    """The runs of a server. Each method returns the exit status."""

    def __init__(self, client: Client, terminal: Terminal, *, as_json: bool) -> None:
        self._client = client
        self._terminal = terminal
        self._as_json = as_json

    def list(self, thread: str | None, status: str | None, limit: int) -> int:
        query = {"thread_id": thread, "status": status, "limit": limit}
        try:
            found: Sequence[Any] = self._client.call("POST", "/runs/search", query)
        except Refused as error:
            if error.status == 404 and thread:
                raise NotFound(
                    f"There is no thread {thread}: list the runs of all with pilothouse runs list."
                ) from error
            raise
        if self._as_json:
            self._print_json(found)
        elif found:
            self._terminal.put("\n".join(_table([_HEADINGS, *map(_row, found)])))
        else:
            self._terminal.say("There is no such run." if thread or status else "There is no run yet.", "dim")
        return 0

    def show(self, run_id: str) -> int:
        report = self._report(run_id)
        if self._as_json:
            self._print_json(report)
        else:
            self._terminal.put("\n".join(_table(_facts(report))))
        return 0

    def follow(self, run_id: str) -> int:
        """0 if the run succeeds."""
        thread = str(self._report(run_id)["thread_id"])
        view = Lines() if self._as_json else Conversation(self._terminal)
        following = Following(self._client, thread, {"stream_mode": MODES}, self._tell_connection, run_id)
        outcome = Outcome()
        try:
            for frame in following.frames():
                outcome.absorb(frame)
                view.show(frame)
        except KeyboardInterrupt:
            self._say(f"\nThe run goes on. To end it: pilothouse runs cancel {run_id}")
            raise
        self._say(f"Run {run_id} ended: {_ending(self._report(run_id))}.")
        return 0 if outcome.status == "success" else FAILED

    def cancel(self, run_id: str) -> int:
        before = self._report(run_id)
        if before["status"] not in _FINAL:
            path = f"/threads/{before['thread_id']}/runs/{run_id}/cancel?wait=true"
            self._client.call("POST", path, timeout=_CANCEL_SECONDS)
        report = self._report(run_id)
        if self._as_json:
            self._print_json(report)
        else:
            already = " already, and there is nothing to cancel" if before["status"] in _FINAL else ""
            self._terminal.put(f"Run {run_id} ended{already}: {_ending(report)}.")
        return 0

    def _report(self, run_id: str) -> Mapping[str, Any]:
        try:
            return as_object(self._client.call("GET", f"/runs/{run_id}"))
        except Refused as error:
            if error.status in (404, 422):
                raise NotFound(
                    f"There is no run {run_id} at {self._client.url}: pilothouse runs list shows those that there are."
                ) from error
            raise

    def _tell_connection(self, is_there: bool) -> None:
        self._say("The server is back." if is_there else "The connection is lost: trying again…")

    def _say(self, line: str) -> None:
        if not self._as_json:
            self._terminal.say(line, "dim")

    def _print_json(self, value: object) -> None:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


_HEADINGS = ("RUN", "AGENT", "STATUS", "TRY", "MADE", "TOOK")


def _row(run: Mapping[str, Any]) -> Sequence[str]:
    made, begun, updated = (_time(run[name]) for name in ("created_at", "begun_at", "updated_at"))
    took = _duration(begun, updated) if run["status"] in _FINAL else ""
    return (run["run_id"], run["agent_id"], run["status"], str(run["attempt"]), _said(made), took)


def _facts(report: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    """Names and values, one a line."""
    attempts = [as_object(each) for each in as_list(report["attempts"])]
    times = {name: _time(report[f"{name}_at"]) for name in ("created", "due", "first_token", "ended")}
    begun = _time(attempts[0]["begun_at"]) if attempts else None
    since = times["due"] or times["created"]
    facts = [
        ("run", report["run_id"]),
        ("thread", report["thread_id"]),
        ("agent", report["agent_id"]),
        ("status", _ending(report)),
        ("trace", report["trace_id"]),
        ("made", _said(times["created"])),
        ("due", _said(times["due"])),
        ("begun", _after(begun, since)),
        *((f"attempt {each['attempt']}", _after(_time(each["begun_at"]), since)) for each in attempts[1:]),
        ("first token", _after(times["first_token"], since)),
        ("ended", _after(times["ended"], since)),
        ("model calls", str(report["model_calls"])),
        ("tool calls", _tool_calls(report)),
        ("tokens", _tokens(report)),
    ]
    return [fact for fact in facts if fact[1]]


def _ending(report: Mapping[str, Any]) -> str:
    """The status, said in full."""
    error = as_object(report["error"])
    if error:
        message = printable(" ".join(str(error.get("message")).split()))
        return f"{report['outcome']} ({error.get('error')}: {message})"
    if report["interrupts"]:
        return f"waits for {report['interrupts']} answer{'s' if report['interrupts'] > 1 else ''}"
    return str(report["outcome"] or report["status"])


def _tool_calls(report: Mapping[str, Any]) -> str:
    calls = as_object(report["tool_calls"])
    if not calls:
        return "0"
    failed = f", {report['failed_tool_calls']} failed" if report["failed_tool_calls"] else ""
    each = ", ".join(f"{name} {count}" for name, count in calls.items())
    return f"{sum(calls.values())} ({each}{failed})"


def _tokens(report: Mapping[str, Any]) -> str:
    if report["input_tokens"] is None:
        return "not reported by the model" if report["model_calls"] else ""
    return f"{report['input_tokens']} in, {report['output_tokens']} out"


def _table(rows: Sequence[Sequence[str]]) -> Sequence[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _said(time: datetime | None) -> str:
    return f"{time.astimezone():%d %b %H:%M:%S}" if time else ""


def _after(time: datetime | None, since: datetime | None) -> str:
    """The time, and how long that is after the other."""
    return f"{_said(time)}  (after {_duration(since, time)})" if time else ""


def _duration(begun: datetime | None, ended: datetime | None) -> str:
    if begun is None or ended is None:
        return ""
    seconds = (ended - begun).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
