"""Engines execute agents."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

import msgspec

from pilothouse.events import AgentId, Attempt, Interrupt, Json, RunEvent, RunId, RunOutcome, ThreadId
from pilothouse.ports.limits import Meter
from pilothouse.ports.principals import Principal
from pilothouse.ports.runs import RunInput, StopSignal
from pilothouse.ports.telemetry import UNWATCHED, Watch


class EngineRequest(msgspec.Struct, frozen=True):
    """One attempt at a run, as the engine sees it."""

    principal: Principal
    agent_id: AgentId
    thread_id: ThreadId
    run_id: RunId
    attempt: Attempt
    request: RunInput
    metadata: Json = Json(b"{}")
    after: RunOutcome | None = None
    """How the thread's previous run ended; None if there was none."""
    meter: Meter | None = None
    """To be told of every call of a model or a tool before it is made."""
    stop: StopSignal | None = None
    """To be asked for time (`unbroken`) while a call is under way that can't be made twice."""
    watch: Watch = UNWATCHED
    """To be told of model and tool calls."""


class StateSnapshot(msgspec.Struct, frozen=True):
    """A thread's state at one checkpoint, in the Agent Protocol's shape.

    JSON keys: `values, next, tasks, metadata, created_at, checkpoint, parent_checkpoint, interrupts`.
    """

    data: Json


class Engine(Protocol):
    """One agent that can run: a LangGraph graph, a function, …

    Raises `InvalidRequest` where the caller's input, command or checkpoint does not fit the agent.
    """

    def run(self, request: EngineRequest) -> AsyncGenerator[Sequence[RunEvent], None]:
        """Execute one attempt and yield its events in small batches, coalesced; all but `RunStarted` and `RunEnded`.

        An interrupt ends the iteration; `interrupts` then says what is asked. From attempt 2 on, work goes on from the
        last checkpoint that the run itself wrote. Cancelling the iteration, or closing it (`contextlib.aclosing`),
        stops the agent. Any exception but `InvalidRequest` is the agent's failure.
        """
        ...

    async def interrupts(self, principal: Principal, thread_id: ThreadId) -> Sequence[Interrupt]:
        """What the thread waits for; empty when it waits for nobody. Costs nothing right after a `run` ended here.

        A breakpoint (`interrupt_before`, `interrupt_after`) is one interrupt whose value is `{"when": "breakpoint"}`.
        """
        ...

    async def state(
        self,
        principal: Principal,
        thread_id: ThreadId,
        *,
        checkpoint: Mapping[str, object] | None = None,
        subgraphs: bool = False,
    ) -> StateSnapshot:
        """The thread's newest state, or that at a checkpoint (`{checkpoint_id, checkpoint_ns?}`). Empty if it has none."""
        ...

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
        """Past states, newest first."""
        ...

    async def update_state(
        self,
        principal: Principal,
        thread_id: ThreadId,
        values: object,
        *,
        as_node: str | None = None,
        checkpoint: Mapping[str, object] | None = None,
    ) -> Mapping[str, object]:
        """Write to the state as if `as_node` had; returns the new checkpoint (`{thread_id, checkpoint_ns, checkpoint_id}`).

        `values` is an update or a list of them (each then a step).
        """
        ...

    def schemas(self) -> Mapping[str, object]:
        """JSON schemas: `input_schema, output_schema, state_schema, config_schema, context_schema`."""
        ...

    def drawing(self, *, xray: int | bool = False) -> Mapping[str, object]:
        """The agent as a graph: `{nodes: […], edges: […]}` in LangGraph's JSON."""
        ...

    def subgraphs(self, *, namespace: str | None = None, recurse: bool = False) -> Mapping[str, object]:
        """Schemas of the subgraphs by name."""
        ...


class AgentInfo(msgspec.Struct, frozen=True):
    """An agent that is served. `problem` is one line that says why it can't be, if so."""

    agent_id: AgentId
    name: str
    description: str | None = None
    model: str | None = None
    """The model's label for people, where the agent is a built-in one."""
    notice: str | None = None
    """What people should know about the model, such as "a small local model answers"."""
    problem: str | None = None


class Agents(Protocol):
    """The agents that are served. Loading one may take seconds the first time; it happens once."""

    def list(self) -> Sequence[AgentInfo]:
        """All of them, in the order of the configuration; the first is the default."""
        ...

    async def engine(self, agent_id: AgentId) -> Engine:
        """The agent, loaded. Raises `NotFound`, or `AgentUnavailable` with the one-line reason."""
        ...
