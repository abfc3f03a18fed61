"""`@tool`: a function becomes a tool by its hints and its docstring."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import pytest
from pydantic import BaseModel, Field

from pilothouse.tools import Span, Tool, ToolError, tool


class Point(BaseModel):
    x: int
    y: int = 0


@tool(examples=[("is the cafe open on sunday", {"day": "sunday"})], replay="safe")
def opening_hours(
    day: Annotated[Literal["saturday", "sunday"], "The day."],
    city: Annotated[str, "The city.", Span] = "Oslo",
    guests: int = 1,
) -> str:
    """When the cafe is open.

    Call it for questions about
    the cafe.

    Args:
        day: Not used, since the hint describes it.
        guests (int): How many people come.

    Returns:
        A sentence.
    """
    return f"On {day} in {city} for {guests}: 9 to 5."


def call(subject: Tool, **arguments: object) -> str:
    return asyncio.run(subject.call(**arguments))


def test_name_description_examples_and_replay_come_from_the_function() -> None:
    assert opening_hours.name == "opening_hours"
    assert opening_hours.description == "When the cafe is open.\n\nCall it for questions about the cafe."
    assert opening_hours.examples[0].request == "is the cafe open on sunday"
    assert opening_hours.examples[0].arguments == {"day": "sunday"}
    assert opening_hours.replay == "safe"


def test_the_schema_comes_from_hints_defaults_and_descriptions() -> None:
    assert opening_hours.parameters == {
        "type": "object",
        "properties": {
            "day": {"type": "string", "enum": ["saturday", "sunday"], "description": "The day."},
            "city": {"type": "string", "default": "Oslo", "description": "The city.", "x-span": True},
            "guests": {"type": "integer", "default": 1, "description": "How many people come."},
        },
        "required": ["day"],
        "additionalProperties": False,
    }


def test_a_tool_can_be_called_as_the_function() -> None:
    assert opening_hours("sunday") == "On sunday in Oslo for 1: 9 to 5."


def test_a_call_checks_and_converts_the_arguments() -> None:
    assert call(opening_hours, day="sunday", guests="3") == "On sunday in Oslo for 3: 9 to 5."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "day: Field required"),
        ({"day": "monday"}, "day: Input should be 'saturday' or 'sunday'"),
        ({"day": "sunday", "guests": "many", "pets": 1}, "guests: Input should be a valid integer"),
        ({"day": "sunday", "pets": 1}, "pets: Extra inputs are not permitted"),
    ],
)
def test_wrong_arguments_are_named(arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        call(opening_hours, **arguments)


def test_a_sync_function_does_not_block_the_event_loop() -> None:
    @tool()
    def thread() -> str:
        """The thread."""
        return threading.current_thread().name

    assert call(thread) != threading.main_thread().name


def test_an_async_function_runs_on_the_event_loop() -> None:
    @tool(name="who", description="Who runs it.")
    async def thread() -> str:
        return threading.current_thread().name

    assert (thread.name, thread.description) == ("who", "Who runs it.")
    assert call(thread) == threading.main_thread().name


def test_a_result_that_is_no_string_becomes_json() -> None:
    @tool()
    async def found(where: Point, names: list[str] | None = None) -> Mapping[str, object]:
        """Things found."""
        return {"where": where, "names": names}

    assert msgspec.json.decode(call(found, where={"x": 1})) == {"where": {"x": 1, "y": 0}, "names": None}


def test_a_parameter_may_have_any_name() -> None:
    @tool()
    async def odd(json: str, model_config: str, schema: str, _private: int = 1) -> str:
        """Names that a model class uses itself."""
        return json + model_config + schema

    assert list(odd.parameters["properties"]) == ["json", "model_config", "schema", "_private"]
    assert call(odd, json="a", model_config="b", schema="c") == "abc"


def test_a_pydantic_field_keeps_its_own_constraints() -> None:
    @tool()
    async def rate(stars: Annotated[int, Field(description="Of five.", ge=1, le=5)]) -> str:
        """Rate it."""
        return "*" * stars

    schema = rate.parameters["properties"]["stars"]
    assert schema == {"type": "integer", "description": "Of five.", "minimum": 1, "maximum": 5}
    with pytest.raises(ToolError, match="stars: Input should be less than or equal to 5"):
        call(rate, stars=6)


def no_docstring(a: int) -> None: ...


def no_hint(a) -> None:  # type: ignore[no-untyped-def]
    """Says what it does."""


def any_arguments(*values: int) -> None:
    """Says what it does."""


@pytest.mark.parametrize(
    ("function", "message"),
    [(no_docstring, "needs a docstring"), (no_hint, "type hint for 'a'"), (any_arguments, "have names")],
)
def test_a_function_that_can_not_be_a_tool_is_refused_at_once(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tool()(function)
