"""Which call of a tool it is: the same name for it on every attempt, resume and retry.

LangGraph names a task by the checkpoint that it stands on, so the name lasts as long as that checkpoint. Within a task a
call is the n-th of its tool with its arguments: the ids that a model gives would not do, since a node that calls its model
and its tools by itself asks the model again, and gets others. Calls that are alike in all this are interchangeable.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha1
from typing import Any, Protocol, cast
from uuid import uuid4

import msgspec
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel

from pilothouse.ports.tool_calls import ToolCallRef

# LangGraph's names in `configurable`; it has no public ones.
_SCRATCHPAD = "__pregel_scratchpad"
_RUNTIME = "__pregel_runtime"
_NAMESPACE = "checkpoint_ns"
_CHECKPOINTS = "checkpoint_map"


class SavesSteps(Protocol):
    """What a checkpointer that waits for its writes can tell. LangGraph starts a task without waiting for them."""

    def saves(self, thread_id: str, namespace: str) -> bool:
        """Whether a graph has used it for that namespace."""
        ...

    async def saved(self, thread_id: str, checkpoints: Mapping[str, str]) -> None:
        """Return when these checkpoints (ids by namespace) and all writes before are stored."""
        ...


class Task:
    """The task of LangGraph's that calls a tool."""

    def __init__(self, configurable: Mapping[str, Any]) -> None:
        self.namespace: str = configurable[_NAMESPACE]
        self.scratchpad: Any = configurable[_SCRATCHPAD]
        self.thread_id = str(configurable.get("thread_id", ""))
        info = getattr(configurable.get(_RUNTIME), "execution_info", None)
        self.try_number: int = getattr(info, "node_attempt", 1)
        """From 1: a node with a retry policy is tried again."""
        places: Mapping[str, str] = configurable.get(_CHECKPOINTS) or {}
        parts = self.namespace.split("|")
        above = ["|".join(parts[:depth]) for depth in range(len(parts))]
        self.stands_on = {namespace: places[namespace] for namespace in above if namespace in places}
        """The checkpoints of the graph and of the subgraphs down to the task, by namespace."""

    def step(self, saver: SavesSteps | None, run_id: str) -> str:
        """The innermost step around the call that has the same name when it is executed again: a subgraph without a
        checkpointer begins anew, and its tasks get new names."""
        if saver is None:
            return self.namespace
        unsaved = (place for place in self.stands_on if not saver.saves(self.thread_id, place))
        first = next(unsaved, None)
        return self.namespace if first is None else first or f"run:{run_id}"

    async def saved(self, saver: SavesSteps) -> None:
        """Return when nothing that led to this task can be lost any more."""
        kept = {ns: id_ for ns, id_ in self.stands_on.items() if saver.saves(self.thread_id, ns)}
        await saver.saved(self.thread_id, kept)


def task_of(config: RunnableConfig | None) -> Task | None:
    """The task that a tool with this config is called from, or None."""
    configurable = ensure_config(config).get("configurable", {})
    if _SCRATCHPAD not in configurable:
        try:
            configurable = get_config().get("configurable", {})
        except RuntimeError:
            return None
    return Task(configurable) if configurable.get(_SCRATCHPAD) and configurable.get(_NAMESPACE) else None


class Execution:
    """One execution of a step, and the calls that it makes."""

    def __init__(self) -> None:
        self.id = uuid4().hex
        self.lock = asyncio.Lock()
        self.begun = False
        """Its first claim was made."""
        self.stopped: GraphBubbleUp | None = None
        """Why no more calls may start: the first question or failure, which is what all of them raise."""
        self._numbers = Counter[str]()
        self._live: set[Live] = set()
        self._changed = asyncio.Event()

    def key(self, parent: "Live | None", name: str, arguments: Mapping[str, object]) -> str:
        alike = f"{parent.ref.key}/" if parent else ""
        alike += f"{name}#{_digest(arguments)}"
        self._numbers[alike] += 1
        return f"{alike}#{self._numbers[alike]}"

    def enter(self, call: "Live") -> None:
        self._live.add(call)

    def leave(self, call: "Live") -> None:
        self._live.discard(call)
        self.changed()

    def changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def others_ended(self) -> None:
        """Return when every call has ended or waits for a human. LangGraph does not wait for them: it would end the run, and
        their results with it."""
        while not all(call.paused for call in self._live):
            await self._changed.wait()


class Live:
    """A call that is under way."""

    def __init__(
        self, ref: ToolCallRef, call_id: str, execution: Execution, parent: "Live | None", task: Task
    ) -> None:
        self.ref = ref
        self.call_id = call_id
        self.execution = execution
        self.task = task
        self.paused = False
        self.edited: Mapping[str, object] | None = None
        """What a human put in place of the arguments."""
        self.claimed_at = 0.0
        self.unbroken: AbstractContextManager[None] = nullcontext()
        """Held while it is under way."""
        self._parent = parent

    def pause(self) -> None:
        """It waits for a human, and so do the calls that it is part of."""
        self.paused = True
        self.execution.changed()
        if self._parent is not None:
            self._parent.pause()


def _plain(value: object) -> object:
    """Not its `repr`, which may hold an address."""
    return value.model_dump(warnings=False) if isinstance(value, BaseModel) else type(value).__name__


_stable = msgspec.json.Encoder(order="deterministic", enc_hook=_plain)


def _digest(arguments: Mapping[str, object]) -> str:
    try:
        text = _stable.encode(arguments)
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError):
        text = ",".join(sorted(map(str, arguments))).encode("utf-8", "replace")
    return sha1(text, usedforsecurity=False).hexdigest()[:16]


def visible_arguments(tool: BaseTool, given: Any) -> dict[str, Any]:
    """The arguments that the model gave, without those that a tool node injects."""
    if not isinstance(given, dict):
        return {"input": given}
    arguments = cast("dict[str, Any]", given)
    return tool._filter_injected_args(arguments)  # pyright: ignore[reportPrivateUsage] - LangChain has no public way
