"""Which of LangGraph's errors say that the request does not fit the graph."""

from collections.abc import Generator
from contextlib import contextmanager

from langgraph.errors import EmptyInputError, InvalidUpdateError, UnknownInterruptError, is_invalid_resume
from langgraph.types import Command
from pydantic import ValidationError

from pilothouse.errors import InvalidRequest

_REASON_LIMIT = 500
_UNFIT = (EmptyInputError, InvalidUpdateError, UnknownInterruptError, ValidationError, ValueError, TypeError)


def refusal_of(error: Exception, given: object, *, started: bool) -> InvalidRequest | None:
    """The refusal that an error of a run amounts to, or None: then it is the agent's own failure.

    Before a node has `started` nothing but LangGraph has looked at the input. It says with a bare RuntimeError
    that a command does not tell which interrupt it answers.
    """
    unfit = (*_UNFIT, RuntimeError) if isinstance(given, Command) else _UNFIT
    if is_invalid_resume(error) or (not started and isinstance(error, unfit)):
        return InvalidRequest(_reason(error))
    return None


@contextmanager
def refusing() -> Generator[None, None, None]:
    """Turn LangGraph's complaints about a checkpoint or an update into `InvalidRequest`."""
    try:
        yield
    except _UNFIT as error:
        raise InvalidRequest(_reason(error)) from error


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split())[:_REASON_LIMIT]
    return f"The request does not fit the agent: {said or type(error).__name__}"
