"""The agents that the settings name, and what each is loaded from."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilothouse.engines.catalog import AgentDefinition, Catalog, ModelLabel
from pilothouse.engines.langgraph.project import GraphSpec, graph_spec
from pilothouse.errors import ConfigurationError, PilothouseError
from pilothouse.events import AgentId, Attempt, RunId
from pilothouse.models.opening import import_aside
from pilothouse.ports.engines import Engine, EngineRequest
from pilothouse.ports.principals import Principal
from pilothouse.ports.tools import Tool
from pilothouse.settings import AgentSettings, Settings
from pilothouse.stores.tool_calls.redis import RedisToolCalls
from pilothouse.wiring.models import OpenModels
from pilothouse.wiring.stores import RunStores

logger = logging.getLogger(__name__)

BUILT_IN = AgentId("assistant")
"""What is served when the settings name no agent."""


@dataclass
class AgentLoader:
    """Makes engines."""

    settings: Settings
    stores: RunStores
    models: OpenModels
    tasks: asyncio.TaskGroup
    preparing: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    """To be cancelled at the end."""
    labels: dict[AgentId, ModelLabel] = field(default_factory=dict[AgentId, ModelLabel])

    def catalog(self) -> Catalog:
        return Catalog(self._definitions())

    def _definitions(self) -> Sequence[AgentDefinition]:
        definitions = [self._define(AgentId(name), agent) for name, agent in self.settings.agents.items()]
        if project := self.settings.project:
            definitions += [self._define_graph(spec, spec.description) for spec in project.graphs]
        return definitions or [self._define(BUILT_IN, AgentSettings())]

    def _define(self, agent_id: AgentId, agent: AgentSettings) -> AgentDefinition:
        root = self.settings.root
        if agent.graph:
            return self._define_graph(graph_spec(agent_id, agent.graph, root), agent.description)
        if agent.function:
            spec = graph_spec(agent_id, agent.function, root)
            return self._definition(agent_id, lambda: self._function(spec), agent.description)
        return self._definition(agent_id, lambda: self._assistant(agent_id, agent), agent.description)

    def _define_graph(self, spec: GraphSpec, description: str | None) -> AgentDefinition:
        return self._definition(spec.agent_id, lambda: self._graph(spec), description)

    def _definition(
        self, agent_id: AgentId, load: Callable[[], Awaitable[Engine]], description: str | None
    ) -> AgentDefinition:
        return AgentDefinition(
            agent_id=agent_id,
            name=agent_id,
            load=load,
            description=description,
            model=lambda: self.labels.get(agent_id),
        )

    async def _graph(self, spec: GraphSpec) -> Engine:
        await _import_langgraph()
        from pilothouse.engines.langgraph.loading import load_graph

        return self._engine(await load_graph(spec))

    async def _function(self, spec: GraphSpec) -> Engine:
        await _import_langgraph()
        from pilothouse.engines.function import function_graph
        from pilothouse.engines.langgraph.factories import FixedGraph
        from pilothouse.engines.langgraph.loading import load_attribute

        function: Any = await load_attribute(spec)
        return self._engine(FixedGraph(function_graph(function, spec.agent_id)))

    async def _assistant(self, agent_id: AgentId, agent: AgentSettings) -> Engine:
        chat, _ = await asyncio.gather(
            self.models.get(agent.model or self.settings.model), _import_langgraph()
        )
        from pilothouse.engines.assistant import build_assistant
        from pilothouse.engines.langgraph.factories import FixedGraph, compiled

        self.labels[agent_id] = ModelLabel(chat.label, chat.notice)
        tools = await self._tools(agent_id, agent.tools)
        if chat.prepare:
            self.preparing.append(self.tasks.create_task(_prepare(agent_id, chat.prepare(tools))))
        graph = build_assistant(agent_id, chat.model, agent.instructions, tools)
        return self._engine(FixedGraph(compiled(graph, agent_id)))

    async def _tools(self, agent_id: AgentId, names: Sequence[str] | None) -> Sequence[Any]:
        """LangChain's tools."""
        from pilothouse.engines.langchain_tools import as_langchain
        from pilothouse.tools.builtin import builtin_tools

        known = builtin_tools(local_zone=self.settings.time_zone or _zone_of_this_machine())
        named = [await self._tool(agent_id, name, known) for name in (known if names is None else names)]
        return [as_langchain(tool) if isinstance(tool, Tool) else tool for tool in named]

    async def _tool(self, agent_id: AgentId, name: str, known: Mapping[str, Tool]) -> Any:
        from pilothouse.engines.langgraph.loading import load_attribute

        if name in known:
            return known[name]
        if ":" in name:
            return await load_attribute(graph_spec(agent_id, name, self.settings.root))
        raise ConfigurationError(
            f"agents.{agent_id}: there is no tool {name!r}. Built in: {', '.join(known)}; your own: ./file.py:name."
        )

    def _engine(self, source: Any) -> Engine:
        from pilothouse.engines.langgraph.engine import LangGraphEngine

        return LangGraphEngine(source, self._checkpointer, tool_calls_for=self._tool_calls)

    def _checkpointer(self, principal: Principal, fence: tuple[RunId, Attempt] | None) -> Any:
        from pilothouse.stores.checkpoints.journal import Fence
        from pilothouse.stores.checkpoints.redis import RedisCheckpointer

        redis: Any = self.stores.redis
        return RedisCheckpointer(
            redis, principal, ttl=self.stores.ttl, fence=Fence(*fence) if fence else None
        )

    def _tool_calls(self, request: EngineRequest) -> RedisToolCalls:
        asked = request.request
        fence = (request.run_id, request.attempt)
        return RedisToolCalls(
            self.stores.redis,
            request.principal,
            request.thread_id,
            *fence,
            ttl=self.stores.ttl,
            fresh=asked.input is not None and asked.command is None and asked.checkpoint is None,
        )


async def _prepare(agent_id: AgentId, preparing: Awaitable[None]) -> None:
    """A failure is no end: the first question tries again, and says what is wrong."""
    try:
        await preparing
    except PilothouseError as error:
        logger.warning("model is not ready", extra={"agent_id": agent_id, "reason": str(error)})
    else:
        logger.info("model is ready", extra={"agent_id": agent_id})


async def _import_langgraph() -> None:
    await import_aside("pilothouse.engines.langgraph.engine")


def _zone_of_this_machine() -> str:
    import whenever

    now: Any = whenever.Instant.now()  # the stubs give the system's zone no type
    return now.to_tz(getattr(whenever, "SYSTEM_TZ")).tz_id or "UTC"  # noqa: B009
