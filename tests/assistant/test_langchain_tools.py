"""Our tools, as LangChain's models and tool nodes see them."""

import asyncio
from typing import Annotated

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langgraph.graph import MessagesState, StateGraph
from langgraph.types import interrupt

from pilothouse.engines.langchain_tools import as_langchain
from pilothouse.tools import Span, tool
from pilothouse.tools.builtin import builtin_tools


@tool(examples=[("weather in Oslo?", {"city": "Oslo"})], replay="safe")
async def weather(city: Annotated[str, "The city.", Span], config: str = "", run_manager: str = "") -> str:
    """The weather now."""
    return f"Sunny in {city}{config}{run_manager}."


def test_the_schema_goes_to_the_model_as_it_is() -> None:
    assert convert_to_openai_tool(as_langchain(weather)) == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather now.",
            "parameters": dict(weather.parameters),
        },
    }


def test_examples_and_replay_travel_with_the_tool() -> None:
    converted = as_langchain(weather)
    assert converted.extras == {"examples": [{"request": "weather in Oslo?", "arguments": {"city": "Oslo"}}]}
    assert converted.metadata == {"replay": "safe"}


def test_gemini_takes_the_schemas() -> None:
    model = ChatGoogleGenerativeAI(model="gemini-test", api_key="key")
    bound = model.bind_tools([as_langchain(tool) for tool in (weather, *builtin_tools().values())])
    assert "calculate" in str(bound)


@pytest.mark.parametrize("arguments", [{"city": "Oslo"}, {"city": "Oslo", "config": "!", "run_manager": "?"}])
def test_a_call_reaches_the_function(arguments: dict[str, str]) -> None:
    result = asyncio.run(as_langchain(weather).ainvoke(arguments))
    assert result == f"Sunny in {''.join(arguments.values())}."


def test_an_interrupt_in_a_tool_is_no_failure() -> None:
    @tool()
    async def ask() -> str:
        """Ask a person."""
        return str(interrupt("sure?"))

    async def node(state: MessagesState) -> dict[str, list[object]]:
        await as_langchain(ask).ainvoke({})
        return {"messages": []}

    graph = StateGraph(MessagesState).add_node("node", node).add_edge("__start__", "node").compile()
    result = asyncio.run(graph.ainvoke({"messages": []}))
    assert result["__interrupt__"][0].value == "sure?"
