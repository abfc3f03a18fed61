"""Spans and metrics over OTLP/HTTP. This module imports OpenTelemetry: import it only where an endpoint is set.

Export happens in threads of OpenTelemetry's own, from queues of a fixed length: an endpoint that is slow or down costs spans,
and never a run. What else can be set (headers, timeouts, resource, sampler) OpenTelemetry reads from its `OTEL_` variables.
"""

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace as traces
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from pilothouse.ports.runs import Run
from pilothouse.ports.tracing import Trace
from pilothouse.telemetry.instruments import ALL, Instrument, Labels
from pilothouse.telemetry.spans import Attributes, Span

logger = logging.getLogger(__name__)

_SCOPE = "pilothouse"


def resource(version: str) -> Resource:
    """What the spans and metrics are about: a service that is named by OTEL_SERVICE_NAME or Cloud Run, else `pilothouse`."""
    return Resource.create({"service.version": version}).merge(Resource(_unnamed_service()))


def _unnamed_service() -> dict[str, str]:
    named = Resource.create().attributes.get("service.name", "")
    return {"service.name": "pilothouse"} if str(named).startswith("unknown_service") else {}


class OtlpTracer:
    """The port `Tracer`."""

    def __init__(self, endpoint: str, about: Resource) -> None:
        self._ids = _Ids()
        self._provider = TracerProvider(resource=about, shutdown_on_exit=False, id_generator=self._ids)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = self._provider.get_tracer(_SCOPE)

    def become_global(self) -> None:
        """Let spans that agents and their libraries make go the same way, unless somebody else sees to that."""
        if isinstance(traces.get_tracer_provider(), traces.ProxyTracerProvider):
            traces.set_tracer_provider(self._provider)

    @contextmanager
    def attempt(self, run: Run, trace: Trace, attributes: Attributes) -> Generator[Span]:
        caller = _span_context(trace)
        parent = (
            traces.set_span_in_context(NonRecordingSpan(caller), contexts.Context())
            if caller
            else contexts.Context()
        )
        with self._ids.in_trace(trace):
            span = self._tracer.start_span(
                f"invoke_agent {run.agent_id}",
                parent,
                SpanKind.INTERNAL,
                dict(attributes),
                [Link(caller)] if caller else None,
            )
        token = contexts.attach(traces.set_span_in_context(span))
        try:
            yield _OtlpSpan(self._tracer, span)
        finally:
            contexts.detach(token)

    def shutdown(self) -> None:
        self._provider.shutdown()


class _OtlpSpan:
    """The port `Span`."""

    def __init__(self, tracer: traces.Tracer, span: traces.Span) -> None:
        self._tracer = tracer
        self._span = span
        made = span.get_span_context()
        self.trace = Trace(f"{made.trace_id:032x}", f"{made.span_id:016x}", made.trace_flags.sampled)

    def child(self, name: str, attributes: Attributes) -> Span:
        parent = traces.set_span_in_context(self._span)
        kind = SpanKind.CLIENT if attributes.get("gen_ai.operation.name") == "chat" else SpanKind.INTERNAL
        return _OtlpSpan(self._tracer, self._tracer.start_span(name, parent, kind, dict(attributes)))

    def end(self, attributes: Attributes, error: str | None = None) -> None:
        for name, value in attributes.items():
            self._span.set_attribute(name, value)
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class _Ids(RandomIdGenerator):
    """Lets a trace begin under an id that is known before: all attempts at a run are in one."""

    def __init__(self) -> None:
        self._next: Trace | None = None

    @contextmanager
    def in_trace(self, trace: Trace) -> Generator[None]:
        self._next = trace
        try:
            yield
        finally:
            self._next = None

    def generate_trace_id(self) -> int:
        return int(self._next.trace_id, 16) if self._next else super().generate_trace_id()


def _span_context(trace: Trace) -> SpanContext | None:
    if not trace.span_id:
        return None
    flags = TraceFlags(TraceFlags.SAMPLED if trace.is_sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=flags)


class OtlpRecorder:
    """The port `Recorder`."""

    def __init__(self, endpoint: str, about: Resource) -> None:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint))
        self._provider = MeterProvider([reader], about, shutdown_on_exit=False)
        meter: Any = self._provider.get_meter(_SCOPE)
        self._record = {each.name: _recorder(meter, each) for each in ALL}

    def add(self, instrument: Instrument, value: float, labels: Labels = ()) -> None:
        named = zip(instrument.attributes, labels, strict=True)
        self._record[instrument.name](value, {name: label for name, label in named if label})

    def shutdown(self) -> None:
        self._provider.shutdown()


def _recorder(meter: Any, instrument: Instrument) -> Any:
    about = {"unit": instrument.unit, "description": instrument.description}
    match instrument.kind:
        case "counter":
            return meter.create_counter(instrument.name, **about).add
        case "up_down_counter":
            return meter.create_up_down_counter(instrument.name, **about).add
        case "gauge":
            return meter.create_gauge(instrument.name, **about).set
        case "histogram":
            buckets = list(instrument.buckets)
            made = meter.create_histogram(
                instrument.name, **about, explicit_bucket_boundaries_advisory=buckets
            )
            return made.record


def shut_down(parts: "list[OtlpTracer | OtlpRecorder]", deadline: timedelta) -> None:
    """Send what is left, all at once, for at most so long. Blocks."""
    threads = [threading.Thread(target=part.shutdown, daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    until = time.monotonic() + deadline.total_seconds()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        logger.warning("telemetry was not sent in time", extra={"waited_seconds": deadline.total_seconds()})
