"""What is measured of runs: the port `Telemetry` over recorders and a tracer."""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from uuid import UUID

from pilothouse.events import MessageChunk, MessageDelta, MessageFinished, RunEnded, RunEvent
from pilothouse.ports.runs import Run
from pilothouse.ports.telemetry import Usage, Watch
from pilothouse.ports.tracing import Place, Trace, current
from pilothouse.telemetry import instruments
from pilothouse.telemetry.instruments import Instrument, Labels, Recorder
from pilothouse.telemetry.spans import Attributes, NoTracer, Span, Tracer

_SPEECH = (MessageDelta, MessageChunk, MessageFinished)
_FAILURES = frozenset({"error", "timeout"})
_PROVIDERS = {
    "openai": "openai",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "amazon_bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""LangChain's names of providers, where OpenTelemetry has another or the same."""


class RunTelemetry:
    """The port `Telemetry`."""

    def __init__(self, recorders: Sequence[Recorder], tracer: Tracer | None = None) -> None:
        self._meters = recorders
        self._tracer = tracer or NoTracer()

    def add(self, instrument: Instrument, value: float, labels: Labels = ()) -> None:
        """The port `Recorder`: to all of them."""
        for meter in self._meters:
            meter.add(instrument, value, labels)

    @contextmanager
    def attempt(self, run: Run) -> Generator[Watch]:
        trace = Trace.parse(run.trace) or Trace.of_run(run.run_id)
        attributes: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.id": run.agent_id,
            "gen_ai.agent.name": run.agent_id,
            "gen_ai.conversation.id": run.thread_id,
            "pilothouse.run.id": run.run_id,
            "pilothouse.run.attempt": run.attempt,
        }
        with self._tracer.attempt(run, trace, attributes) as span:
            place = current.set(Place(span.trace or trace, run.run_id, run.thread_id))
            watch = _AttemptWatch(self, run, span)
            try:
                yield watch
            finally:
                watch.gave_up()
                current.reset(place)

    @contextmanager
    def stream(self) -> Generator[None]:
        self.add(instruments.STREAMS, 1)
        try:
            yield
        finally:
            self.add(instruments.STREAMS, -1)


class _Call:
    """A call that is under way."""

    __slots__ = ("answers_after", "began", "labels", "span")

    def __init__(self, labels: tuple[str, ...], span: Span) -> None:
        self.labels = labels
        self.span = span
        self.began = time.perf_counter()
        self.answers_after: float | None = None


class _AttemptWatch:
    """The port `Watch`."""

    def __init__(self, telemetry: RunTelemetry, run: Run, span: Span) -> None:
        self._add = telemetry.add
        self._run = run
        self._agent = (run.agent_id,)
        self._span = span
        self._began = time.perf_counter()
        self._due_ms = run.due_at_ms or run.created_at_ms
        self._awaits_speech = run.attempt == 1
        self._over = False
        self._models: dict[UUID, _Call] = {}
        self._tools: dict[UUID, _Call] = {}
        self._input_tokens = self._output_tokens = 0
        self._add(instruments.UNDER_WAY, 1)
        self._add(instruments.ATTEMPTS, 1, self._agent)
        if run.attempt == 1:
            self._add(instruments.QUEUE_WAIT, self._since_due(), self._agent)
        else:
            self._add(instruments.TAKEOVERS, 1, self._agent)

    def events(self, events: Sequence[RunEvent]) -> None:
        if self._awaits_speech and any(isinstance(event, _SPEECH) for event in events):
            self._awaits_speech = False
            self._add(instruments.FIRST_TOKEN, self._since_due(), self._agent)

    def ended(self, end: RunEnded) -> None:
        error = end.error.code if end.error else (end.outcome if end.outcome in _FAILURES else "")
        self._add(instruments.RUNS, 1, (*self._agent, end.outcome, error))
        self._add(instruments.RUN_DURATION, self._since_due(), (*self._agent, end.outcome))
        self._close(end.outcome, error)

    def gave_up(self) -> None:
        """The attempt is over, and the run is not: it was handed over, or taken over. Does nothing after `ended`."""
        if not self._over:
            self._close("elsewhere", "")

    def _close(self, outcome: str, error: str) -> None:
        self._over = True
        for call in (*self._models.values(), *self._tools.values()):
            call.span.end({}, "cancelled")
        self._add(instruments.UNDER_WAY, -1)
        took = time.perf_counter() - self._began
        self._add(instruments.INVOKE_AGENT, took, ("invoke_agent", *self._agent, error))
        usage: Attributes = {}
        if self._input_tokens or self._output_tokens:
            usage = {
                "gen_ai.usage.input_tokens": self._input_tokens,
                "gen_ai.usage.output_tokens": self._output_tokens,
            }
        self._span.end({"pilothouse.run.outcome": outcome, **usage}, error or None)

    def _since_due(self) -> float:
        return max(0.0, time.time() - self._due_ms / 1000)

    # Calls of models.

    def model_started(self, call: UUID, model: str | None, provider: str) -> None:
        labels = ("chat", _PROVIDERS.get(provider, provider), model or "")
        span = self._span.child(f"chat {labels[2]}".rstrip(), _model_attributes(labels))
        self._models[call] = _Call(labels, span)

    def model_answers(self, call: UUID) -> None:
        if (open_call := self._models.get(call)) is not None and open_call.answers_after is None:
            open_call.answers_after = time.perf_counter() - open_call.began
            self._add(instruments.FIRST_CHUNK, open_call.answers_after, open_call.labels)

    def model_ended(self, call: UUID, usage: Usage | None = None, error: str | None = None) -> None:
        open_call = self._models.pop(call, None)
        if open_call is None:
            return
        labels, attributes = open_call.labels, dict[str, str | int | float | bool]()
        self._add(instruments.MODEL_CALL, time.perf_counter() - open_call.began, (*labels, error or ""))
        if open_call.answers_after is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = open_call.answers_after
        if usage is not None:
            self._input_tokens += usage.input_tokens
            self._output_tokens += usage.output_tokens
            self._add(instruments.TOKENS, usage.input_tokens, (*labels, "input"))
            self._add(instruments.TOKENS, usage.output_tokens, (*labels, "output"))
            attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
            attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
        open_call.span.end(attributes, error)

    # Calls of tools.

    def tool_started(self, call: UUID, name: str, call_id: str | None) -> None:
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
        if call_id:
            attributes["gen_ai.tool.call.id"] = call_id
        self._tools[call] = _Call(
            ("execute_tool", name), self._span.child(f"execute_tool {name}", attributes)
        )

    def tool_ended(self, call: UUID, error: str | None = None) -> None:
        if (open_call := self._tools.pop(call, None)) is not None:
            took = time.perf_counter() - open_call.began
            self._add(instruments.TOOL_CALL, took, (*open_call.labels, error or ""))
            open_call.span.end({}, error)


def _model_attributes(labels: Sequence[str]) -> Attributes:
    names = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
    return {name: value for name, value in zip(names, labels, strict=True) if value}
