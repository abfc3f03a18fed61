"""A plain async function is an agent like any other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from tests.engines.graphs import THREAD, engine_for, events_of, failure_of, read, request, run

from pilothouse.engines.function import FunctionContext, function_graph
from pilothouse.engines.langgraph.engine import LangGraphEngine
from pilothouse.errors import AgentUnavailable
from pilothouse.events import MessageDelta
from pilothouse.ports.principals import LOCAL


def engine(function: Any) -> LangGraphEngine:
    return engine_for(function_graph(function, "echo"))


async def contents(of: LangGraphEngine) -> list[str]:
    return [message["content"] for message in read(await of.state(LOCAL, THREAD))["values"]["messages"]]


def test_a_function_answers_and_is_given_the_conversation() -> None:
    async def echo(messages: list[Any]) -> str:
        return " | ".join(message.content for message in messages)

    async def scenario() -> None:
        echoing = engine(echo)
        (event,) = await events_of(echoing, request("run-1"))
        assert isinstance(event, MessageDelta)
        assert event.text == "hi"
        await events_of(echoing, request("run-2"))
        assert await contents(echoing) == ["hi", "hi", "hi", "hi | hi | hi"]

    run(scenario())


def test_a_generators_pieces_are_streamed_as_they_come() -> None:
    async def scenario() -> None:
        rest = asyncio.Event()

        async def speak(messages: list[Any]) -> AsyncIterator[str]:
            yield "first "
            await rest.wait()
            yield "second"

        speaking = engine(speak)
        async with aclosing(speaking.run(request())) as batches:
            assert [event.text for event in await anext(batches)] == ["first "]
            rest.set()
            assert [event.text async for batch in batches for event in batch] == ["second"]
        assert await contents(speaking) == ["hi", "first second"]

    run(scenario())


def test_a_function_may_ask_where_it_is() -> None:
    async def where(messages: list[Any], context: FunctionContext) -> str:
        return f"{context.thread_id} {context.run_id} {context.user}"

    (event,) = run(events_of(engine(where), request("run-5")))
    assert event.text == "thread run-5 local"


def test_an_object_that_can_be_called_is_as_good() -> None:
    class Counter:
        async def __call__(self, messages: list[Any]) -> str:
            return str(len(messages))

    (event,) = run(events_of(engine(Counter()), request()))
    assert event.text == "1"


def test_a_stopped_run_closes_the_functions_generator() -> None:
    async def scenario() -> None:
        closed = asyncio.Event()

        async def speak(messages: list[Any]) -> AsyncIterator[str]:
            try:
                yield "first"
                await asyncio.Event().wait()
            finally:
                closed.set()

        async with aclosing(engine(speak).run(request())) as batches:
            await anext(batches)
        assert closed.is_set()

    run(scenario())


def test_a_functions_error_is_its_own() -> None:
    async def fail(messages: list[Any]) -> str:
        raise ValueError("a bug")

    _, failure = run(failure_of(engine(fail), request()))
    assert isinstance(failure, ValueError)


def test_a_function_that_gives_no_text_is_told_so() -> None:
    async def count(messages: list[Any]) -> int:
        return 3

    _, failure = run(failure_of(engine(count), request()))
    assert "gave a int: return text" in str(failure)


def synchronous(messages: list[Any]) -> str:
    return ""


async def without_arguments() -> str:
    return ""


@pytest.mark.parametrize(
    ("function", "reason"),
    [(synchronous, "is not an async function"), (without_arguments, "takes 0 arguments")],
)
def test_a_function_of_another_shape_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(AgentUnavailable, match=reason):
        function_graph(function, "odd")
