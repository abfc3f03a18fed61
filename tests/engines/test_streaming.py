"""What a run's events say, in which order, and how they are batched."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import MessagesState
from langgraph.types import Command
from tests.engines.graphs import (
    ScriptedModel,
    WholeModel,
    batches_of,
    chat_graph,
    engine_for,
    events_of,
    failure_of,
    json_of,
    one_node_graph,
    read,
    request,
    run,
    tool_call,
    tool_graph,
)

from pilothouse.events import (
    CheckpointSaved,
    CustomEmitted,
    MessageChunk,
    MessageDelta,
    MessageFinished,
    StateUpdated,
    StateValues,
    TaskChanged,
    ToolFinished,
    ToolStarted,
)


def test_tokens_that_come_at_once_are_one_event_with_all_the_text() -> None:
    engine = engine_for(chat_graph(ScriptedModel(scripts=[["tok "] * 100])))
    events = run(events_of(engine, request()))
    assert [type(event) for event in events] == [MessageDelta]
    assert events[0].text == "tok " * 100


def test_the_first_token_is_handed_on_while_the_model_still_writes() -> None:
    async def scenario() -> None:
        rest = asyncio.Event()
        engine = engine_for(chat_graph(ScriptedModel(scripts=[["first ", rest, "second"]])))
        async with aclosing(engine.run(request())) as batches:
            first = await anext(batches)
            assert [event.text for event in first] == ["first "]
            rest.set()
            assert [event.text async for batch in batches for event in batch] == ["second"]

    run(scenario())


def test_a_slow_models_tokens_keep_one_message_id_and_lose_nothing() -> None:
    script: list[Any] = [piece for n in range(30) for piece in (f"{n} ", 0.002)]
    events = run(events_of(engine_for(chat_graph(ScriptedModel(scripts=[script]))), request()))
    assert "".join(event.text for event in events) == "".join(f"{n} " for n in range(30))
    assert len({event.message_id for event in events}) == 1
    assert 1 < len(events) < 30


def test_a_delta_says_which_node_it_comes_from() -> None:
    engine = engine_for(chat_graph(ScriptedModel(scripts=[["hi"]])))
    (delta,) = run(events_of(engine, request("run-7")))
    meta = read(delta.meta)
    assert meta["langgraph_node"] == "model"
    assert meta["run_id"] == "run-7"
    assert meta["thread_id"] == "thread"
    assert "tags" not in meta


def test_a_chunk_with_more_than_text_is_whole_and_in_its_place() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    script = ["a", AIMessageChunk(content="b", usage_metadata=usage), "c"]
    delta, chunk, last = run(events_of(engine_for(chat_graph(ScriptedModel(scripts=[script]))), request()))
    assert (delta.text, last.text) == ("a", "c")
    assert isinstance(chunk, MessageChunk)
    assert read(chunk.chunk)["type"] == "AIMessageChunk"
    assert read(chunk.chunk)["usage_metadata"]["total_tokens"] == 3


def test_response_metadata_that_repeats_is_sent_once() -> None:
    script = [AIMessageChunk(content=c, response_metadata={"model_provider": "openai"}) for c in "abc"]
    chunk, delta = run(events_of(engine_for(chat_graph(ScriptedModel(scripts=[script]))), request()))
    assert read(chunk.chunk)["content"] == "a"
    assert delta.text == "bc"


def test_a_model_that_does_not_stream_gives_its_message_whole() -> None:
    (event,) = run(events_of(engine_for(chat_graph(WholeModel(answer="all"))), request()))
    assert isinstance(event, MessageFinished)
    message = read(event.message)
    assert (message["type"], message["content"], message["tool_calls"]) == ("ai", "all", [])


def test_messages_that_a_node_returns_itself_are_shown_once() -> None:
    async def node(state: MessagesState) -> Any:
        return Command(update={"messages": [*state["messages"], AIMessage("made by hand")]})

    (event,) = run(events_of(engine_for(one_node_graph(node)), request()))
    assert isinstance(event, MessageFinished)
    assert read(event.message)["content"] == "made by hand"


def test_a_synchronous_nodes_model_streams_too() -> None:
    model = ScriptedModel(scripts=[["a", "b"]])

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [asyncio.run(model.ainvoke(state["messages"]))]}

    events = run(events_of(engine_for(one_node_graph(node)), request()))
    assert "".join(event.text for event in events) == "ab"


def test_a_tool_call_is_told_from_start_to_end_in_order() -> None:
    @tool
    async def weather(city: str) -> str:
        """The weather."""
        get_stream_writer()({"progress": city})
        return f"sunny in {city}"

    model = ScriptedModel(scripts=[[tool_call("weather", '{"city": "Rome"}')], ["It is sunny."]])
    events = run(events_of(engine_for(tool_graph(model, [weather])), request()))
    assert [type(event) for event in events] == [
        MessageChunk,
        ToolStarted,
        CustomEmitted,
        ToolFinished,
        MessageFinished,
        MessageDelta,
    ]
    _, started, custom, finished, message, _ = events
    assert (started.call_id, started.name, read(started.arguments)) == ("call-1", "weather", {"city": "Rome"})
    assert read(custom.data) == {"progress": "Rome"}
    assert (finished.call_id, read(finished.result), finished.error) == ("call-1", "sunny in Rome", None)
    assert read(message.message)["tool_call_id"] == "call-1"


def test_a_synchronous_tool_is_told_too() -> None:
    @tool
    def weather(city: str) -> str:
        """The weather."""
        return f"sunny in {city}"

    model = ScriptedModel(scripts=[[tool_call("weather", '{"city": "Rome"}')], ["ok"]])
    events = run(events_of(engine_for(tool_graph(model, [weather])), request()))
    assert [type(event) for event in events][1:3] == [ToolStarted, ToolFinished]


def test_a_tool_that_a_synchronous_node_calls_is_told_too() -> None:
    @tool
    def weather(city: str) -> str:
        """The weather."""
        return f"sunny in {city}"

    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(weather.invoke({"city": "Rome"}))]}

    started, finished, message = run(events_of(engine_for(one_node_graph(node)), request()))
    assert read(started.arguments) == {"city": "Rome"}
    assert (finished.call_id, read(finished.result)) == (started.call_id, "sunny in Rome")
    assert read(message.message)["content"] == "sunny in Rome"


def test_a_tool_that_fails_says_why() -> None:
    @tool
    async def weather(city: str) -> str:
        """The weather."""
        raise ValueError("no such city")

    model = ScriptedModel(scripts=[[tool_call("weather", '{"city": "x"}')], ["ok"]])
    events, failure = run(failure_of(engine_for(tool_graph(model, [weather])), request()))
    assert isinstance(failure, ValueError)
    assert isinstance(events[-1], ToolFinished)
    assert events[-1].error == "no such city"


def test_only_the_modes_asked_for_are_in_the_log() -> None:
    engine = engine_for(chat_graph(ScriptedModel(scripts=[["hi"]])))
    modes = ("values", "updates", "tasks", "checkpoints")
    events = run(events_of(engine, request(stream_modes=modes)))
    kinds = {type(event) for event in events}
    assert kinds == {MessageDelta, StateValues, StateUpdated, TaskChanged, CheckpointSaved}
    values = [read(event.data) for event in events if isinstance(event, StateValues)]
    assert [len(each["messages"]) for each in values] == [1, 2]
    assert values[0]["messages"][0]["type"] == "human"
    assert values[0]["messages"][0]["id"], "an id is minted for a message that has none"
    (update,) = [read(event.data) for event in events if isinstance(event, StateUpdated)]
    assert update["model"]["messages"][0]["content"] == "hi"
    assert [type(event) for event in events].index(MessageDelta) < [type(e) for e in events].index(
        StateUpdated
    )


def test_the_events_mode_logs_the_updates_that_it_is_made_of() -> None:
    engine = engine_for(chat_graph(ScriptedModel(scripts=[["hi"]])))
    events = run(events_of(engine, request(stream_modes=("events", "updates"))))
    assert [type(event) for event in events] == [MessageDelta, StateUpdated]


def test_a_checkpoint_event_names_its_checkpoint_and_holds_nothing_internal() -> None:
    engine = engine_for(chat_graph(ScriptedModel(scripts=[["hi"]])))
    events = run(events_of(engine, request(stream_modes=("checkpoints", "debug"))))
    saved = [read(event.data) for event in events if isinstance(event, CheckpointSaved)]
    assert set(saved[-1]["checkpoint"]) == {"thread_id", "checkpoint_ns", "checkpoint_id"}
    assert saved[-1]["parent_checkpoint"]["checkpoint_id"] == saved[-2]["checkpoint"]["checkpoint_id"]
    assert all(
        set(each["config"]["configurable"]) <= {"thread_id", "checkpoint_ns", "checkpoint_id"}
        for each in saved
    )


@pytest.mark.parametrize("subgraphs", [False, True])
def test_messages_of_subgraphs_are_there_when_asked_for(subgraphs: bool) -> None:
    inner = chat_graph(ScriptedModel(scripts=[["inner"]])).compile()
    engine = engine_for(one_node_graph(inner, "child"))
    events = run(events_of(engine, request(stream_subgraphs=subgraphs, stream_modes=("values",))))
    deltas = [event for event in events if isinstance(event, MessageDelta)]
    assert len(deltas) == subgraphs
    namespaces = {event.namespace for event in events if isinstance(event, StateValues)}
    assert () in namespaces
    if subgraphs:
        assert deltas[0].namespace[0].startswith("child:")
        assert deltas[0].namespace in namespaces


def test_a_graph_with_a_thread_of_its_own_is_no_part_of_the_run() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    model = ScriptedModel(scripts=[[tool_call("look", "{}")], ["aside"]])
    other = tool_graph(model, [look]).compile(checkpointer=InMemorySaver())

    async def node(state: MessagesState) -> dict[str, Any]:
        aside = await other.ainvoke({"messages": [("user", "?")]}, {"configurable": {"thread_id": "own"}})
        return {"messages": [AIMessage(f"heard {aside['messages'][-1].content}")]}

    (event,) = run(events_of(engine_for(one_node_graph(node)), request()))
    assert read(event.message)["content"] == "heard aside"


def test_the_functional_api_streams_what_its_tasks_say() -> None:
    @task
    async def think(text: str) -> str:
        return str((await ScriptedModel(scripts=[["thought"]]).ainvoke(text)).content)

    @entrypoint()
    async def flow(messages: Any) -> str:
        return await think("?")

    (delta,) = run(events_of(engine_for(flow), request()))
    assert (delta.text, delta.namespace) == ("thought", ())


def test_parallel_models_each_keep_their_own_text() -> None:
    async def node(state: MessagesState) -> dict[str, Any]:
        models = [ScriptedModel(scripts=[[piece for _ in range(20) for piece in (c, 0.0)]]) for c in "ab"]
        return {"messages": await asyncio.gather(*(m.ainvoke(state["messages"]) for m in models))}

    events = run(events_of(engine_for(one_node_graph(node)), request()))
    texts: dict[str, str] = {}
    for event in events:
        texts[event.message_id] = texts.get(event.message_id, "") + event.text
    assert sorted(texts.values()) == ["a" * 20, "b" * 20]


def test_a_slow_consumer_holds_the_graph_back() -> None:
    async def scenario() -> None:
        steps = 0
        far_ahead = asyncio.Event()

        async def node(state: MessagesState) -> Any:
            nonlocal steps
            steps += 1
            if steps == 400:
                far_ahead.set()
            get_stream_writer()(steps)
            return Command(goto="node" if steps < 500 else "__end__")

        engine = engine_for(one_node_graph(node))
        config = json_of({"recursion_limit": 1000})
        async with aclosing(engine.run(request(config=config))) as batches:
            events = list(await anext(batches))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(far_ahead.wait(), 1)
            events += [event async for batch in batches for event in batch]
        assert [read(event.data) for event in events] == list(range(1, 501))

    run(scenario())


def test_batches_are_never_empty() -> None:
    engine = engine_for(chat_graph(ScriptedModel(scripts=[["a", 0.02, "b", 0.02]])))
    batches = run(batches_of(engine, request(stream_modes=("values", "updates"))))
    assert all(batches)
