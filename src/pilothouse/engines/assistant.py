"""The built-in assistant: a model that calls tools until it can answer.

A graph of our own and not LangChain's `create_agent`, which brings middleware that is not needed here and takes longer
to import. This module imports LangGraph, which takes seconds: import it when the agent is loaded.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolInvocationError
from langgraph.types import Send

from pilothouse.engines.langchain_tools import as_langchain
from pilothouse.ports.tools import Tool

logger = logging.getLogger(__name__)

DEFAULT_INSTRUCTIONS = (
    "You are a helpful assistant. Use the tools for every calculation and for every question about times and dates: "
    "do not work these out yourself. Say so when you are not sure, or can't know something. Be brief."
)
MAX_TOOL_ROUNDS = 10
"""How often the model may call tools before it must answer with what it has."""

_ENOUGH = "You have called tools often enough. Answer now with what you know, and say what is missing."
_CANCELLED = "Cancelled: the call did not finish."
_MALFORMED = "The arguments were not valid JSON: call the tool again."


def build_assistant(
    name: str,
    model: BaseChatModel,
    instructions: str | None = None,
    tools: Sequence[Tool | BaseTool] = (),
) -> CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]:
    """The assistant as a graph with no checkpointer: the node `model`, and `tools` once for each tool call.

    The state is `messages`. `instructions=None` means `DEFAULT_INSTRUCTIONS`. Each tool call is a step of its own, so one
    that finished is not made again after a crash. Calls that a cancelled run left open are closed for the model, so the
    thread stays usable. After `MAX_TOOL_ROUNDS` the model has to answer without tools.
    """
    ours = [as_langchain(tool) if isinstance(tool, Tool) else tool for tool in tools]
    with_tools = model.bind_tools(ours) if ours else model
    text = DEFAULT_INSTRUCTIONS if instructions is None else instructions
    before: list[AnyMessage] = [SystemMessage(text)] if text else []

    async def call_model(state: MessagesState) -> dict[str, list[AIMessage]]:
        prompt = [*before, *close_open_calls(state["messages"])]
        if _tool_rounds(state["messages"]) < MAX_TOOL_ROUNDS:
            return {"messages": [await with_tools.ainvoke(prompt)]}
        return {"messages": [await model.ainvoke([*prompt, HumanMessage(_ENOUGH)])]}

    def next_step(state: MessagesState) -> str | list[Send]:
        answer = state["messages"][-1]
        if not isinstance(answer, AIMessage) or _tool_rounds(state["messages"]) > MAX_TOOL_ROUNDS:
            return END
        if answer.tool_calls:
            return [Send("tools", [call]) for call in answer.tool_calls]
        return "model" if answer.invalid_tool_calls else END

    graph: Any = StateGraph(MessagesState)  # its own types are incomplete
    graph.add_node("model", call_model)
    graph.add_edge(START, "model")
    if ours:
        graph.add_node("tools", ToolNode(ours, handle_tool_errors=_tool_failure))
        graph.add_conditional_edges("model", next_step, ["tools", "model", END])
        graph.add_edge("tools", "model")
    return graph.compile(name=name)


def _tool_failure(error: Exception) -> str:
    """What the model is told when somebody's LangChain tool raised."""
    if isinstance(error, ToolInvocationError):
        return error.message
    if isinstance(error, ToolException):
        return str(error)
    logger.error("tool failed", exc_info=error)
    return "The tool failed. It may work with other arguments."


def close_open_calls(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The messages with a result for every tool call: one that has none gets "cancelled", or "malformed".

    Providers refuse a conversation in which a call has no result right behind it.
    """
    closed: list[AnyMessage] = []
    for position, message in enumerate(messages):
        closed.append(message)
        if isinstance(message, AIMessage):
            following = takewhile(lambda m: isinstance(m, ToolMessage), messages[position + 1 :])
            answered = {result.tool_call_id for result in following if isinstance(result, ToolMessage)}
            closed += _missing_results(message, answered)
    return closed


def _missing_results(message: AIMessage, answered: set[str]) -> Iterator[ToolMessage]:
    calls: list[tuple[Any, str]] = [(call, _CANCELLED) for call in message.tool_calls]
    calls += [(call, _MALFORMED) for call in message.invalid_tool_calls]
    for call, reason in calls:
        call_id = call["id"] or ""
        if call_id not in answered:
            yield ToolMessage(reason, name=call["name"], tool_call_id=call_id, status="error")


def _tool_rounds(messages: Sequence[AnyMessage]) -> int:
    """How often tools were called since the last word of a person."""
    turn = takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages))
    return sum(
        isinstance(message, AIMessage) and bool(message.tool_calls or message.invalid_tool_calls)
        for message in turn
    )
