"""Routes of agents, which the protocol calls assistants. They come from the configuration: none is made over the API."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from pilothouse.ports.engines import AgentInfo, Agents, Engine
from pilothouse.server.calls import (
    Call,
    Operation,
    body_operation,
    json_bytes,
    json_reply,
    operation,
    pagination,
)
from pilothouse.server.parts import Parts
from pilothouse.wire.assistants import (
    AssistantCount,
    AssistantReply,
    AssistantSearch,
    GraphOptions,
    SubgraphOptions,
    VersionSearch,
    assistant_reply,
    find_agent,
    matching,
)
from pilothouse.wire.replies import encode_all


class AssistantRoutes:
    def __init__(self, parts: Parts) -> None:
        self._agents: Agents = parts.agents
        self._since = datetime.now(UTC)

    def operations(self) -> Sequence[Operation]:
        one = "/assistants/{assistant_id}"
        return (
            body_operation(
                "POST",
                "/assistants/search",
                AssistantSearch,
                self.search,
                reply=list[AssistantReply],
            ),
            body_operation("POST", "/assistants/count", AssistantCount, self.count, reply=int),
            operation("GET", one, self.get, reply=AssistantReply),
            operation("GET", f"{one}/schemas", self.schemas, reply=Mapping[str, Any]),
            operation("GET", f"{one}/graph", self.graph, query=GraphOptions, reply=Mapping[str, Any]),
            operation("GET", f"{one}/subgraphs", self.subgraphs, query=SubgraphOptions),
            operation("GET", f"{one}/subgraphs/{{namespace}}", self.subgraphs, query=SubgraphOptions),
            body_operation(
                "POST",
                f"{one}/versions",
                VersionSearch,
                self.versions,
                reply=list[AssistantReply],
            ),
        )

    async def search(self, call: Call, body: AssistantSearch) -> Response:
        """List the agents that are served."""
        found = matching(self._replies(), body)
        if body.sort_by is not None:
            found.sort(key=lambda reply: str(getattr(reply, body.sort_by or "name")))
        if body.sort_order == "desc":
            found.reverse()
        offset, limit = body.offset or 0, 10 if body.limit is None else body.limit
        return json_bytes(
            encode_all(AssistantReply, found[offset : offset + limit], body.select),
            pagination(len(found), offset, limit),
        )

    async def count(self, call: Call, body: AssistantCount) -> Response:
        """Count the agents that are served."""
        return json_reply(len(matching(self._replies(), body)))

    async def get(self, call: Call) -> Response:
        """Get an agent."""
        return json_reply(assistant_reply(self._agent(call), self._since))

    async def versions(self, call: Call, body: VersionSearch) -> Response:
        """List an agent's versions: there is one, the one that is served."""
        return json_reply([] if body.offset else [assistant_reply(self._agent(call), self._since)])

    async def schemas(self, call: Call) -> Response:
        """Get the JSON schemas of an agent's input, output, state, configuration and context."""
        engine = await self._engine(call)
        return json_reply({"graph_id": self._agent(call).agent_id, **engine.schemas()})

    async def graph(self, call: Call) -> Response:
        """Get an agent's graph as nodes and edges."""
        engine = await self._engine(call)
        return json_reply(engine.drawing(xray=call.query(GraphOptions).xray))

    async def subgraphs(self, call: Call) -> Response:
        """Get the schemas of an agent's subgraphs."""
        engine = await self._engine(call)
        namespace = call.request.path_params.get("namespace")
        return json_reply(engine.subgraphs(namespace=namespace, recurse=call.query(SubgraphOptions).recurse))

    def _replies(self) -> list[AssistantReply]:
        return [assistant_reply(agent, self._since) for agent in self._agents.list()]

    def _agent(self, call: Call) -> AgentInfo:
        return find_agent(self._agents.list(), call.path("assistant_id"))

    async def _engine(self, call: Call) -> Engine:
        return await self._agents.engine(self._agent(call).agent_id)
