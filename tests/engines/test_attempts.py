"""What a second attempt at a run does after the process of the first has died."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from tests.engines.graphs import THREAD, engine_for, events_of, json_of, read, request, run

from pilothouse.engines.langgraph.engine import Fence, LangGraphEngine
from pilothouse.engines.langgraph.factories import FixedGraph
from pilothouse.ports.principals import LOCAL, Principal, UserId


class Steps:
    """Two steps; the second fails as often as told, like a process that dies there."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.ran: list[str] = []

    def graph(self) -> StateGraph[Any, Any, Any, Any]:
        builder = StateGraph(MessagesState)
        builder.add_node("first", self.first)
        builder.add_node("second", self.second)
        builder.add_edge(START, "first")
        builder.add_edge("first", "second")
        builder.add_edge("second", END)
        return builder

    async def first(self, state: MessagesState) -> dict[str, Any]:
        self.ran.append("first")
        return {"messages": [AIMessage("one")]}

    async def second(self, state: MessagesState) -> dict[str, Any]:
        self.ran.append("second")
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError("gone")
        return {"messages": [AIMessage("two")]}


async def contents(engine: LangGraphEngine) -> list[str]:
    state = read(await engine.state(LOCAL, THREAD))
    return [message["content"] for message in state["values"]["messages"]]


def test_the_second_attempt_goes_on_from_the_last_checkpoint() -> None:
    async def scenario() -> None:
        steps = Steps(failures=1)
        engine = engine_for(steps.graph())
        with pytest.raises(ConnectionResetError):
            await events_of(engine, request(durability="sync"))
        await events_of(engine, request(attempt=2))
        assert steps.ran == ["first", "second", "second"]
        assert await contents(engine) == ["hi", "one", "two"]

    run(scenario())


def test_an_attempt_of_a_run_that_saved_nothing_begins_with_its_input() -> None:
    async def scenario() -> None:
        steps = Steps()
        engine = engine_for(steps.graph())
        await events_of(engine, request("run-1"))
        await events_of(engine, request("run-2", attempt=2))
        assert await contents(engine) == ["hi", "one", "two", "hi", "one", "two"]

    run(scenario())


def test_an_attempt_after_the_run_had_finished_adds_nothing() -> None:
    async def scenario() -> None:
        steps = Steps()
        engine = engine_for(steps.graph())
        await events_of(engine, request())
        assert await events_of(engine, request(attempt=2)) == []
        assert steps.ran == ["first", "second"]
        assert await engine.interrupts(LOCAL, THREAD) == ()

    run(scenario())


@pytest.mark.parametrize("breakpoints", [{"interrupt_before": ("second",)}, {"interrupt_after": ("first",)}])
def test_a_second_attempt_does_not_pass_a_breakpoint(breakpoints: dict[str, Any]) -> None:
    async def scenario() -> None:
        steps = Steps()
        engine = engine_for(steps.graph())
        await events_of(engine, request(**breakpoints))
        await engine.interrupts(LOCAL, THREAD)
        assert await events_of(engine, request(attempt=2, **breakpoints)) == []
        assert steps.ran == ["first"]
        (asked,) = await engine.interrupts(LOCAL, THREAD)
        assert read(asked.value) == {"when": "breakpoint"}

    run(scenario())


def test_a_second_attempt_asks_the_same_question_again() -> None:
    async def ask_first(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(interrupt("sure?"))]}

    async def scenario() -> None:
        builder = StateGraph(MessagesState)
        builder.add_node("node", ask_first)
        builder.add_edge(START, "node")
        engine = engine_for(builder)
        await events_of(engine, request())
        (first,) = await engine.interrupts(LOCAL, THREAD)
        await events_of(engine, request(attempt=2))
        (second,) = await engine.interrupts(LOCAL, THREAD)
        assert first == second
        await events_of(engine, request("run-2", command=json_of({"resume": "yes"})))
        assert await contents(engine) == ["hi", "yes"]

    run(scenario())


def test_a_runs_checkpointer_carries_its_fence_and_a_readers_none() -> None:
    asked: list[tuple[Principal, Fence | None]] = []
    saver = InMemorySaver()

    def checkpointer_for(principal: Principal, fence: Fence | None) -> InMemorySaver:
        asked.append((principal, fence))
        return saver

    engine = LangGraphEngine(FixedGraph(Steps().graph().compile()), checkpointer_for)
    run(events_of(engine, request("run-9", attempt=3)))
    run(engine.state(Principal(UserId("ann")), THREAD))
    assert asked == [(LOCAL, ("run-9", 3)), (Principal(UserId("ann")), None)]
