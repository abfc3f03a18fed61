"""A LangGraph graph as an engine."""

import asyncio
import copy
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias, cast

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore
from langgraph.types import StateUpdate

from pilothouse.engines.langgraph import schemas, states
from pilothouse.engines.langgraph.attempts import call_of_attempt
from pilothouse.engines.langgraph.callbacks import BREAKPOINT, InterruptCallbacks, RunCallbacks
from pilothouse.engines.langgraph.collector import Collector
from pilothouse.engines.langgraph.encoding import encode
from pilothouse.engines.langgraph.factories import GraphSource, Purpose
from pilothouse.engines.langgraph.interception import install
from pilothouse.engines.langgraph.open_calls import with_calls_closed
from pilothouse.engines.langgraph.refusals import refusal_of, refusing
from pilothouse.engines.langgraph.requests import AnyGraph, Call, config_of, coordinates, thread_config
from pilothouse.engines.langgraph.streaming import event_of
from pilothouse.engines.langgraph.tool_calls import RunToolCalls, ToolCallStopped
from pilothouse.errors import PilothouseError
from pilothouse.events import Attempt, Interrupt, RunEvent, RunId, ThreadId
from pilothouse.ports.engines import EngineRequest, StateSnapshot
from pilothouse.ports.principals import Principal
from pilothouse.ports.tool_calls import ToolCalls

logger = logging.getLogger(__name__)

Fence: TypeAlias = tuple[RunId, Attempt]
"""Whose writes a checkpointer carries: an older attempt's are refused."""
CheckpointerFor: TypeAlias = Callable[[Principal, Fence | None], BaseCheckpointSaver[Any]]
StoreFor: TypeAlias = Callable[[Principal], BaseStore]
ToolCallsFor: TypeAlias = Callable[[EngineRequest], ToolCalls]

_STOP_DEADLINE = timedelta(milliseconds=800)
_REMEMBERED_ENDS = 1000


class LangGraphEngine:
    """Runs one agent's graph, with the given checkpointer and store in place of any of its own.

    `checkpointer_for` is asked for each run with its fence, and for reading and updating states without one. Without
    `tool_calls_for` every tool counts as `safe`.
    """

    def __init__(
        self,
        graph_source: GraphSource,
        checkpointer_for: CheckpointerFor,
        store_for: StoreFor | None = None,
        tool_calls_for: ToolCallsFor | None = None,
    ) -> None:
        self._source = graph_source
        self._checkpointer_for = checkpointer_for
        self._store_for = store_for
        self._tool_calls_for = tool_calls_for
        install()
        self._ends: OrderedDict[tuple[str, str], tuple[Interrupt, ...]] = OrderedDict()

    async def run(self, request: EngineRequest) -> AsyncGenerator[Sequence[RunEvent], None]:
        self._ends.pop((request.principal.user, request.thread_id), None)
        collector = Collector()
        waiting = InterruptCallbacks()
        fence = (request.run_id, request.attempt)
        async with self._graph("run", request.principal, config_of(request), fence) as graph:
            call = await call_of_attempt(graph, request)
            if call is None:
                waiting.interrupts = (BREAKPOINT,)
            else:
                tools = self._tool_calls(graph, request)
                call = await with_calls_closed(graph, request, call, tools)
                work = _drive(graph, call, collector, waiting, tools)
                async with _beside(work) as running, aclosing(collector.batches()) as batches:
                    async for batch in batches:
                        yield batch
                    await running
        self._remember_end(request, waiting.interrupts)

    async def interrupts(self, principal: Principal, thread_id: ThreadId) -> Sequence[Interrupt]:
        ended = self._ends.pop((principal.user, thread_id), None)
        if ended is not None:
            return ended
        config = thread_config(thread_id)
        async with self._graph("read", principal, config) as graph:
            with refusing():
                state = await graph.aget_state(config)
        return tuple(Interrupt(each.id, encode(each.value)) for each in state.interrupts)

    async def state(
        self,
        principal: Principal,
        thread_id: ThreadId,
        *,
        checkpoint: Mapping[str, object] | None = None,
        subgraphs: bool = False,
    ) -> StateSnapshot:
        config = thread_config(thread_id, checkpoint)
        async with self._graph("read", principal, config) as graph:
            with refusing():
                return states.snapshot(await graph.aget_state(config, subgraphs=subgraphs))

    async def history(
        self,
        principal: Principal,
        thread_id: ThreadId,
        *,
        limit: int = 10,
        before: Mapping[str, object] | None = None,
        metadata: Mapping[str, object] | None = None,
        checkpoint: Mapping[str, object] | None = None,
    ) -> Sequence[StateSnapshot]:
        config = thread_config(thread_id, checkpoint)
        until: RunnableConfig | None = {"configurable": coordinates(before)} if before else None
        wanted = dict(metadata) if metadata else None
        async with self._graph("read", principal, config) as graph:
            with refusing():
                past = graph.aget_state_history(config, filter=wanted, before=until, limit=limit)
                return [states.snapshot(state) async for state in past]

    async def update_state(
        self,
        principal: Principal,
        thread_id: ThreadId,
        values: object,
        *,
        as_node: str | None = None,
        checkpoint: Mapping[str, object] | None = None,
    ) -> Mapping[str, object]:
        config = thread_config(thread_id, checkpoint)
        updates = cast("list[dict[str, Any] | None]", values if isinstance(values, list) else [values])
        steps = [[StateUpdate(each, as_node)] for each in updates]
        async with self._graph("update", principal, config) as graph:
            with refusing():
                written = await graph.abulk_update_state(config, steps)
        return states.checkpoint_of(written) or {}

    def schemas(self) -> Mapping[str, object]:
        return schemas.schemas(self._source.structure)

    def drawing(self, *, xray: int | bool = False) -> Mapping[str, object]:
        return schemas.drawing(self._source.structure, xray)

    def subgraphs(self, *, namespace: str | None = None, recurse: bool = False) -> Mapping[str, object]:
        return schemas.subgraphs(self._source.structure, namespace, recurse=recurse)

    @asynccontextmanager
    async def _graph(
        self, purpose: Purpose, principal: Principal, config: RunnableConfig, fence: Fence | None = None
    ) -> AsyncGenerator[AnyGraph, None]:
        """The graph with our checkpointer and store: a shallow copy, for the agent's own graph serves many at once."""
        store = self._store_for(principal) if self._store_for is not None else None
        async with self._source.open(purpose, config, store) as graph:
            own = copy.copy(graph)
            own.checkpointer = self._checkpointer_for(principal, fence)
            own.store = store if store is not None else graph.store
            yield own

    def _tool_calls(self, graph: AnyGraph, request: EngineRequest) -> RunToolCalls:
        saver = cast("Any", graph).checkpointer
        waits = request.request.durability != "exit" and hasattr(saver, "saved")
        store = self._tool_calls_for(request) if self._tool_calls_for is not None else None
        return RunToolCalls(request, store, saver.serde, saver if waits else None)

    def _remember_end(self, request: EngineRequest, interrupts: tuple[Interrupt, ...]) -> None:
        self._ends[request.principal.user, request.thread_id] = interrupts
        if len(self._ends) > _REMEMBERED_ENDS:
            self._ends.popitem(last=False)


