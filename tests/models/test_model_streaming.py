"""The vendors' own clients, over real sockets, inside LangGraph as the engines use them."""

import asyncio
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from tests.models.model_providers import each_provider, open_model

from pilothouse.testing.model_script import Call
from pilothouse.testing.model_servers import ModelServer


@tool
async def calculate(expression: str) -> str:
    """Calculate an arithmetic expression."""
    return f"{expression} = 4"


def graph_of(model: Any) -> Any:
    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()


QUESTION = {"messages": [HumanMessage("What is 2+2?")]}


@each_provider
def test_a_token_reaches_the_reader_before_the_next_one_is_there(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model, asyncio.timeout(20):
            hold = asyncio.Event()
            server.reply("Four, of course", hold=hold)
            read = ""
            async for chunk, _ in graph_of(model).astream(QUESTION, stream_mode="messages"):
                read += chunk.text
                if read == "Four, ":
                    hold.set()
            assert read == "Four, of course"

    asyncio.run(scenario())


@each_provider
def test_the_pieces_of_a_streamed_message_have_one_id_which_is_the_finished_messages(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.reply("Four, of course")
            pieces, final = [], {}
            async for mode, data in graph_of(model).astream(QUESTION, stream_mode=["messages", "values"]):
                if mode == "messages":
                    pieces.append(data[0])
                else:
                    final = data
            message = final["messages"][-1]
            assert {piece.id for piece in pieces} == {message.id}
            assert message.text == "Four, of course"

    asyncio.run(scenario())


@each_provider
def test_a_streamed_tool_call_adds_up_to_its_name_and_arguments(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.reply("Let me see. ", tool="calculate", arguments={"expression": "2+2"})
            whole = AIMessageChunk("")
            graph = graph_of(model.bind_tools([calculate]))
            async for chunk, _ in graph.astream(QUESTION, stream_mode="messages"):
                whole += chunk
            assert whole.text == "Let me see. "
            (call,) = whole.tool_calls
            assert (call["name"], call["args"]) == ("calculate", {"expression": "2+2"})
            assert call["id"]

    asyncio.run(scenario())


@each_provider
def test_an_agent_calls_a_tool_and_goes_on_with_its_result(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.reply(
                calls=[
                    Call("calculate", {"expression": "2+2"}),
                    Call("calculate", {"expression": "1+3"}),
                ]
            )
            server.reply("Both are four.")
            state = await create_agent(model, [calculate]).ainvoke(QUESTION)
            assert state["messages"][-1].text == "Both are four."
            first, second = server.requests
            assert "calculate" in str(first.body["tools"])
            assert "2+2 = 4" in str(second.body)
            assert "1+3 = 4" in str(second.body)

    asyncio.run(scenario())


def test_gemini_gets_the_signature_of_its_tool_call_back_through_a_checkpoint_and_in_later_turns() -> None:
    """Gemini 3 refuses a call without it, and so does the server of these tests."""

    async def scenario() -> None:
        async with ModelServer() as server, open_model("gemini", server) as model:
            server.reply(calls=[Call("calculate", {"expression": "2+2"}, signature="c2lnbmVk")])
            server.reply("Four.")
            server.reply("As I said, four.")
            agent = create_agent(model, [calculate], checkpointer=InMemorySaver(), interrupt_before=["tools"])
            config: Any = {"configurable": {"thread_id": "1"}}
            await agent.ainvoke(QUESTION, config)
            await agent.ainvoke(None, config)
            state = await agent.ainvoke({"messages": [HumanMessage("Sure?")]}, config)
            assert state["messages"][-1].text == "As I said, four."
            for request in server.requests[1:]:
                (part,) = request.body["contents"][1]["parts"]
                assert part["thoughtSignature"] == "c2lnbmVk"

    asyncio.run(scenario())


@each_provider
def test_streamed_text_is_plain_and_the_usage_comes_once(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.reply("Four, of course")
            options = {"stream_usage": True} if provider == "openai" else {}
            pieces = [chunk async for chunk in model.astream("What is 2+2?", **options)]
            assert [piece.content for piece in pieces if piece.content] == ["Four, ", "of ", "course"]
            (usage,) = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
            assert (usage["input_tokens"], usage["output_tokens"]) == (10, 3)

    asyncio.run(scenario())


@each_provider
def test_an_answer_can_also_come_in_one_piece(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.reply("Four.", tool="calculate", arguments={"expression": "2+2"})
            message = await model.bind_tools([calculate]).ainvoke("What is 2+2?")
            assert message.text == "Four."
            assert message.tool_calls[0]["args"] == {"expression": "2+2"}
            assert message.usage_metadata
            assert message.usage_metadata["input_tokens"] == 10

    asyncio.run(scenario())


@each_provider
def test_cancelling_a_run_closes_the_connection_to_the_model(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model, asyncio.timeout(20):
            server.reply("Once upon a time", hold=asyncio.Event())
            begun = asyncio.Event()

            async def run() -> None:
                async for chunk, _ in graph_of(model).astream(QUESTION, stream_mode="messages"):
                    if chunk.text:
                        begun.set()

            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(run())
                await begun.wait()
                call.cancel()
            await server.requests[0].gone.wait()

    asyncio.run(scenario())
