"""What is measured, each under the name that OpenTelemetry gives it, or ours where it gives none.

The names that begin with `gen_ai.` follow the GenAI semantic conventions (github.com/open-telemetry/semantic-conventions-genai),
their buckets too.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Labels = Sequence[str]
"""The values of an instrument's attributes, in their order. An empty one means that the attribute does not apply."""


class Instrument(msgspec.Struct, frozen=True):
    name: str
    kind: Literal["counter", "gauge", "up_down_counter", "histogram"]
    unit: str
    """UCUM."""
    description: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, of a histogram."""


class Recorder(Protocol):
    """Keeps what was measured. To be called from any thread."""

    def add(self, instrument: Instrument, value: float, labels: Labels = ()) -> None:
        """Add to a counter, record in a histogram, set a gauge."""
        ...


_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_LONG_SECONDS = (*_SECONDS, 163.84, 327.68, 655.36, 1310.72, 2621.44)
_SHORT_SECONDS = (0.001, 0.0025, 0.005, *_SECONDS)
_FIRST_CHUNK_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0),
)
_TOKENS = tuple(float(4**power) for power in range(14))
_AGENT = "gen_ai.agent.name"
_MODEL = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")

QUEUE_WAIT = Instrument(
    "pilothouse.run.queue_wait",
    "histogram",
    "s",
    "From when a run was due to its first attempt, also behind other runs of its thread.",
    (_AGENT,),
    _SHORT_SECONDS,
)
FIRST_TOKEN = Instrument(
    "pilothouse.run.time_to_first_token",
    "histogram",
    "s",
    "From when a run was due to the first piece of a message, of runs whose first attempt got so far.",
    (_AGENT,),
    _SHORT_SECONDS,
)
RUN_DURATION = Instrument(
    "pilothouse.run.duration",
    "histogram",
    "s",
    "From when a run was due to its end.",
    (_AGENT, "pilothouse.run.outcome"),
    _LONG_SECONDS,
)
RUNS = Instrument(
    "pilothouse.runs",
    "counter",
    "{run}",
    "Runs that ended here.",
    (_AGENT, "pilothouse.run.outcome", "error.type"),
)
ATTEMPTS = Instrument(
    "pilothouse.run.attempts", "counter", "{attempt}", "Attempts that began here.", (_AGENT,)
)
TAKEOVERS = Instrument(
    "pilothouse.run.takeovers",
    "counter",
    "{attempt}",
    "Attempts that began here after another: a worker had died, or handed its run over.",
    (_AGENT,),
)
UNDER_WAY = Instrument(
    "pilothouse.runs.under_way", "up_down_counter", "{run}", "Runs that are executed here now."
)
STREAMS = Instrument(
    "pilothouse.streams.open", "up_down_counter", "{stream}", "Clients that follow here now."
)
QUEUE_DEPTH = Instrument(
    "pilothouse.queue.depth",
    "gauge",
    "{run}",
    "Runs that are due and that no worker has taken: the same number on every instance.",
)
INVOKE_AGENT = Instrument(
    "gen_ai.invoke_agent.duration",
    "histogram",
    "s",
    "Attempts at runs, from beginning to end.",
    ("gen_ai.operation.name", _AGENT, "error.type"),
    _LONG_SECONDS,
)
MODEL_CALL = Instrument(
    "gen_ai.client.operation.duration",
    "histogram",
    "s",
    "GenAI operation duration.",
    (*_MODEL, "error.type"),
    _SECONDS,
)
FIRST_CHUNK = Instrument(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    "s",
    "From a model call to the first piece of its answer.",
    _MODEL,
    _FIRST_CHUNK_SECONDS,
)
TOKENS = Instrument(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    "Number of input and output tokens used.",
    (*_MODEL, "gen_ai.token.type"),
    _TOKENS,
)
TOOL_CALL = Instrument(
    "gen_ai.execute_tool.duration",
    "histogram",
    "s",
    "Tool calls, from beginning to end.",
    ("gen_ai.operation.name", "gen_ai.tool.name", "error.type"),
    _SECONDS,
)

ALL = (
    *(RUNS, ATTEMPTS, TAKEOVERS, UNDER_WAY, STREAMS, QUEUE_DEPTH, QUEUE_WAIT, FIRST_TOKEN, RUN_DURATION),
    *(INVOKE_AGENT, MODEL_CALL, FIRST_CHUNK, TOKENS, TOOL_CALL),
)
