"""Runs that wait for a human, and how they go on."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send, interrupt
from tests.engines.graphs import (
    THREAD,
    ScriptedModel,
    chat_graph,
    engine_for,
    events_of,
    json_of,
    one_node_graph,
    read,
    request,
    run,
)

from pilothouse.errors import InvalidRequest
from pilothouse.events import MessageFinished, StateUpdated, StateValues
from pilothouse.ports.principals import LOCAL


async def approve(state: MessagesState) -> dict[str, Any]:
    answer = interrupt({"question": "may I?"})
    return {"messages": [AIMessage(f"answer: {answer}")]}


def test_an_interrupt_ends_the_run_and_tells_what_is_asked() -> None:
    async def scenario() -> None:
        engine = engine_for(one_node_graph(approve))
        events = await events_of(engine, request(stream_modes=("updates", "values")))
        (asked,) = await engine.interrupts(LOCAL, THREAD)
        assert read(asked.value) == {"question": "may I?"}
        (update,) = [read(event.data) for event in events if isinstance(event, StateUpdated)]
        assert update["__interrupt__"][0]["id"] == asked.id
        assert "__interrupt__" in read([e for e in events if isinstance(e, StateValues)][-1].data)
        state = read(await engine.state(LOCAL, THREAD))
        assert state["next"] == ["node"]
        assert state["interrupts"] == [{"id": asked.id, "value": {"question": "may I?"}}]
        assert state["tasks"][0]["interrupts"] == state["interrupts"]

    run(scenario())


def test_what_a_thread_waits_for_is_known_to_another_engine_too() -> None:
    async def scenario() -> None:
        saver = InMemorySaver()
        here, elsewhere = (engine_for(one_node_graph(approve), saver) for _ in range(2))
        await events_of(here, request())
        assert await elsewhere.interrupts(LOCAL, THREAD) == await here.interrupts(LOCAL, THREAD)

    run(scenario())


@pytest.mark.parametrize("by_id", [False, True])
def test_a_resumed_run_goes_on_with_the_answer(by_id: bool) -> None:
    async def scenario() -> None:
        engine = engine_for(one_node_graph(approve))
        await events_of(engine, request())
        (asked,) = await engine.interrupts(LOCAL, THREAD)
        command = json_of({"resume": {asked.id: "yes"} if by_id else "yes"})
        (event,) = await events_of(engine, request("run-2", command=command))
        assert isinstance(event, MessageFinished)
        assert read(event.message)["content"] == "answer: yes"
        assert await engine.interrupts(LOCAL, THREAD) == ()
        assert read(await engine.state(LOCAL, THREAD))["next"] == []

    run(scenario())


def test_one_answer_for_two_questions_is_refused() -> None:
    async def scenario() -> None:
        builder = StateGraph(MessagesState)
        builder.add_node("node", approve)
        builder.add_conditional_edges(START, lambda state: [Send("node", state), Send("node", state)])
        builder.add_edge("node", END)
        engine = engine_for(builder)
        await events_of(engine, request())
        assert len(await engine.interrupts(LOCAL, THREAD)) == 2
        with pytest.raises(InvalidRequest, match="multiple pending interrupts"):
            await events_of(engine, request("run-2", command=json_of({"resume": "yes"})))

    run(scenario())


@pytest.mark.parametrize("breakpoints", [{"interrupt_before": ("model",)}, {"interrupt_before": "*"}])
def test_a_breakpoint_is_an_interrupt_that_any_resume_passes(breakpoints: dict[str, Any]) -> None:
    async def scenario() -> None:
        engine = engine_for(chat_graph(ScriptedModel(scripts=[["said"]])))
        assert await events_of(engine, request(**breakpoints)) == []
        (asked,) = await engine.interrupts(LOCAL, THREAD)
        assert read(asked.value) == {"when": "breakpoint"}
        (delta,) = await events_of(engine, request("run-2", input=None))
        assert delta.text == "said"
        assert await engine.interrupts(LOCAL, THREAD) == ()

    run(scenario())


def test_a_thread_that_never_ran_waits_for_nothing() -> None:
    engine = engine_for(one_node_graph(approve))
    assert run(engine.interrupts(LOCAL, THREAD)) == ()
