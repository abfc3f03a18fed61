"""What a run may spend, and what it has spent."""

from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

Limit = Literal["run_seconds", "model_calls", "tool_calls", "tokens", "cost"]
_Count = Annotated[int, Meta(ge=1)]
_Amount = Annotated[float, Meta(gt=0)]


class RunLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one run may spend; None is no limit. A run that is resumed may spend all of it again."""

    run_seconds: _Amount | None = None
    """From the start of its first attempt, crashes and takeovers included."""
    model_calls: _Count | None = None
    tool_calls: _Count | None = None
    tokens: _Count | None = None
    """In and out, as far as models report them. The answer that goes over it is kept; the next model call is not made."""
    cost: _Amount | None = None
    """In the currency of the models that report one, such as OpenRouter's."""


class Usage(msgspec.Struct, omit_defaults=True):
    """What a run has spent so far, all attempts together."""

    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Meter(Protocol):
    """An engine tells it what a run is about to spend, and has spent. From any thread."""

    def model_call(self) -> None:
        """A model is about to be called. Raises `asyncio.CancelledError` where the run may spend no more."""
        ...

    def tool_call(self) -> None:
        """A tool is about to be called. Raises `asyncio.CancelledError` where the run may spend no more."""
        ...

    def spent(self, input_tokens: int, output_tokens: int, cost: float) -> None:
        """A model reported this."""
        ...
