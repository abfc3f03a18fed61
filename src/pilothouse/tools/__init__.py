"""Tools: those that come with Pilothouse, `@tool` for your own, and what a tool may know of its call."""

from pilothouse.errors import ToolError
from pilothouse.ports.tools import CURRENT_CALL, CurrentCall, Tool, ToolExample
from pilothouse.tools.functions import Span, tool

__all__ = ["CurrentCall", "Span", "Tool", "ToolError", "ToolExample", "current_call", "tool"]


def current_call() -> CurrentCall | None:
    """The call that the tool is asked from; None outside of a run, and for a `safe` tool, of which no record is kept."""
    return CURRENT_CALL.get()
