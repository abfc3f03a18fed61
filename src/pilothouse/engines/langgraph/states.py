"""Checkpoints and states in the shapes of the Agent Protocol (`langgraph_sdk.schema.ThreadState`)."""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt as GraphInterrupt
from langgraph.types import PregelTask
from langgraph.types import StateSnapshot as GraphState

from pilothouse.engines.langgraph.encoding import encode
from pilothouse.ports.engines import StateSnapshot

_COORDINATES = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")


def snapshot(state: GraphState) -> StateSnapshot:
    """The state, encoded."""
    return StateSnapshot(encode(_thread_state(state)))


def checkpoint_of(config: RunnableConfig | None) -> dict[str, Any] | None:
    """Which checkpoint a config names; None if it names none."""
    configurable = (config or {}).get("configurable", {})
    if not configurable.get("thread_id") or not configurable.get("checkpoint_id"):
        return None
    return {"checkpoint_ns": "", **_coordinates(configurable)}


def checkpoint_event(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What LangGraph streams of a checkpoint, with nothing in its configs but coordinates."""
    return {
        **payload,
        "config": _coordinates_only(payload.get("config")),
        "parent_config": _coordinates_only(payload.get("parent_config")),
        "checkpoint": checkpoint_of(payload.get("config")),
        "parent_checkpoint": checkpoint_of(payload.get("parent_config")),
        "tasks": [_streamed_task(task) for task in payload.get("tasks", ())],
    }


def debug_event(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """What LangGraph's `debug` mode streams, its checkpoints as in the `checkpoints` mode."""
    if payload.get("type") != "checkpoint":
        return payload
    return {**payload, "payload": checkpoint_event(payload["payload"])}


def _thread_state(state: GraphState) -> dict[str, Any]:
    return {
        "values": state.values,
        "next": state.next,
        "tasks": [_task(task) for task in state.tasks],
        "metadata": state.metadata,
        "created_at": state.created_at,
        "checkpoint": checkpoint_of(state.config) or _thread_only(state.config),
        "parent_checkpoint": checkpoint_of(state.parent_config),
        "interrupts": [_interrupt(each) for each in state.interrupts],
    }


def _task(task: PregelTask) -> dict[str, Any]:
    state = task.state
    error: object = cast("object", task.error)
    path = cast("Any", task).path
    return {
        "id": task.id,
        "name": task.name,
        "path": path,
        "error": repr(error) if isinstance(error, BaseException) else error,
        "interrupts": [_interrupt(each) for each in task.interrupts],
        "checkpoint": state.get("configurable") if isinstance(state, dict) else None,
        "state": _thread_state(state) if isinstance(state, GraphState) else None,
        "result": task.result,
    }


def _streamed_task(task: Mapping[str, Any]) -> Mapping[str, Any]:
    state = task.get("state")
    if not isinstance(state, dict):
        return task
    configurable = cast("dict[str, Any]", state).get("configurable")
    return {**{k: v for k, v in task.items() if k != "state"}, "checkpoint": configurable}


def _interrupt(interrupt: GraphInterrupt[Any]) -> dict[str, Any]:
    shown = {"id": interrupt.id, "value": interrupt.value}
    if interrupt.response_schema is not None:
        shown["response_schema"] = interrupt.response_schema
    return shown


def _thread_only(config: RunnableConfig) -> dict[str, Any]:
    """For a thread that has no checkpoint yet: SDKs expect the object to be there."""
    thread_id = config.get("configurable", {}).get("thread_id")
    return {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": None}


def _coordinates(configurable: Mapping[str, Any]) -> dict[str, Any]:
    return {key: configurable[key] for key in _COORDINATES if configurable.get(key) is not None}


def _coordinates_only(config: RunnableConfig | None) -> dict[str, Any] | None:
    return None if config is None else {"configurable": _coordinates(config.get("configurable", {}))}
