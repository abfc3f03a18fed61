"""Spans: what an exporter of traces is given."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from pilothouse.ports.runs import Run
from pilothouse.ports.tracing import Trace

Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    @property
    def trace(self) -> Trace | None:
        """None where nothing is traced."""
        ...

    def child(self, name: str, attributes: Attributes) -> "Span":
        """A span within this one, from now on; a call to something else."""
        ...

    def end(self, attributes: Attributes, error: str | None = None) -> None:
        """`error` is a class of errors, no message: that could tell what was said."""
        ...


class Tracer(Protocol):
    def attempt(self, run: Run, trace: Trace, attributes: Attributes) -> AbstractContextManager[Span]:
        """The span of an attempt at a run, in the run's trace, and current within the block. The caller ends it."""
        ...


class NoSpan:
    """The port `Span`, of nothing."""

    trace: Trace | None = None

    def child(self, name: str, attributes: Attributes) -> Span:
        return self

    def end(self, attributes: Attributes, error: str | None = None) -> None: ...


NO_SPAN = NoSpan()


class NoTracer:
    """The port `Tracer`, for a server that exports no traces."""

    def attempt(self, run: Run, trace: Trace, attributes: Attributes) -> AbstractContextManager[Span]:
        return nullcontext(NO_SPAN)
