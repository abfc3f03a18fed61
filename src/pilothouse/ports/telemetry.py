"""What is measured of runs, for whoever operates the server. Facts only: no prompt, argument or result gets here."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from pilothouse.events import RunEnded, RunEvent
from pilothouse.ports.runs import Run


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one model call, as the model's server counted them."""

    input_tokens: int
    output_tokens: int


class Watch(Protocol):
    """Sees one attempt at a run.

    Its methods cost microseconds, wait for nothing and raise nothing. Those about calls may be called from any thread; an
    engine that knows of no calls leaves them out. `call` is the engine's own id of a call.
    """

    def events(self, events: Sequence[RunEvent]) -> None:
        """The next events of the attempt."""
        ...

    def ended(self, end: RunEnded) -> None:
        """The run is over. An attempt without this went on elsewhere."""
        ...

    def model_started(self, call: UUID, model: str | None, provider: str) -> None:
        """`provider` is LangChain's name for it (`ls_provider`)."""
        ...

    def model_answers(self, call: UUID) -> None:
        """The first piece of its answer has come."""
        ...

    def model_ended(self, call: UUID, usage: Usage | None = None, error: str | None = None) -> None:
        """`error` is the class of what went wrong."""
        ...

    def tool_started(self, call: UUID, name: str, call_id: str | None) -> None:
        """`call_id` is the model's."""
        ...

    def tool_ended(self, call: UUID, error: str | None = None) -> None: ...


class Telemetry(Protocol):
    """Watches runs and streams. While an attempt is watched, `tracing.current` says which it is."""

    def attempt(self, run: Run) -> AbstractContextManager[Watch]: ...

    def stream(self) -> AbstractContextManager[None]:
        """A client follows as long as the block lasts."""
        ...


class Metrics(Protocol):
    """What was counted in this process since its start, and how long the queue is."""

    async def render(self, form: Literal["prometheus", "json"]) -> bytes:
        """Prometheus' text format, or a JSON object `{queue, workers, metrics}`; `queue` is null while its store can't be reached."""
        ...


class Unwatched:
    """The port `Watch`, for an attempt that nobody watches."""

    def events(self, events: Sequence[RunEvent]) -> None: ...
    def ended(self, end: RunEnded) -> None: ...
    def model_started(self, call: UUID, model: str | None, provider: str) -> None: ...
    def model_answers(self, call: UUID) -> None: ...
    def model_ended(self, call: UUID, usage: Usage | None = None, error: str | None = None) -> None: ...
    def tool_started(self, call: UUID, name: str, call_id: str | None) -> None: ...
    def tool_ended(self, call: UUID, error: str | None = None) -> None: ...


UNWATCHED = Unwatched()


class NoTelemetry:
    """The port `Telemetry`, with nothing measured."""

    def attempt(self, run: Run) -> AbstractContextManager[Watch]:
        return nullcontext(UNWATCHED)

    def stream(self) -> AbstractContextManager[None]:
        return nullcontext()
