"""Tool calls that a run left open are closed before the next one: providers refuse a conversation in which a call has no
result right behind it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage

from pilothouse.engines.langgraph.requests import AnyGraph, Call
from pilothouse.engines.langgraph.tool_calls import RunToolCalls
from pilothouse.engines.langgraph.tool_results import load_result
from pilothouse.ports.engines import EngineRequest
from pilothouse.ports.tool_calls import CallEnd

_ENDS: Mapping[CallEnd, str] = {
    "unknown": "Cancelled: the call did not finish.",
    "unfinished": "Cancelled: the call did not finish, but it may have happened.",
    "unkept": "Cancelled: the call has happened, but its result is lost.",
    "failed": "Cancelled: the call failed.",
}


async def with_calls_closed(graph: AnyGraph, request: EngineRequest, call: Call, tools: RunToolCalls) -> Call:
    """The call with results for the tool calls that the thread's last message left open, put before its own messages.

    Looks only where the thread's previous run did not succeed, and this one brings a new input.
    """
    asked: object = call.input
    if request.after in (None, "success") or not isinstance(asked, dict):
        return call
    given = cast("dict[str, Any]", asked)
    state = await graph.aget_state(call.config)
    messages: object = cast("Mapping[str, Any]", state.values).get("messages")
    open_calls = _open_calls(cast("Sequence[object]", messages)) if isinstance(messages, list) else []
    if not open_calls:
        return call
    ids = [each["id"] or "" for each in open_calls]
    ends: Mapping[str, bytes | CallEnd] = await tools.store.results(ids) if tools.records else {}
    results = [_result(each, ends.get(each["id"] or "", "unknown"), tools) for each in open_calls]
    own = given.get("messages", [])
    return call._replace(input={**given, "messages": [*results, *(own if isinstance(own, list) else [own])]})


def _open_calls(messages: Sequence[object]) -> list[ToolCall]:
    """The calls of the last message that is no result, without those that have one behind it."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
        elif isinstance(message, AIMessage):
            return [call for call in message.tool_calls if call["id"] not in answered]
        else:
            break
    return []


def _result(call: ToolCall, end: bytes | CallEnd, tools: RunToolCalls) -> BaseMessage:
    if isinstance(end, bytes):
        result = load_result(tools.serde, end)
        if isinstance(result, ToolMessage) and result.tool_call_id == call["id"]:
            return result
        end = "unkept"
    return ToolMessage(_ENDS[end], name=call["name"], tool_call_id=call["id"] or "", status="error")
