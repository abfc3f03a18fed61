"""States, history, updates and what is told of a graph, in the shapes that the SDKs read."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt
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

from pilothouse.engines.langgraph.engine import LangGraphEngine
from pilothouse.errors import InvalidRequest
from pilothouse.events import ThreadId
from pilothouse.ports.principals import LOCAL


def talker(saver: InMemorySaver | None = None) -> LangGraphEngine:
    return engine_for(chat_graph(ScriptedModel(scripts=[["hello"]])), saver)


def said(state: Any) -> list[str]:
    return [message["content"] for message in state["values"]["messages"]]


def test_a_state_has_the_shape_that_sdks_read() -> None:
    async def scenario() -> None:
        engine = talker()
        await events_of(engine, request("run-1"))
        state = read(await engine.state(LOCAL, THREAD))
        assert set(state) == {
            "values",
            "next",
            "tasks",
            "metadata",
            "created_at",
            "checkpoint",
            "parent_checkpoint",
            "interrupts",
        }
        assert set(state["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
        assert state["checkpoint"]["thread_id"] == THREAD
        assert state["metadata"]["run_id"] == "run-1"
        assert (state["next"], state["tasks"], state["interrupts"]) == ([], [], [])
        assert said(state) == ["hi", "hello"]
        assert [message["type"] for message in state["values"]["messages"]] == ["human", "ai"]

    run(scenario())


def test_a_thread_without_runs_has_an_empty_state() -> None:
    state = read(run(talker().state(LOCAL, ThreadId("new"))))
    assert (state["values"], state["next"], state["created_at"]) == ({}, [], None)
    assert state["checkpoint"] == {"thread_id": "new", "checkpoint_ns": "", "checkpoint_id": None}


def test_history_is_newest_first_and_can_be_cut_and_filtered() -> None:
    async def scenario() -> None:
        engine = talker()
        await events_of(engine, request("run-1"))
        await events_of(engine, request("run-2"))
        past = [read(each) for each in await engine.history(LOCAL, THREAD)]
        steps = [each["metadata"]["step"] for each in past]
        assert steps == sorted(steps, reverse=True)
        assert past[0]["parent_checkpoint"] == past[1]["checkpoint"]
        assert len(await engine.history(LOCAL, THREAD, limit=2)) == 2
        before = await engine.history(LOCAL, THREAD, before=past[1]["checkpoint"], limit=1)
        assert read(before[0])["checkpoint"] == past[2]["checkpoint"]
        first = [read(each) for each in await engine.history(LOCAL, THREAD, metadata={"run_id": "run-1"})]
        assert {each["metadata"]["run_id"] for each in first} == {"run-1"}
        old = read(await engine.state(LOCAL, THREAD, checkpoint=first[0]["checkpoint"]))
        assert said(old) == ["hi", "hello"]

    run(scenario())


def test_an_update_is_a_new_checkpoint_written_as_a_node() -> None:
    async def scenario() -> None:
        engine = talker()
        await events_of(engine, request())
        old = read(await engine.state(LOCAL, THREAD))
        reply = {**old["values"]["messages"][1], "content": "edited"}
        checkpoint = await engine.update_state(LOCAL, THREAD, {"messages": [reply]}, as_node="model")
        state = read(await engine.state(LOCAL, THREAD))
        assert state["checkpoint"] == checkpoint
        assert state["parent_checkpoint"] == old["checkpoint"]
        assert said(state) == ["hi", "edited"]

    run(scenario())


def test_an_update_of_several_values_is_several_steps() -> None:
    async def scenario() -> None:
        engine = talker()
        values = [{"messages": [{"role": "user", "content": text}]} for text in ("a", "b")]
        await engine.update_state(LOCAL, THREAD, values, as_node="model")
        assert said(read(await engine.state(LOCAL, THREAD))) == ["a", "b"]
        assert len(await engine.history(LOCAL, THREAD)) == 2

    run(scenario())


def test_an_update_at_an_older_checkpoint_forks_from_it() -> None:
    async def scenario() -> None:
        engine = talker()
        await events_of(engine, request("run-1"))
        first = read(await engine.state(LOCAL, THREAD))
        await events_of(engine, request("run-2"))
        update = {"messages": [{"role": "user", "content": "instead"}]}
        await engine.update_state(LOCAL, THREAD, update, as_node="model", checkpoint=first["checkpoint"])
        assert said(read(await engine.state(LOCAL, THREAD))) == ["hi", "hello", "instead"]

    run(scenario())


@pytest.mark.parametrize(
    ("values", "as_node"), [({"messages": []}, "nowhere"), ("text", "model"), ({"nothing": 1}, "nowhere")]
)
def test_an_update_that_does_not_fit_is_refused(values: object, as_node: str) -> None:
    with pytest.raises(InvalidRequest):
        run(talker().update_state(LOCAL, THREAD, values, as_node=as_node))


def test_a_waiting_subgraphs_state_is_in_its_task_when_asked_for() -> None:
    async def ask(state: Any) -> dict[str, Any]:
        interrupt("well?")
        return {}

    async def scenario() -> None:
        engine = engine_for(one_node_graph(one_node_graph(ask, "inner").compile(), "child"))
        await events_of(engine, request())
        (task,) = read(await engine.state(LOCAL, THREAD))["tasks"]
        assert task["state"] is None
        assert task["checkpoint"]["checkpoint_ns"].startswith("child:")
        (deep,) = read(await engine.state(LOCAL, THREAD, subgraphs=True))["tasks"]
        assert deep["state"]["next"] == ["inner"]
        inner = read(await engine.state(LOCAL, THREAD, checkpoint=deep["state"]["checkpoint"]))
        assert inner["next"] == ["inner"]
        await events_of(engine, request("run-2", command=json_of({"resume": "so"})))
        assert read(await engine.state(LOCAL, THREAD))["next"] == []

    run(scenario())


def test_schemas_describe_what_the_graph_takes_and_gives() -> None:
    told: Any = talker().schemas()
    assert set(told) == {"input_schema", "output_schema", "state_schema", "config_schema", "context_schema"}
    assert "messages" in told["input_schema"]["properties"]
    assert "messages" in told["state_schema"]["properties"]


def test_a_drawing_has_the_nodes_and_edges() -> None:
    drawn: Any = talker().drawing()
    assert [node["id"] for node in drawn["nodes"]] == ["__start__", "model", "__end__"]
    assert {"source": "__start__", "target": "model"} in drawn["edges"]


def test_subgraphs_are_told_by_name() -> None:
    inner = chat_graph(ScriptedModel(scripts=[["x"]])).compile()
    engine = engine_for(one_node_graph(inner, "child"))
    told: Any = engine.subgraphs()
    assert set(told) == {"child"}
    assert "messages" in told["child"]["input_schema"]["properties"]
    assert engine.subgraphs(namespace="other") == {}
    drawn: Any = engine.drawing(xray=True)
    assert "child:model" in [node["id"] for node in drawn["nodes"]]
