"""The messages that a node gets and gives, as LangGraph's `messages` mode looks for them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langgraph.types import Command
from pydantic import BaseModel


def messages_in_output(output: Any) -> Iterator[BaseMessage]:
    """Those in what a node returned: an update, a command, or a list of them."""
    if isinstance(output, Command):
        yield from _messages_in_update(cast("Command[Any]", output).update)
    elif isinstance(output, list | tuple) and any(
        isinstance(each, Command) for each in cast("list[Any]", output)
    ):
        for each in cast("list[Any]", output):
            yield from messages_in_output(each)
    else:
        yield from _messages_in_update(output)


def _messages_in_update(update: Any) -> Iterator[BaseMessage]:
    if isinstance(update, BaseMessage):
        yield update
    elif isinstance(update, Sequence) and not isinstance(update, str | bytes):
        yield from (each for each in cast("Sequence[Any]", update) if isinstance(each, BaseMessage))
    else:
        yield from messages_in_state(update)


def messages_in_state(state: Any) -> Iterator[BaseMessage]:
    """Those in the values of a state: a mapping, a pydantic model or a dataclass."""
    for value in _values(state):
        if isinstance(value, BaseMessage):
            yield value
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            yield from (each for each in cast("Sequence[Any]", value) if isinstance(each, BaseMessage))


def _values(state: Any) -> Iterable[Any]:
    if isinstance(state, dict):
        return cast("dict[str, Any]", state).values()
    if isinstance(state, BaseModel):
        return [getattr(state, name) for name in type(state).model_fields]
    if is_dataclass(state) and not isinstance(state, type):
        return [getattr(state, field.name) for field in fields(state)]
    return ()


def spending(message: BaseMessage) -> tuple[int, int, float]:
    """The tokens in and out, and the cost, that the model reported with its message; 0 for what it did not."""
    usage: Any = getattr(message, "usage_metadata", None) or {}
    reported: Any = message.response_metadata.get("token_usage")
    cost: Any = cast("dict[str, Any]", reported).get("cost") if isinstance(reported, dict) else None
    return usage.get("input_tokens", 0), usage.get("output_tokens", 0), float(cost or 0)
