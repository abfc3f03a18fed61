"""How a tool call ended, as bytes and back, and what stands in for a tool that is not called."""

import builtins
from typing import Any, cast

import msgspec
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langgraph.checkpoint.serde.base import SerializerProtocol

from pilothouse.engines.langgraph.approvals import EDITED
from pilothouse.ports.tool_calls import Decision, Recorded


class _Failure(msgspec.Struct, frozen=True):
    type: str
    message: str


_failure = msgspec.json.Decoder(_Failure)


class Outcome(msgspec.Struct, frozen=True):
    """What a call gives without its tool: `value` is returned, or raised if it is an exception."""

    value: Any


def dump_result(serde: SerializerProtocol, result: object) -> bytes | None:
    r"""`TYPE \0 DATA`, the two that the serializer gives; None for what it can't take."""
    try:
        kind, data = serde.dumps_typed(result)
    except Exception:  # noqa: BLE001 - a tool may return anything, and what it did must be recorded all the same
        return None
    return b"%b\0%b" % (kind.encode(), data)


def load_result(serde: SerializerProtocol, typed: bytes) -> Any:
    kind, _, data = typed.partition(b"\0")
    return serde.loads_typed((kind.decode(), data))


def dump_failure(error: BaseException) -> bytes:
    return msgspec.json.encode(_Failure(type(error).__name__, str(error)))


def recorded_outcome(serde: SerializerProtocol, recorded: Recorded, call_id: str) -> Outcome:
    """What the call gave. A failure is raised again: of the same type if that is one of Python's own."""
    if not recorded.failed:
        return Outcome(_answering(load_result(serde, recorded.result), call_id))
    failure = _failure.decode(recorded.result)
    kind = getattr(builtins, failure.type, None)
    known = isinstance(kind, type) and issubclass(kind, Exception)
    return Outcome(cast("type[Exception]", kind if known else ToolException)(failure.message))


def refusal_outcome(decision: Decision, name: str, call_id: str) -> Outcome:
    """What the caller gets where a human said no, or answered in the tool's place.

    Code that calls a tool itself, without an id of the model's, gets an exception: it must not take a no for a result.
    """
    failed, text = decision.type == "reject", decision.message or ""
    if call_id:
        status = "error" if failed else "success"
        return Outcome(ToolMessage(text, name=name, tool_call_id=call_id, status=status))
    return Outcome(ToolException(text) if failed else text)


def with_notice(result: object) -> object:
    """The result of a call whose arguments a human replaced: the model is told."""
    if isinstance(result, ToolMessage) and isinstance(result.content, str):
        return result.model_copy(update={"content": f"{EDITED}\n\n{result.content}"})
    return result


def _answering(result: object, call_id: str) -> object:
    """A model that was asked again has given its call another id."""
    if isinstance(result, ToolMessage) and call_id and result.tool_call_id != call_id:
        return result.model_copy(update={"tool_call_id": call_id})
    return result


class StandIn(BaseTool):
    """Gives an outcome in a tool's place, so that callbacks hear of the call as of any other."""

    outcome: Outcome

    def _run(self, /, **_: object) -> Any:
        if isinstance(self.outcome.value, Exception):
            raise self.outcome.value
        return self.outcome.value

    async def _arun(self, /, **_: object) -> Any:
        return self._run()


def stand_in(tool: BaseTool, outcome: Outcome) -> StandIn:
    return StandIn(
        name=tool.name, description=tool.description, tags=tool.tags, metadata=tool.metadata, outcome=outcome
    )
