"""Runs and threads as Redis hashes."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import cast, get_args

import msgspec

from pilothouse.events import AgentId, Attempt, Interrupt, Json, RunError, RunId, RunOutcome, ThreadId
from pilothouse.ports.limits import Usage
from pilothouse.ports.principals import Principal, UserId
from pilothouse.ports.runs import MultitaskStrategy, NewRun, Run, RunInput, RunStatus
from pilothouse.ports.threads import Thread, ThreadStatus

_fields = msgspec.json.Decoder(dict[str, Json])
_request = msgspec.json.Decoder(RunInput)
_MILLISECOND = timedelta(milliseconds=1)
_PASSED_ON = ("input", "command", "config", "context", "checkpoint")
_error = msgspec.json.Decoder(RunError | None)
_interrupts = msgspec.json.Decoder(tuple[Interrupt, ...])
_usage = msgspec.json.Decoder(Usage)
_encode = msgspec.json.Encoder().encode
encode_usage = _encode

FINAL: frozenset[RunStatus] = frozenset(get_args(RunStatus)) - {"pending", "running"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    """HGETALL's reply as a script returns it."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def run_fields(principal: Principal, new: NewRun, now: int) -> list[str | bytes | int]:
    """What CREATE_RUN writes to the run's hash, beside status and attempt: names and values in turn."""
    return [
        *("user", principal.user, "thread", new.thread_id, "agent", new.agent_id),
        *("created", now, "updated", now, "strategy", new.multitask_strategy),
        *("metadata", bytes(new.metadata), "request", _encode(new.request)),
        *("ephemeral", int(new.delete_thread_after)),
        *(("webhook", new.webhook) if new.webhook else ()),
        *(("trace", new.trace) if new.trace else ()),
        *(("due", now + new.delay // _MILLISECOND) if new.delay else ()),
    ]


def request_from(stored: bytes) -> RunInput:
    """The request as it was encoded. msgspec decodes no `Json | None`, so these fields are read on their own."""
    fields = _fields.decode(stored)
    passed_on = {name: fields.pop(name) for name in _PASSED_ON if name in fields}
    return msgspec.structs.replace(_request.decode(_encode(fields)), **passed_on)


def outcome_from(stored: bytes | None) -> RunOutcome | None:
    return cast("RunOutcome", stored.decode()) if stored else None


def run_from(run_id: RunId, fields: Mapping[bytes, bytes]) -> Run:
    return Run(
        run_id=run_id,
        thread_id=ThreadId(fields[b"thread"].decode()),
        agent_id=AgentId(fields[b"agent"].decode()),
        principal=Principal(UserId(fields[b"user"].decode())),
        created_at_ms=int(fields[b"created"]),
        updated_at_ms=int(fields[b"updated"]),
        metadata=Json(fields[b"metadata"]),
        request=request_from(fields[b"request"]),
        status=cast("RunStatus", fields[b"status"].decode()),
        attempt=Attempt(int(fields[b"attempt"])),
        multitask_strategy=cast("MultitaskStrategy", fields[b"strategy"].decode()),
        delete_thread_after=fields[b"ephemeral"] == b"1",
        number=int(fields.get(b"number", 0)),
        crashes=int(fields.get(b"crashes", 0)),
        begun_at_ms=int(fields.get(b"begun", 0)),
        usage=_usage.decode(fields.get(b"usage", b"{}")),
        after=outcome_from(fields.get(b"after")),
        trace=fields.get(b"trace", b"").decode(),
        due_at_ms=int(fields.get(b"due", 0)),
    )


def thread_from(thread_id: ThreadId, fields: Mapping[bytes, bytes]) -> Thread:
    graph = fields.get(b"graph")
    return Thread(
        thread_id=thread_id,
        created_at_ms=int(fields[b"created"]),
        updated_at_ms=int(fields[b"updated"]),
        metadata=Json(fields[b"metadata"]),
        status=cast("ThreadStatus", fields[b"status"].decode()),
        graph_id=graph.decode() if graph else None,
        error=_error.decode(fields.get(b"error", b"null")),
        interrupts=_interrupts.decode(fields.get(b"interrupts", b"[]")),
        runs_begun=int(fields.get(b"begun", 0)),
    )
