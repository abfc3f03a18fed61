"""What is known of the tool calls of a thread: which have begun, which have ended, and what a human said to them.

A call is claimed before it starts and recorded when it has ended. What was claimed and not recorded may have happened.
Only an attempt that still owns its run may write here.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from pilothouse.events import Json


class ToolCallRef(msgspec.Struct, frozen=True):
    """One call of a tool.

    `step` is the step of the agent that makes it, the same on every attempt from the same checkpoint; `key` tells the
    calls of a step apart, and is as stable.
    """

    step: str
    key: str


class NewToolCall(msgspec.Struct, frozen=True):
    """A call that is about to start. `call_id` is the model's, "" if it has none."""

    ref: ToolCallRef
    name: str
    call_id: str
    execution: str
    """Which execution of the step: a step is executed again after a crash, when it is resumed and when it is retried."""
    needs_approval: bool = False


class Question(msgspec.Struct, frozen=True):
    """What a human is asked about a call. `answered_before` is how many questions of the step had an answer by then."""

    ref: ToolCallRef
    answered_before: int
    value: Json
    run_id: str
    """The run that asked: its own answers are not meant for this question."""
    why: Literal["new", "unfinished", "unkept"] = "new"


class Decision(msgspec.Struct, frozen=True):
    """What a human decided: `arguments` for `edit`; `message`, for the model, for `reject` and `respond`."""

    type: Literal["approve", "edit", "reject", "respond"]
    arguments: Mapping[str, object] | None = None
    message: str | None = None


class Claimed(msgspec.Struct, frozen=True):
    """The call is this execution's to make, with the arguments that a human put in place of the model's if any."""

    ref: ToolCallRef
    edited: Decision | None = None


class Recorded(msgspec.Struct, frozen=True):
    """The call has ended before: with this result, or `failed` with this description of its failure."""

    result: bytes
    failed: bool = False


class Unsure(msgspec.Struct, frozen=True):
    """A human has to say whether the call may start.

    `new`: it is of a tool that asks. `unfinished`: it was begun and nothing is known of its end. `unkept`: it has ended, but its
    result could not be kept.
    """

    ref: ToolCallRef
    why: Literal["new", "unfinished", "unkept"]


class Refused(msgspec.Struct, frozen=True):
    """A human has said that the call shall not start. Nothing is recorded yet."""

    ref: ToolCallRef
    decision: Decision


class Asked(msgspec.Struct, frozen=True):
    """Nothing is claimed: see to the step's question first.

    `question` waits for an answer. `taken` is the place of an answer that this run brought and that an earlier execution
    has taken: it must not be taken for the answer to something else.
    """

    question: Question | None
    taken: int | None


Claim: TypeAlias = Claimed | Recorded | Unsure | Refused | Asked

CallEnd = Literal["unknown", "unfinished", "unkept", "failed"]
"""What is known of a call whose result is not: `unknown` if it never began."""


class ToolCalls(Protocol):
    """The tool calls of one thread, as one attempt at a run sees them. Everything but `results` raises `LeaseLost` once the
    attempt is not the run's newest any more, or the run has ended; and all of it `StoreUnavailable`.

    They live as long as the thread, and until the first claim of a run that begins with a new input.
    """

    async def claim(self, call: NewToolCall, *, first: bool, retry: bool) -> Claim:
        """Claim the call, unless it was claimed before: one atomic step.

        `first`: it is the first of its execution, which may be `Asked`. A call that is not known by its key, but by its
        `call_id` within the same step, is that one. With `retry` a call that failed is claimed again.
        """
        ...

    async def record(self, ref: ToolCallRef, result: bytes | None, *, failed: bool = False) -> None:
        """The call has ended. None for a result that can't be kept."""
        ...

    async def release(self, ref: ToolCallRef) -> None:
        """The call has not been made after all; it may be claimed again, and needs no approval again."""
        ...

    async def ask(self, call: NewToolCall, question: Question) -> None:
        """The step waits for an answer to this question."""
        ...

    async def decide(self, question: Question, decision: Decision) -> None:
        """The step's question is answered; the next claim of its call finds the decision."""
        ...

    async def results(self, call_ids: Sequence[str]) -> Mapping[str, bytes | CallEnd]:
        """What is known of the calls with these ids of the model."""
        ...
