"""Which trace the work under way belongs to.

A trace travels as W3C `traceparent`: with a request, with the run that the request makes, and with every line of the log.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Self

import msgspec

from pilothouse.events import RunId, ThreadId

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_CLOUD_TRACE = re.compile(r"(?!0{32})([0-9a-f]{32})(?:/([0-9]{1,20}))?(?:;o=([01]))?", re.IGNORECASE)


class Trace(msgspec.Struct, frozen=True):
    """A place in a trace. Ids are lower-case hexadecimal, of 32 and 16 digits."""

    trace_id: str
    span_id: str = ""
    """Empty where only the trace is known."""
    is_sampled: bool = True

    @classmethod
    def parse(cls, traceparent: str) -> Self | None:
        """None for what is no W3C `traceparent`."""
        found = _TRACEPARENT.fullmatch(traceparent.strip())
        return cls(found[1], found[2], bool(int(found[3], 16) & 1)) if found else None

    @classmethod
    def parse_cloud_trace(cls, header: str) -> Self | None:
        """From Google's older `X-Cloud-Trace-Context: TRACE/SPAN;o=SAMPLED`, the span in decimal digits."""
        found = _CLOUD_TRACE.fullmatch(header.strip())
        span = int(found[2] or 0) if found else 0
        if found is None or not 0 < span < 2**64:
            return None
        return cls(found[1].lower(), f"{span:016x}", found[3] == "1")

    @classmethod
    def of_run(cls, run_id: RunId) -> Self:
        """The trace of a run that was made outside of any: all its attempts find it by the run's id."""
        return cls(run_id.replace("-", ""))

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"


class Place(msgspec.Struct, frozen=True):
    """Where the code that runs now is at work: what the log says beside each line."""

    trace: Trace | None = None
    run_id: RunId | None = None
    thread_id: ThreadId | None = None


NOWHERE = Place()
current: ContextVar[Place] = ContextVar("pilothouse_place", default=NOWHERE)


def current_traceparent() -> str:
    """Empty outside of a trace."""
    trace = current.get().trace
    return trace.traceparent if trace is not None and trace.span_id else ""


def enter_request(header: Callable[[str], str | None]) -> None:
    """Set the place of the current task by the headers of the request that it serves."""
    if traceparent := header("traceparent"):
        trace = Trace.parse(traceparent)
    elif cloud_trace := header("x-cloud-trace-context"):
        trace = Trace.parse_cloud_trace(cloud_trace)
    else:
        return
    if trace is not None:
        current.set(Place(trace))
