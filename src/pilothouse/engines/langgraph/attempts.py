"""How an attempt at a run begins: with the request, or where an earlier attempt was cut off."""

from collections.abc import Collection
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot as GraphState

from pilothouse.engines.langgraph.requests import AnyGraph, Call, call_of, thread_config
from pilothouse.ports.engines import EngineRequest

_FIRST = 1


async def call_of_attempt(graph: AnyGraph, request: EngineRequest) -> Call | None:
    """What to call: with the input at first, and with none where the run itself has saved a checkpoint: LangGraph
    then goes on from that. None if the run had come to a breakpoint, which is its end."""
    call = call_of(graph, request)
    if request.after == "budget_exceeded" and request.request.command is not None:
        # The answer to that is leave to go on. The graph itself asked nothing.
        call = call._replace(input=None)
    if request.attempt == _FIRST:
        return call
    newest: RunnableConfig = thread_config(request.thread_id)
    state = await graph.aget_state(newest)
    if (state.metadata or {}).get("run_id") != str(request.run_id):
        return call
    if await _at_breakpoint(graph, call, state):
        return None
    configurable = call.config.get("configurable", {})
    for coordinate in ("checkpoint_id", "checkpoint_map"):
        configurable.pop(coordinate, None)
    configurable["checkpoint_ns"] = ""
    return call._replace(input=None)


async def _at_breakpoint(graph: AnyGraph, call: Call, state: GraphState) -> bool:
    """LangGraph takes a call without input as leave to pass the breakpoint it stands at: nobody gave that leave."""
    if not state.next:
        return False
    before: Any = call.interrupt_before or graph.interrupt_before_nodes
    if _any_in(state.next, before):
        return True
    after: Any = call.interrupt_after or graph.interrupt_after_nodes
    if not after or state.parent_config is None:
        return False
    previous = await graph.aget_state(state.parent_config)
    return _any_in(previous.next, after)


def _any_in(nodes: Collection[str], breakpoints: Any) -> bool:
    if breakpoints == "*":
        return any(not node.startswith("__") for node in nodes)
    return not set(nodes).isdisjoint(breakpoints)
