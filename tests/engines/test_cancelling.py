"""Stopping a run stops its graph, whatever it is doing."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.tools import tool
from langgraph.graph import MessagesState, StateGraph
from tests.engines.graphs import (
    THREAD,
    ScriptedModel,
    chat_graph,
    engine_for,
    events_of,
    failure_of,
    one_node_graph,
    read,
    request,
    run,
    tool_call,
    tool_graph,
)

from pilothouse.ports.principals import LOCAL


class Hang:
    """A place where a graph hangs until it is stopped."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.stopped = asyncio.Event()

    async def here(self) -> None:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


def in_a_node(hang: Hang) -> StateGraph[Any, Any, Any, Any]:
    async def node(state: MessagesState) -> dict[str, Any]:
        await hang.here()
        return {}

    return one_node_graph(node)


def in_a_tool(hang: Hang) -> StateGraph[Any, Any, Any, Any]:
    @tool
    async def wait() -> str:
        """Wait."""
        await hang.here()
        return ""

    return tool_graph(ScriptedModel(scripts=[[tool_call("wait", "{}")]]), [wait])


def in_a_model(hang: Hang) -> StateGraph[Any, Any, Any, Any]:
    class HangingModel(ScriptedModel):
        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk
            await hang.here()

    return chat_graph(HangingModel(scripts=[["begin"]]))


@pytest.mark.parametrize("place", [in_a_node, in_a_tool, in_a_model])
@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_hanging_graph_is_stopped_at_once(
    place: Callable[[Hang], StateGraph[Any, Any, Any, Any]], how: str
) -> None:
    async def cancel(hang: Hang, running: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(running)
        await hang.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def scenario() -> None:
        hang = Hang()
        engine = engine_for(place(hang))
        if how == "cancel":
            await cancel(hang, events_of(engine, request()))
        else:
            async with aclosing(engine.run(request(stream_modes=("values",)))) as batches:
                await anext(batches)
                await hang.reached.wait()
        assert hang.stopped.is_set()
        assert len(asyncio.all_tasks()) == 1

    began = time.monotonic()
    run(scenario())
    assert time.monotonic() - began < 3


def test_a_blocking_tool_does_not_keep_the_run_from_stopping() -> None:
    release = threading.Event()

    def node(state: MessagesState) -> dict[str, Any]:
        release.wait(10)
        return {}

    async def scenario() -> None:
        engine = engine_for(one_node_graph(node))
        began = time.monotonic()
        try:
            async with aclosing(engine.run(request(stream_modes=("values",)))) as batches:
                await anext(batches)
            assert time.monotonic() - began < 2
        finally:
            release.set()

    run(scenario())


def test_a_thread_is_usable_after_its_run_was_stopped() -> None:
    async def scenario() -> None:
        model = ScriptedModel(scripts=[["one", asyncio.Event()], ["two"]])
        engine = engine_for(chat_graph(model))
        async with aclosing(engine.run(request())) as batches:
            await anext(batches)
        await events_of(engine, request("run-2"))
        messages = read(await engine.state(LOCAL, THREAD))["values"]["messages"]
        assert [message["content"] for message in messages] == ["hi", "hi", "two"]

    run(scenario())


def test_an_error_comes_after_the_events_that_led_to_it() -> None:
    class FailingModel(ScriptedModel):
        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk
            raise ConnectionError("the line went dead")

    engine = engine_for(chat_graph(FailingModel(scripts=[["half a sen"]])))
    events, failure = run(failure_of(engine, request()))
    assert [event.text for event in events] == ["half a sen"]
    assert isinstance(failure, ConnectionError)
