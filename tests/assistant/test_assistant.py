"""The built-in assistant, with a model server that speaks OpenAI's wire and follows a script."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from pilothouse.engines.assistant import (
    DEFAULT_INSTRUCTIONS,
    MAX_TOOL_ROUNDS,
    build_assistant,
    close_open_calls,
)
from pilothouse.testing.model_script import Answer, Call
from pilothouse.testing.model_servers import ModelServer
from pilothouse.tools import Tool, ToolError, tool

SECONDS = 20
THREAD: Any = {"configurable": {"thread_id": "1"}}


@tool(replay="safe")
async def double(number: int) -> str:
    """Double a number."""
    if number < 0:
        raise ToolError("Give a number that is not negative.")
    return f"{number} doubled is {number * 2}"


@tool()
async def broken() -> str:
    """Fails."""
    raise RuntimeError("secret detail")


@langchain_tool
def halve(number: int) -> str:
    """Halve a number."""
    return f"half of {number} is {number // 2}"


@langchain_tool
def shaky() -> str:
    """Fails too."""
    raise RuntimeError("secret detail")


def model_at(server: ModelServer) -> BaseChatModel:
    return ChatOpenAI(base_url=server.openai_url, api_key="key", model="test-model", max_retries=0)


class Conversation:
    """An assistant on one thread, and the server behind it."""

    def __init__(self, server: ModelServer, graph: Any) -> None:
        self.server = server
        self.graph = graph

    async def say(self, text: str) -> list[AnyMessage]:
        state = await self.graph.ainvoke({"messages": [HumanMessage(text)]}, THREAD)
        return state["messages"]

    def sent(self, request: int) -> list[dict[str, Any]]:
        return self.server.requests[request].body["messages"]


@asynccontextmanager
async def conversation(
    tools: Sequence[Tool | BaseTool] = (double, halve, broken, shaky), instructions: str | None = None
) -> AsyncIterator[Conversation]:
    async with asyncio.timeout(SECONDS), ModelServer() as server:
        graph = build_assistant("helper", model_at(server), instructions, tools)
        yield Conversation(server, graph.copy({"checkpointer": InMemorySaver()}))


def test_it_answers_by_calling_a_tool() -> None:
    async def scenario() -> None:
        async with conversation() as talk:
            talk.server.reply(tool="double", arguments={"number": 21})
            talk.server.reply("It is 42.")
            messages = await talk.say("double 21")
            assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
            assert messages[2].content == "21 doubled is 42"
            assert messages[3].content == "It is 42."
            assert talk.sent(1)[-1] == {
                "role": "tool",
                "content": "21 doubled is 42",
                "tool_call_id": messages[2].tool_call_id,
            }

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("instructions", "sent"),
    [(None, [DEFAULT_INSTRUCTIONS]), ("Be a pirate.", ["Be a pirate."]), ("", [])],
)
def test_instructions_come_first(instructions: str | None, sent: list[str]) -> None:
    async def scenario() -> None:
        async with conversation(instructions=instructions) as talk:
            talk.server.reply("Hello.")
            await talk.say("hi")
            assert [m["content"] for m in talk.sent(0)] == [*sent, "hi"]

    asyncio.run(scenario())


def test_an_assistant_without_tools_just_talks() -> None:
    async def scenario() -> None:
        async with conversation(tools=()) as talk:
            talk.server.reply("Hello.")
            assert (await talk.say("hi"))[-1].content == "Hello."
            assert "tools" not in talk.server.requests[0].body

    asyncio.run(scenario())


def test_tokens_stream_while_the_model_writes() -> None:
    async def scenario() -> None:
        async with conversation() as talk:
            hold = asyncio.Event()
            talk.server.reply("One two three.", hold=hold)
            tokens: list[str] = []
            stream = talk.graph.astream(
                {"messages": [("user", "count")]}, THREAD, stream_mode=["messages", "updates"]
            )
            async for mode, data in stream:
                if mode == "messages" and isinstance(data[0], AIMessageChunk) and data[0].content:
                    tokens.append(data[0].content)
                    hold.set()  # the rest is sent only after the first token has arrived here
            assert tokens == ["One ", "two ", "three."]

    asyncio.run(scenario())


def test_several_calls_of_one_answer_are_steps_of_their_own() -> None:
    async def scenario() -> None:
        async with conversation() as talk:
            talk.server.reply(calls=[Call("double", {"number": 1}), Call("halve", {"number": 8})])
            talk.server.reply("2 and 4.")
            updates = [
                update
                async for update in talk.graph.astream(
                    {"messages": [("user", "go")]}, THREAD, stream_mode="updates"
                )
                if "tools" in update
            ]
            contents = {update["tools"]["messages"][0].content for update in updates}
            assert contents == {"1 doubled is 2", "half of 8 is 4"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (Call("double", {"number": -1}), "Give a number that is not negative."),
        (Call("double", {"number": "many"}), "number: Input should be a valid integer"),
        (Call("halve", {"number": "many"}), "number: Input should be a valid integer"),
        (Call("broken"), "The tool broken failed."),
        (Call("shaky"), "The tool failed."),
        (Call("unheard_of"), "unheard_of is not a valid tool"),
    ],
    ids=lambda value: value.name if isinstance(value, Call) else "",
)
def test_a_call_that_fails_is_told_to_the_model_which_may_try_again(
    call: Call, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with conversation() as talk:
            talk.server.reply(calls=[call])
            talk.server.reply(tool="double", arguments={"number": 1})
            talk.server.reply("Done.")
            messages = await talk.say("go")
            assert isinstance(messages[2], ToolMessage)
            assert messages[2].status == "error"
            assert told in str(messages[2].content)
            assert "secret" not in str(messages[2].content)
            assert messages[-1].content == "Done."

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert ("secret detail" in caplog.text) is (call.name in {"broken", "shaky"})


def test_a_thread_stays_usable_after_a_run_was_cancelled_in_a_tool() -> None:
    async def scenario() -> None:
        reached = asyncio.Event()

        @tool()
        async def hang() -> str:
            """Never ends."""
            reached.set()
            return str(await asyncio.Event().wait())

        async with conversation(tools=[hang, double]) as talk:
            talk.server.reply(calls=[Call("hang", id="call_a"), Call("double", {"number": 2}, id="call_b")])
            async with asyncio.TaskGroup() as group:
                run = group.create_task(talk.say("go"))
                await reached.wait()
                run.cancel()
            talk.server.reply("Fine again.")
            messages = await talk.say("are you there?")
            assert messages[-1].content == "Fine again."
            sent = talk.sent(-1)
            assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool", "tool", "user"]
            assert {m["tool_call_id"] for m in sent[3:5]} == {"call_a", "call_b"}
            assert sent[3]["content"] == "Cancelled: the call did not finish."

    asyncio.run(scenario())


def test_results_of_calls_are_matched_only_right_behind_their_message() -> None:
    # Some servers number the calls of every answer anew.
    call = {"name": "double", "args": {}, "id": "call_0", "type": "tool_call"}
    first, second = AIMessage("", tool_calls=[call]), AIMessage("", tool_calls=[call])
    messages: list[AnyMessage] = [
        first,
        HumanMessage("again"),
        second,
        ToolMessage("4", tool_call_id="call_0"),
    ]
    closed = close_open_calls(messages)
    assert [message.type for message in closed] == ["ai", "tool", "human", "ai", "tool"]
    assert [message.content for message in closed if message.type == "tool"] == [
        "Cancelled: the call did not finish.",
        "4",
    ]


def test_malformed_arguments_are_told_to_the_model() -> None:
    class Malformed(ChatOpenAI):
        """A model that once wrote arguments which are not JSON."""

        async def _astream(self, messages: list[AnyMessage], *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            first = len(messages) == 2
            async for chunk in super()._astream(messages, *args, **kwargs):
                if first and chunk.message.tool_call_chunks:
                    for piece in chunk.message.tool_call_chunks:
                        piece["args"] = "nonsense"
                yield chunk

    async def scenario() -> None:
        async with asyncio.timeout(SECONDS), ModelServer() as server:
            model = Malformed(
                base_url=server.openai_url, api_key="key", model="m", streaming=True, max_retries=0
            )
            server.reply(tool="double", arguments={"number": 1})
            server.reply("Sorry.")
            state = await build_assistant("helper", model, None, [double]).ainvoke(
                {"messages": [("user", "go")]}
            )
            assert state["messages"][-1].content == "Sorry."
            assert (
                server.requests[1]
                .body["messages"][-1]["content"]
                .startswith("The arguments were not valid JSON")
            )

    asyncio.run(scenario())


def test_a_model_that_never_stops_calling_tools_has_to_answer() -> None:
    async def scenario() -> None:
        async with conversation() as talk:
            talk.server.otherwise = lambda request: (
                Answer(calls=[Call("double", {"number": 1})])
                if "tools" in request.body
                else Answer("Enough.")
            )
            messages = await talk.say("loop")
            assert messages[-1].content == "Enough."
            assert len(talk.server.requests) == MAX_TOOL_ROUNDS + 1
            assert "Answer now" in talk.sent(-1)[-1]["content"]
            assert [message.type for message in messages].count("human") == 1

    asyncio.run(scenario())
