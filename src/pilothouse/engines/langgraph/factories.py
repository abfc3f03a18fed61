"""Where a run's graph comes from: one that is compiled already, or a factory that is called for each use.

The forms that LangGraph's server takes: a compiled graph, a `StateGraph`, or a function, plain or async or an async
context manager, with no argument, the config, a `langgraph_sdk.runtime.ServerRuntime`, or both.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Any, Literal, Protocol, TypeAlias, cast, get_args, get_type_hints

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph_sdk import runtime as sdk_runtime

from pilothouse.engines.langgraph.requests import AnyGraph
from pilothouse.errors import AgentUnavailable

logger = logging.getLogger(__name__)

Purpose = Literal["run", "read", "update", "describe"]
Factory: TypeAlias = Callable[..., Any]

_ACCESS: dict[Purpose, Any] = {
    "run": "threads.create_run",
    "read": "threads.read",
    "update": "threads.update",
    "describe": "assistants.read",
}


class GraphSource(Protocol):
    """Gives an agent's graph."""

    @property
    def structure(self) -> AnyGraph:
        """A graph to look at, not to run. Raises `AgentUnavailable` if its factory needs a request to make one."""
        ...

    def open(
        self, purpose: Purpose, config: RunnableConfig, store: BaseStore | None
    ) -> AbstractAsyncContextManager[AnyGraph]:
        """The graph for one use. It may serve others at the same time: not to be changed."""
        ...


class FixedGraph:
    """The same graph for every use."""

    def __init__(self, graph: AnyGraph) -> None:
        self.structure = graph

    @asynccontextmanager
    async def open(
        self, purpose: Purpose, config: RunnableConfig, store: BaseStore | None
    ) -> AsyncGenerator[AnyGraph, None]:
        yield self.structure


class FactoryGraph:
    """A graph made anew for each use."""

    def __init__(self, name: str, factory: Factory) -> None:
        self._name = name
        self._factory = factory
        self._arguments = _arguments_of(factory, name)
        self._structure: AnyGraph | None = None

    @property
    def structure(self) -> AnyGraph:
        if self._structure is None:
            raise AgentUnavailable(
                f"Agent {self._name!r} has no schemas: its factory fails for an empty config."
            )
        return self._structure

    async def look(self) -> None:
        """Make one graph for `structure`. A failure is logged only: the factory may need what a request brings."""
        try:
            async with self.open("describe", {"configurable": {}, "metadata": {}}, None) as graph:
                self._structure = graph
        except Exception:
            logger.warning("factory fails for an empty config", extra={"agent": self._name}, exc_info=True)

    @asynccontextmanager
    async def open(
        self, purpose: Purpose, config: RunnableConfig, store: BaseStore | None
    ) -> AsyncGenerator[AnyGraph, None]:
        arguments = {
            name: config if kind == "config" else _runtime(purpose, config, store)
            for name, kind in self._arguments.items()
        }
        async with AsyncExitStack() as stack:
            made = await _call(self._factory, arguments)
            if isinstance(made, AbstractAsyncContextManager):
                made = await stack.enter_async_context(cast("AbstractAsyncContextManager[Any]", made))
            elif isinstance(made, AbstractContextManager):
                made = stack.enter_context(cast("AbstractContextManager[Any]", made))
            yield compiled(made, self._name)


async def source_of(value: object, name: str) -> GraphSource:
    """The source for what an agent's module has under the name that the configuration gives.

    Raises `AgentUnavailable` if that is no graph.
    """
    if not callable(value):
        return FixedGraph(compiled(value, name))
    factory = cast("Factory", value)
    if not inspect.signature(factory).parameters:
        made = await _call(factory, {})
        if not isinstance(made, AbstractAsyncContextManager | AbstractContextManager):
            return FixedGraph(compiled(made, name))
    source = FactoryGraph(name, factory)
    await source.look()
    return source


def compiled(value: object, name: str) -> AnyGraph:
    """The graph, compiled by us if it is not yet, and named after its agent if it has no name of its own."""
    untyped: Any = value
    graph: object = untyped.compile() if _is_builder(value) else untyped
    if not isinstance(graph, Pregel):
        raise AgentUnavailable(
            f"Agent {name!r} is a {type(value).__name__}, not a LangGraph graph or a function that returns one."
        )
    known = cast("AnyGraph", graph)
    if known.name == "LangGraph":
        known.name = name
    return known


def _is_builder(value: object) -> bool:
    return isinstance(value, StateGraph)


async def _call(factory: Factory, arguments: dict[str, Any]) -> Any:
    """Call it, a plain function in a thread: such a factory may take its time."""
    inner = inspect.unwrap(factory)
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        made = factory(**arguments)
    else:
        made = await asyncio.to_thread(factory, **arguments)
    return await made if inspect.isawaitable(made) else made


def _arguments_of(factory: Factory, name: str) -> dict[str, Literal["config", "runtime"]]:
    parameters = list(inspect.signature(factory).parameters.values())
    try:
        hints = get_type_hints(factory, localns={"ServerRuntime": sdk_runtime.ServerRuntime})
    except Exception:  # noqa: BLE001 - annotations that can't be resolved only mean that we don't know
        hints = {}
    kinds: dict[str, Literal["config", "runtime"]] = {
        each.name: "runtime" if _is_runtime(hints.get(each.name, each.annotation)) else "config"
        for each in parameters
    }
    if len(kinds) > 2 or len(set(kinds.values())) < len(kinds):
        raise AgentUnavailable(
            f"Agent {name!r} has a factory with {len(kinds)} arguments: it may take the config, a ServerRuntime, or both."
        )
    return kinds


def _is_runtime(annotation: Any) -> bool:
    if annotation is sdk_runtime.ServerRuntime or annotation in _RUNTIMES:
        return True
    inner = (getattr(annotation, "__origin__", None), *get_args(annotation)[:1])
    return any(each is sdk_runtime.ServerRuntime or each in _RUNTIMES for each in inner)


_execution_runtime: Any = sdk_runtime._ExecutionRuntime  # pyright: ignore[reportPrivateUsage] - the SDK has no public constructor
_read_runtime: Any = sdk_runtime._ReadRuntime  # pyright: ignore[reportPrivateUsage] - the SDK has no public constructor
_RUNTIMES = (_execution_runtime, _read_runtime)


def _runtime(purpose: Purpose, config: RunnableConfig, store: BaseStore | None) -> Any:
    make = _execution_runtime if purpose == "run" else _read_runtime
    user = config.get("configurable", {}).get("langgraph_auth_user")
    return make(
        access_context=_ACCESS[purpose], user=user, store=store if store is not None else InMemoryStore()
    )
