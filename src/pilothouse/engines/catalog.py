"""The agents that are served. Imports no engine: each is loaded when it is first needed, or ahead of that."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from pilothouse.errors import AgentUnavailable, ConfigurationError, NotFound, PilothouseError
from pilothouse.events import AgentId
from pilothouse.ports.engines import AgentInfo, Engine

logger = logging.getLogger(__name__)


class ModelLabel(msgspec.Struct, frozen=True):
    """What people are told of an agent's model."""

    label: str
    notice: str | None = None


class AgentDefinition(msgspec.Struct, frozen=True):
    """An agent as configured. `load` may take seconds; it is called once."""

    agent_id: AgentId
    name: str
    load: Callable[[], Awaitable[Engine]]
    description: str | None = None
    model: Callable[[], ModelLabel | None] | None = None
    """Asked whenever the agent is listed: which model answers may only be known later."""


class _Agent:
    def __init__(self, definition: AgentDefinition) -> None:
        self.definition = definition
        self.engine: Engine | None = None
        self.problem: str | None = None
        self.loading = asyncio.Lock()

    def info(self) -> AgentInfo:
        definition = self.definition
        model = definition.model() if definition.model is not None else None
        return AgentInfo(
            agent_id=definition.agent_id,
            name=definition.name,
            description=definition.description,
            model=model.label if model else None,
            notice=model.notice if model else None,
            problem=self.problem,
        )

    async def load(self) -> Engine:
        async with self.loading:
            if self.engine is None and self.problem is None:
                try:
                    self.engine = await self.definition.load()
                except PilothouseError as error:
                    if error.retryable:
                        raise
                    self.problem = str(error)
                    logger.warning(
                        "agent unavailable",
                        extra={"agent_id": self.definition.agent_id, "reason": self.problem},
                    )
                except Exception as error:
                    self.problem = " ".join(f"{type(error).__name__}: {error}".split())
                    logger.exception("agent unavailable", extra={"agent_id": self.definition.agent_id})
        if self.engine is None:
            raise AgentUnavailable(self.problem)
        return self.engine


class Catalog:
    """The configured agents (`ports.engines.Agents`): each loaded once, by whoever needs it first while others wait.

    A failure is remembered, unless it is a passing one (`retryable`): an agent that can't be loaded stays so until the
    server is started anew.
    """

    def __init__(self, definitions: Sequence[AgentDefinition]) -> None:
        self._agents = {definition.agent_id: _Agent(definition) for definition in definitions}
        if not definitions:
            raise ConfigurationError("There is no agent to serve.")
        if len(self._agents) < len(definitions):
            raise ConfigurationError("Two agents have the same id: each needs its own.")

    def list(self) -> Sequence[AgentInfo]:
        return [agent.info() for agent in self._agents.values()]

    async def engine(self, agent_id: AgentId) -> Engine:
        agent = self._agents.get(agent_id)
        if agent is None:
            raise NotFound(f"There is no agent {agent_id!r}: there is {', '.join(self._agents)}.")
        return agent.engine or await agent.load()

    async def load_all(self, loaded: Callable[[AgentInfo], None] | None = None) -> None:
        """Load the agents one after the other, in order; tell `loaded` of each, its `problem` included."""
        for agent in self._agents.values():
            try:
                await agent.load()
            except PilothouseError as error:
                logger.debug(
                    "agent not loaded", extra={"agent_id": agent.definition.agent_id}, exc_info=error
                )
            if loaded is not None:
                loaded(agent.info())
