"""Agents with a tool that changes something: it writes a line to a file, for each time that it was started."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from tests.engines.graphs import tool_graph
from tests.tool_calls.places import CallingModel

from pilothouse.engines.assistant import build_assistant
from pilothouse.engines.function import function_graph
from pilothouse.tools import current_call

Kill = Callable[[], None]
WANTED: list[tuple[str, dict[str, Any]]] = [("pay", {"amount": 5})]


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_soon(seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, kill_this_process)


def note(file: Path) -> None:
    call = current_call()
    assert call is not None
    with file.open("a") as lines:
        lines.write(f"{call.call_id or '-'} {call.idempotency_key}\n")


def paying(file: Path, then: Kill) -> Any:
    @tool
    async def pay(amount: int) -> str:
        """Pay an amount."""
        note(file)
        then()
        return f"paid {amount}"

    return pay


def paying_in_a_thread(file: Path, then: Kill) -> Any:
    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        note(file)
        then()
        return f"paid {amount}"

    return pay


def tool_node(file: Path, then: Kill) -> Any:
    return tool_graph(CallingModel(wanted=WANTED), [paying(file, then)])


def assistant(file: Path, then: Kill) -> Any:
    return build_assistant("assistant", CallingModel(wanted=WANTED), None, [paying(file, then)])


def subgraph(file: Path, then: Kill) -> Any:
    inner = tool_node(file, then).compile()
    return StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")


def subgraph_that_saves_nothing(file: Path, then: Kill) -> Any:
    inner = tool_node(file, then).compile(checkpointer=False)
    return StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")


def threads(file: Path, then: Kill) -> Any:
    """All of it synchronous: LangGraph runs the nodes in worker threads."""
    model, tools = CallingModel(wanted=WANTED), [paying_in_a_thread(file, then)]

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def call_tools(state: MessagesState) -> dict[str, Any]:
        (call,) = state["messages"][-1].tool_calls
        return {"messages": [tools[0].invoke(call)]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", call_model)
    builder.add_node("tools", call_tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder


def one_node(file: Path, then: Kill) -> Any:
    """A node that calls the model and the tools by itself: its model is asked again after a crash."""
    model, pay = CallingModel(wanted=WANTED), paying(file, then)

    async def node(state: MessagesState) -> dict[str, Any]:
        asked = await model.ainvoke(state["messages"])
        assert isinstance(asked, AIMessage)
        results: list[ToolMessage] = [await pay.ainvoke(call) for call in asked.tool_calls]
        return {"messages": [asked, *results, await model.ainvoke([*state["messages"], asked, *results])]}

    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").add_edge("node", END)


def functional(file: Path, then: Kill) -> Any:
    """LangGraph's functional API: the model's answer is the result of a task, and no checkpoint follows it."""
    model, pay = CallingModel(wanted=WANTED), paying(file, then)

    @task
    async def decide(messages: Any) -> Any:
        return await model.ainvoke(messages)

    @entrypoint()
    async def agent(state: dict[str, Any]) -> dict[str, Any]:
        asked = await decide(state["messages"])
        results = [await pay.ainvoke(call) for call in asked.tool_calls]
        done = await model.ainvoke([*results])
        return {"messages": [asked, *results, done]}

    return agent


def function(file: Path, then: Kill) -> Any:
    """A plain function that calls a tool."""
    pay = paying(file, then)

    async def agent(messages: Any) -> str:
        return f"done: {await pay.ainvoke(WANTED[0][1])}"

    return function_graph(agent, "function")


def tool_node_beside(file: Path, then: Kill) -> Any:
    """Two calls in one task: the second is the first's own business."""

    @tool
    async def look(at: str) -> str:
        """Look at something."""
        return f"saw {at}"

    look.metadata = {"replay": "safe"}
    model = CallingModel(wanted=[("look", {"at": "it"}), *WANTED])
    builder = tool_graph(model, [])
    builder.nodes.pop("tools")
    builder.add_node("tools", ToolNode([look, paying(file, then)]))
    return builder


AGENTS: dict[str, Callable[[Path, Kill], Any]] = {
    agent.__name__: agent
    for agent in (
        tool_node,
        assistant,
        subgraph,
        subgraph_that_saves_nothing,
        threads,
        one_node,
        functional,
        function,
        tool_node_beside,
    )
}