async def _drive(
    graph: AnyGraph,
    call: Call,
    collector: Collector,
    waiting: InterruptCallbacks,
    tools: RunToolCalls,
) -> None:
    """Run the graph to its end and collect what it says."""
    callbacks = RunCallbacks(collector, tools.request.meter, tools.request.watch, subgraphs=call.subgraphs)
    # Inheritable only: the graph's nodes and models call it, the graph as a whole need not.
    call.config["callbacks"] = AsyncCallbackManager(handlers=[waiting], inheritable_handlers=[callbacks])
    try:
        with tools.active():
            async with _saving(graph), aclosing(_stream(graph, call)) as stream:
                async for item in stream:
                    namespace, mode, payload = item if call.subgraphs else ((), *item)
                    if (event := event_of(mode, payload, namespace)) is not None:
                        collector.put(event)
                        await collector.room()
    except PilothouseError:
        raise
    except ToolCallStopped as stopped:
        raise stopped.error from stopped
    except Exception as error:
        if refusal := refusal_of(error, call.input, started=callbacks.started):
            raise refusal from error
        raise
    finally:
        collector.finish()


@asynccontextmanager
async def _saving(graph: AnyGraph) -> AsyncGenerator[None, None]:
    """Let the graph's checkpointer gather writes for the time of a run. What it holds then is saved however the run ended: who
    stops an answer keeps the question."""
    checkpointer: object = cast("Any", graph).checkpointer
    if not isinstance(checkpointer, AbstractAsyncContextManager):
        yield
        return
    await checkpointer.__aenter__()
    try:
        yield
    finally:
        await checkpointer.__aexit__(None, None, None)


def _stream(graph: AnyGraph, call: Call) -> AsyncGenerator[Any, None]:
    untyped: Any = graph
    return untyped.astream(
        call.input,
        call.config,
        context=call.context,
        stream_mode=call.stream_modes,
        interrupt_before=call.interrupt_before,
        interrupt_after=call.interrupt_after,
        durability=call.durability,
        subgraphs=call.subgraphs,
    )


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[asyncio.Task[None], None]:
    """`work` as a task while the body runs; afterwards it has ended or been stopped.

    Not a TaskGroup: the body yields to the consumer of a generator, whose task a group would cancel.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_STOP_DEADLINE.total_seconds())
        if not task.done():
            logger.error("agent does not stop", extra={"waited_seconds": _STOP_DEADLINE.total_seconds()})
        elif not task.cancelled():
            task.exception()
