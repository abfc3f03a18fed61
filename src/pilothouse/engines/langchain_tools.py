"""Our tools as LangChain's. Imports LangChain, which takes seconds: import it when an engine is loaded."""

import logging
from typing import Any

from langchain_core.tools import BaseTool, ToolException
from langgraph.errors import GraphBubbleUp

from pilothouse.errors import ToolError
from pilothouse.ports.tools import Tool

logger = logging.getLogger(__name__)


def as_langchain(tool: Tool) -> BaseTool:
    """The tool for a LangChain model and a LangGraph tool node.

    A failure becomes a tool message with status `error`, so that the model may try again: a `ToolError` with its message,
    anything else with a plain sentence (the traceback goes to the log). The tool's examples are in `extras["examples"]`, as
    `{"request": …, "arguments": {…}}`; its `replay` is in `metadata["replay"]`.
    """
    examples = [
        {"request": example.request, "arguments": dict(example.arguments)} for example in tool.examples
    ]
    return _Adapted(
        name=tool.name,
        description=tool.description,
        args_schema=dict(tool.parameters),
        tool=tool,
        handle_tool_error=True,
        metadata={"replay": tool.replay},
        extras={"examples": examples},
    )


class _Adapted(BaseTool):
    """Not a `StructuredTool`: that one takes arguments named `config` or `run_manager` for its own."""

    tool: Any

    def _run(self, /, **arguments: object) -> str:
        raise NotImplementedError("This tool is async: use ainvoke.")

    async def _arun(self, /, **arguments: object) -> str:
        try:
            return await self.tool.call(**arguments)
        except ToolError as error:
            raise ToolException(str(error)) from error
        except GraphBubbleUp:
            # Not a failure: an interrupt on its way to the graph.
            raise
        except Exception as error:  # a tool is anybody's code, and the model is to hear of any failure
            logger.exception("tool failed", extra={"tool": self.name})
            raise ToolException(f"The tool {self.name} failed. It may work with other arguments.") from error
