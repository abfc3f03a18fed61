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
