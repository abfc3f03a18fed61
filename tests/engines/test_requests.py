"""What a request may ask of a graph, and what is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
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
from pilothouse.events import Json
from pilothouse.ports.principals import LOCAL


def talker() -> StateGraph[Any, Any, Any, Any]:
    return chat_graph(ScriptedModel(scripts=[["hello"]]))


def refusal(graph: StateGraph[Any, Any, Any, Any], **fields: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        run(events_of(engine_for(graph), request(**fields)))
    return str(refused.value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input": json_of("hi")}, "Expected dict"),
        ({"input": json_of({"messages": [{"role": "nobody", "content": "x"}]})}, "nobody"),
        ({"input": json_of({"messages": [{"content": "x"}]})}, "role"),
        ({"input": None}, "no input"),
        ({"input": Json(b"{")}, "`input` is not valid JSON"),
        ({"command": json_of(["x"])}, "`command` must be a JSON object"),
        ({"command": json_of({"resum": 1})}, "no field 'resum'"),
        ({"command": json_of({"goto": "nowhere"})}, "'nowhere', which is no node of the agent: it has model"),
        ({"command": json_of({"goto": 3})}, "command.goto"),
        ({"interrupt_before": ("nowhere",)}, "`interrupt_before` names 'nowhere'"),
        ({"config": json_of({"recursion_limit": 0})}, "recursion_limit"),
        ({"config": json_of({"tags": "x"})}, "config.tags"),
        ({"config": json_of({"configurable": [1]})}, "config.configurable"),
        ({"checkpoint": json_of({"checkpoint_id": 5})}, "checkpoint_id"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(talker(), **fields)


def test_an_agents_own_value_error_is_not_the_requests_fault() -> None:
    async def node(state: MessagesState) -> dict[str, Any]:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run(events_of(engine_for(one_node_graph(node)), request()))


def test_a_refused_input_leaves_the_thread_usable() -> None:
    async def scenario() -> None:
        engine = engine_for(talker())
        with pytest.raises(InvalidRequest):
            await events_of(
                engine, request(input=json_of({"messages": [{"role": "nobody", "content": "x"}]}))
            )
        await events_of(engine, request("run-2"))
        messages = read(await engine.state(LOCAL, THREAD))["values"]["messages"]
        assert [message["content"] for message in messages] == ["hi", "hello"]

    run(scenario())


def test_a_node_sees_who_calls_and_what_for() -> None:
    seen: dict[str, Any] = {}

    async def node(state: MessagesState, config: RunnableConfig, runtime: Runtime[Any]) -> dict[str, Any]:
        seen.update(config.get("configurable", {}))
        seen["metadata"] = config.get("metadata")
        seen["server_info"] = runtime.server_info
        return {}

    asked = {"configurable": {"tone": "dry", "thread_id": "another's", "__pregel_store": "x"}, "tags": ["t"]}
    run(events_of(engine_for(one_node_graph(node)), request("run-3", config=json_of(asked))))
    assert (seen["tone"], seen["thread_id"], seen["run_id"]) == ("dry", "thread", "run-3")
    assert (seen["assistant_id"], seen["graph_id"]) == ("agent", "agent")
    assert seen["langgraph_auth_user"].identity == "local"
    assert seen["langgraph_auth_user"]["identity"] == "local"
    assert "x" not in [
        value for key, value in seen.items() if isinstance(value, str) and key.startswith("__")
    ]
    assert seen["metadata"]["run_id"] == "run-3"
    assert seen["server_info"].user.identity == "local"


@dataclass
class Tone:
    tone: str = "plain"


def told_tone(state: MessagesState, runtime: Runtime[Tone]) -> dict[str, Any]:
    return {"messages": [AIMessage(runtime.context.tone if runtime.context else "none")]}


def tone_graph() -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(MessagesState, context_schema=Tone)
    builder.add_node("node", told_tone)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder


@pytest.mark.parametrize(
    "fields",
    [{"context": {"tone": "dry"}}, {"config": {"configurable": {"tone": "dry"}}}],
)
def test_a_context_reaches_the_graph_also_by_the_older_way(fields: Mapping[str, Any]) -> None:
    encoded = {name: json_of(value) for name, value in fields.items()}
    (event,) = run(events_of(engine_for(tone_graph()), request(**encoded)))
    assert read(event.message)["content"] == "dry"


def test_a_context_that_does_not_fit_is_refused() -> None:
    assert "colour" in refusal(tone_graph(), context=json_of({"colour": "red"}))


def test_a_command_updates_the_state_and_goes_to_a_node() -> None:
    async def scenario() -> None:
        engine = engine_for(talker())
        command = {"update": {"messages": [{"role": "user", "content": "from a command"}]}, "goto": "model"}
        await events_of(engine, request())
        await events_of(engine, request("run-2", command=json_of(command)))
        messages = read(await engine.state(LOCAL, THREAD))["values"]["messages"]
        assert [message["content"] for message in messages] == ["hi", "hello", "from a command", "hello"]

    run(scenario())


def test_a_send_command_gives_a_node_its_own_input() -> None:
    async def node(state: Mapping[str, Any]) -> dict[str, Any]:
        return {"messages": [AIMessage(f"got {state.get('piece')}")]}

    async def scenario() -> None:
        engine = engine_for(one_node_graph(node))
        await events_of(engine, request())
        command = json_of({"goto": [{"node": "node", "input": {"piece": 7}}]})
        events = await events_of(engine, request("run-2", command=command))
        assert "got 7" in [read(event.message)["content"] for event in events]

    run(scenario())


def test_a_run_from_an_earlier_checkpoint_branches_off_there() -> None:
    async def scenario() -> None:
        engine = engine_for(talker())
        await events_of(engine, request())
        first = read(await engine.state(LOCAL, THREAD))
        await events_of(engine, request("run-2"))
        await events_of(engine, request("run-3", checkpoint=json_of(first["checkpoint"])))
        messages = read(await engine.state(LOCAL, THREAD))["values"]["messages"]
        assert [message["content"] for message in messages] == ["hi", "hello", "hi", "hello"]

    run(scenario())
