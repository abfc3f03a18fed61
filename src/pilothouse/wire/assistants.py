"""Agents on the wire, which calls them assistants.

Each agent is one assistant. Clients may name it by the agent's id, or by a UUID that is made from it in the way in which
LangGraph's server makes one, so that ids that clients have stored stay good.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID, uuid5

import msgspec

from pilothouse.errors import NotFound
from pilothouse.events import AgentId
from pilothouse.ports.engines import AgentInfo
from pilothouse.wire.paging import Limit, Skip

_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
SortBy = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]


@cache
def assistant_id(agent_id: AgentId) -> str:
    return str(uuid5(_NAMESPACE, agent_id))


def find_agent(agents: Sequence[AgentInfo], name: str) -> AgentInfo:
    """The agent with this id, or with this assistant id. Raises `NotFound`, which lists the known ones."""
    for agent in agents:
        if name in (agent.agent_id, assistant_id(agent.agent_id)):
            return agent
    known = ", ".join(agent.agent_id for agent in agents) or "none"
    raise NotFound(f"There is no agent {name[:100]!r}. Agents that are served: {known}.")


class AssistantSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metadata: Mapping[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = None
    limit: Limit | None = None
    offset: Skip | None = None
    sort_by: SortBy | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: Sequence[str] | None = None


class AssistantCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metadata: Mapping[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = None


class VersionSearch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metadata: Mapping[str, Any] | None = None
    limit: Limit | None = None
    offset: Skip | None = None


class GraphOptions(msgspec.Struct, frozen=True):
    """The query of an assistant's graph; `xray` opens subgraphs, to a depth if it is a number."""

    xray: int | bool = False


class SubgraphOptions(msgspec.Struct, frozen=True):
    recurse: bool = False


class AssistantReply(msgspec.Struct, frozen=True):
    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, str]
    version: int = 1
    config: Mapping[str, str] = {}
    context: Mapping[str, str] = {}


def assistant_reply(agent: AgentInfo, since: datetime) -> AssistantReply:
    about = {"model": agent.model, "notice": agent.notice, "problem": agent.problem}
    return AssistantReply(
        assistant_id=assistant_id(agent.agent_id),
        graph_id=agent.agent_id,
        name=agent.name,
        description=agent.description,
        created_at=since,
        updated_at=since,
        metadata={"created_by": "system", **{name: text for name, text in about.items() if text}},
    )


def matching(
    replies: Sequence[AssistantReply], search: AssistantSearch | AssistantCount
) -> list[AssistantReply]:
    """Those with the graph id, a part of the name (in any case) and every pair of the metadata."""
    pairs = (search.metadata or {}).items()
    name = (search.name or "").lower()
    return [
        reply
        for reply in replies
        if search.graph_id in (None, reply.graph_id)
        and name in reply.name.lower()
        and all(reply.metadata.get(key) == value for key, value in pairs)
    ]
