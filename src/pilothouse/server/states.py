"""Routes of threads' states, which the engines keep."""

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from pilothouse.errors import AgentUnavailable, Conflict, InvalidRequest, NotFound
from pilothouse.events import AgentId
from pilothouse.ports.engines import Engine, StateSnapshot
from pilothouse.ports.principals import Principal
from pilothouse.ports.threads import Thread
from pilothouse.server.calls import Call, Operation, body_operation, json_bytes, json_reply, operation
from pilothouse.server.parts import Parts
from pilothouse.wire.assistants import find_agent
from pilothouse.wire.threads import (
    EMPTY_STATE,
    HistoryOptions,
    HistorySearch,
    Object,
    StateAtCheckpoint,
    StateOptions,
    StateUpdate,
    checkpoint,
    history_body,
    state_body,
    with_interrupts,
)


class States:
    """The states of threads: each is kept by the engine of the agent that the thread belongs to."""

    def __init__(self, parts: Parts) -> None:
        self._agents = parts.agents

    async def engine_of(self, thread: Thread) -> Engine | None:
        """None if nothing ran on the thread. Raises `NotFound` if its agent is not served any more."""
        agent_id = thread.graph_id or _graph_id(thread)
        if agent_id is None:
            return None
        return await self._agents.engine(self.agent_id(agent_id))

    def agent_id(self, name: str) -> AgentId:
        """The agent with this id or assistant id. Raises `NotFound`."""
        return find_agent(self._agents.list(), name).agent_id

    async def engine_to_write(self, thread: Thread) -> Engine:
        """The engine that a state is written with; the only agent's on a thread without one. Raises `InvalidRequest`."""
        engine = await self.engine_of(thread)
        agents = self._agents.list()
        if engine is None and len(agents) == 1:
            engine = await self._agents.engine(agents[0].agent_id)
        if engine is None:
            raise InvalidRequest(
                f"Thread {thread.thread_id} has no agent yet: start a run on it, or set graph_id in its metadata."
            )
        return engine

    async def newest(self, principal: Principal, thread: Thread) -> StateSnapshot:
        engine = await self.engine_of(thread)
        return EMPTY_STATE if engine is None else await engine.state(principal, thread.thread_id)

    async def newest_or_none(self, principal: Principal, thread: Thread) -> StateSnapshot | None:
        """None where nothing ran, and where the agent can't be loaded: the thread can be shown all the same."""
        try:
            engine = await self.engine_of(thread)
        except (NotFound, AgentUnavailable):
            return None
        return None if engine is None else await engine.state(principal, thread.thread_id)


class _Names(msgspec.Struct, frozen=True):
    graph_id: str | None = None


def _graph_id(thread: Thread) -> AgentId | None:
    """The agent that a client named in the metadata of a thread on which nothing ran."""
    try:
        name = msgspec.json.decode(thread.metadata, type=_Names).graph_id
    except msgspec.ValidationError:
        return None
    return AgentId(name) if name else None


class StateRoutes:
    def __init__(self, parts: Parts, states: States) -> None:
        self._threads = parts.threads
        self._states = states

    def operations(self) -> Sequence[Operation]:
        one = "/threads/{thread_id}"
        return (
            operation("GET", f"{one}/state", self.get, query=StateOptions),
            body_operation("POST", f"{one}/state", StateUpdate, self.update),
            body_operation(
                "POST",
                f"{one}/state/checkpoint",
                StateAtCheckpoint,
                self.get_at_checkpoint,
            ),
            operation("GET", f"{one}/state/{{checkpoint_id}}", self.get_at_id, query=StateOptions),
            body_operation("POST", f"{one}/history", HistorySearch, self.search_history),
            operation("GET", f"{one}/history", self.list_history, query=HistoryOptions),
        )

    async def get(self, call: Call) -> Response:
        """Get a thread's newest state."""
        options = call.query(StateOptions)
        return await self._state(call, None, options.subgraphs, options.select)

    async def get_at_id(self, call: Call) -> Response:
        """Get a thread's state at a checkpoint that is named by its id."""
        options = call.query(StateOptions)
        at = checkpoint(call.path("checkpoint_id"))
        return await self._state(call, at, options.subgraphs, options.select)

    async def get_at_checkpoint(self, call: Call, body: StateAtCheckpoint) -> Response:
        """Get a thread's state at a checkpoint."""
        return await self._state(call, checkpoint(body.checkpoint), body.subgraphs or False, body.select)

    async def _state(
        self, call: Call, at: Object | None, subgraphs: bool, select: Sequence[str] | None
    ) -> Response:
        thread = await self._threads.get(call.principal, call.thread_id)
        engine = await self._states.engine_of(thread)
        if engine is None:
            return json_bytes(state_body(EMPTY_STATE, select))
        state = await engine.state(call.principal, thread.thread_id, checkpoint=at, subgraphs=subgraphs)
        if at is None and thread.interrupts:
            state = with_interrupts(state, thread)
        return json_bytes(state_body(state, select))

    async def update(self, call: Call, body: StateUpdate) -> Response:
        """Write to a thread's state."""
        thread = await self._threads.get(call.principal, call.thread_id)
        if thread.status == "busy":
            raise Conflict(f"Thread {thread.thread_id} is busy with a run: wait for it, or cancel it.")
        engine = await self._states.engine_to_write(thread)
        at = checkpoint(body.checkpoint, body.checkpoint_id)
        written = await engine.update_state(
            call.principal, thread.thread_id, body.values, as_node=body.as_node, checkpoint=at
        )
        return json_reply({"checkpoint": written, "configurable": written, **written})

    async def search_history(self, call: Call, body: HistorySearch) -> Response:
        """List a thread's past states, newest first."""
        return await self._history(call, body)

    async def list_history(self, call: Call) -> Response:
        """List a thread's past states, newest first."""
        options = call.query(HistoryOptions)
        return await self._history(call, HistorySearch(limit=options.limit, before=options.before))

    async def _history(self, call: Call, search: HistorySearch) -> Response:
        thread = await self._threads.get(call.principal, call.thread_id)
        engine = await self._states.engine_of(thread)
        if engine is None:
            return json_bytes(b"[]")
        states = await engine.history(
            call.principal,
            thread.thread_id,
            limit=search.limit or 10,
            before=checkpoint(search.before),
            metadata=search.metadata,
            checkpoint=search.checkpoint,
        )
        return json_bytes(history_body(states, search.select))
