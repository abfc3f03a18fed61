"""LangGraph's stream items as events."""

from typing import Any

from pilothouse.engines.langgraph.callbacks import Mark
from pilothouse.engines.langgraph.encoding import encode
from pilothouse.engines.langgraph.requests import GraphStreamMode
from pilothouse.engines.langgraph.states import checkpoint_event, debug_event
from pilothouse.events import (
    CheckpointSaved,
    CustomEmitted,
    DebugEmitted,
    RunEvent,
    StateUpdated,
    StateValues,
    TaskChanged,
)


def event_of(mode: GraphStreamMode, payload: Any, namespace: tuple[str, ...]) -> RunEvent | None:
    """The event, encoded now: nodes may change what they emitted later. None for a mark of ours, which is passed."""
    match mode:
        case "custom":
            if isinstance(payload, Mark):
                if not payload.passed.done():
                    payload.passed.set_result(None)
                return None
            return CustomEmitted(encode(payload), namespace)
        case "values":
            return StateValues(encode(payload), namespace)
        case "updates":
            return StateUpdated(encode(payload), namespace)
        case "tasks":
            return TaskChanged(encode(payload), namespace)
        case "checkpoints":
            return CheckpointSaved(encode(checkpoint_event(payload)), namespace)
        case "debug":
            return DebugEmitted(encode(debug_event(payload)), namespace)
