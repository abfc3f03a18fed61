"""A collector of OpenTelemetry, as far as these tests need one: OTLP/HTTP in, spans and points out."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

DEADLINE_SECONDS = 20


@dataclass(frozen=True)
class ReceivedSpan:
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    links: Sequence[str]
    """The span ids that it links to."""
    failed: bool
    status_message: str
    began_ns: int
    ended_ns: int


@dataclass(frozen=True)
class Point:
    attributes: Mapping[str, Any]
    value: float
    """A number; of a histogram, the sum."""
    count: int


class Receiver:
    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.points: dict[str, list[Point]] = {}
        """By metric, as they stood at the last export."""
        self.service = ""
        self.raw = b""
        """All bodies, as they came."""
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Receiver"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join(10)
            self._server.server_close()

    def take(self, path: str, body: bytes) -> None:
        with self._changed:
            self.raw += body
            if path == "/v1/traces":
                self.spans += self._spans(ExportTraceServiceRequest.FromString(body))
            elif path == "/v1/metrics":
                self.points |= _points(ExportMetricsServiceRequest.FromString(body))
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_SECONDS), "nothing of the kind was received"

    def named(self, beginning: str) -> list[ReceivedSpan]:
        """The spans whose name begins so, in the order in which they began."""
        found = [span for span in self.spans if span.name.startswith(beginning)]
        return sorted(found, key=lambda span: span.began_ns)

    def _spans(self, request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
        for of_resource in request.resource_spans:
            self.service = str(_attributes(of_resource.resource.attributes)["service.name"])
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    yield ReceivedSpan(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        _attributes(span.attributes),
                        [link.span_id.hex() for link in span.links],
                        span.status.code == 2,
                        span.status.message,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )


def _points(request: ExportMetricsServiceRequest) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for of_resource in request.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                kind = metric.WhichOneof("data")
                assert kind is not None
                found[metric.name] = [
                    Point(
                        _attributes(point.attributes),
                        point.sum if kind == "histogram" else point.as_int or point.as_double,
                        point.count if kind == "histogram" else 1,
                    )
                    for point in getattr(metric, kind).data_points
                ]
    return found


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  its name there

    return Handler
