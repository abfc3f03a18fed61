"""Tools: those that come with Pilothouse, and `@tool` for your own."""

from pilothouse.errors import ToolError
from pilothouse.ports.tools import Tool, ToolExample
from pilothouse.tools.functions import Span, tool

__all__ = ["Span", "Tool", "ToolError", "ToolExample", "tool"]
