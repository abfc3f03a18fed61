"""Our tools as LangChain's."""

import logging
from typing import TYPE_CHECKING

from pilothouse.errors import ToolError
from pilothouse.ports.tools import Tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

logger = logging.getLogger(__name__)


def as_langchain(tool: Tool) -> "BaseTool":
    """The tool for a LangChain model and a LangGraph tool node.

    A failure becomes a tool message with status `error`, so that the model may try again: a `ToolError` with its message,
    anything else with a plain sentence (the traceback goes to the log). The tool's examples are in `extras["examples"]`, as
    `{"request": …, "arguments": {…}}`; its `replay` is in `metadata["replay"]`.
    """
    from langchain_core.tools import StructuredTool, ToolException
    from langgraph.errors import GraphBubbleUp

    async def call(**arguments: object) -> str:
        try:
            return await tool.call(**arguments)
        except ToolError as error:
            raise ToolException(str(error)) from error
        except GraphBubbleUp:
            # Not a failure: an interrupt on its way to the graph.
            raise
        except Exception as error:  # a tool is anybody's code, and the model is to hear of any failure
            logger.exception("tool failed", extra={"tool": tool.name})
            raise ToolException(f"The tool {tool.name} failed. It may work with other arguments.") from error

    return StructuredTool(
        name=tool.name,
        description=tool.description,
        args_schema=dict(tool.parameters),
        coroutine=call,
        handle_tool_error=True,
        metadata={"replay": tool.replay},
        extras={
            "examples": [
                {"request": example.request, "arguments": dict(example.arguments)}
                for example in tool.examples
            ]
        },
    )
