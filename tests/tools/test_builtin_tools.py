"""The built-in tools, as an agent gets them."""

import asyncio

import pytest
from whenever import Instant

from pilothouse.errors import ToolError
from pilothouse.tools.builtin import builtin_tools

TOOLS = builtin_tools(local_zone="Europe/Oslo", clock=lambda: Instant.from_utc(2026, 11, 22, 7, 41))


def test_there_are_three_and_all_may_run_again() -> None:
    assert list(TOOLS) == ["calculate", "now", "convert_time"]
    assert {tool.replay for tool in TOOLS.values()} == {"safe"}


@pytest.mark.parametrize("name", TOOLS)
def test_every_example_is_answered_with_one_line(name: str) -> None:
    async def answers() -> list[str]:
        return [await TOOLS[name].call(**example.arguments) for example in TOOLS[name].examples]

    lines = asyncio.run(answers())
    assert 15 <= len(lines) <= 30
    assert all(line and "\n" not in line for line in lines)


@pytest.mark.parametrize("name", ["now", "convert_time"])
def test_times_and_places_of_examples_are_copied_from_the_request(name: str) -> None:
    for example in TOOLS[name].examples:
        for value in example.arguments.values():
            assert value in {"now", "here"} or str(value) in example.request


def test_the_local_zone_is_the_one_that_was_configured() -> None:
    assert asyncio.run(TOOLS["now"].call()) == "It is 08:41 in Oslo (Sunday 22 November 2026, UTC+1)."


def test_a_refusal_is_a_tool_error() -> None:
    with pytest.raises(ToolError, match="the limit is 2,000 digits"):
        asyncio.run(TOOLS["calculate"].call(expression="9**9**9"))
