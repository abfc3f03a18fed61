"""Tools: what an agent may call."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal

import msgspec

Replay = Literal["safe", "once", "ask"]
"""May a call run again after a crash? `safe`: yes (reads); `once`: never started twice; `ask`: the same, and a human approves each
call first."""


class CurrentCall(msgspec.Struct, frozen=True):
    """The call of a tool that is under way. `call_id` is the model's, "" if there is none.

    `idempotency_key` is the same whenever this call is started again, after a crash or once a human said so, and no other
    call has it: pass it on to whatever the tool changes.
    """

    call_id: str
    idempotency_key: str
    attempt: int


CURRENT_CALL: ContextVar[CurrentCall | None] = ContextVar("current_call", default=None)


class ToolExample(msgspec.Struct, frozen=True):
    """A request in a person's words, and the call that answers it. A small model learns a tool from these."""

    request: str
    arguments: Mapping[str, object]


class Tool(msgspec.Struct, frozen=True):
    """A function that an agent may call. `parameters` is the JSON Schema of its arguments (an object).

    `call` takes the arguments as keywords; what it returns is put before the model as text. It raises `ToolError` with
    a message for the model.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[..., Awaitable[str]]
    replay: Replay = "once"
    examples: Sequence[ToolExample] = ()
