"""How a tool is chosen and what its arguments may be, as far as that needs no language model."""

import json

import pytest
from tests.embedded_model.cafe import RESERVE, TOOLS

from pilothouse.errors import InvalidRequest
from pilothouse.models.embedded.followups import earlier_turn
from pilothouse.models.embedded.grammar import Grammar
from pilothouse.models.embedded.hints import learn
from pilothouse.models.embedded.routing import CHAT, IDENTITY, Router
from pilothouse.models.embedded.sentences import SentenceEncoder
from pilothouse.models.embedded.templates import arranged
from pilothouse.models.embedded.vocabulary import contains, numbers, tokens, words
from pilothouse.models.embedded.wire import Example, Function, decode


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder(1)


@pytest.fixture(scope="module")
def router(encoder: SentenceEncoder) -> Router:
    return Router(encoder, TOOLS)


@pytest.mark.parametrize(
    ("message", "target"),
    [
        ("could I have 2 small coffees", "order_drink"),
        ("we need a table for five on monday", "reserve_table"),
        ("hello!", CHAT),
        ("why is the sky blue?", CHAT),
        ("thank you", CHAT),
        ("who are you?", IDENTITY),
        ("what can you do", IDENTITY),
    ],
)
def test_a_message_goes_to_the_tool_whose_examples_it_is_like(
    router: Router, message: str, target: str
) -> None:
    assert router.routes(message)[0].target == target


def test_conversation_is_always_the_last_resort(router: Router) -> None:
    assert router.routes("could I have 2 small coffees")[-1].target == CHAT


@pytest.mark.parametrize("message", ["and for Sunday?", "what about three people", "make it large"])
def test_a_follow_up_is_told_by_its_wording(router: Router, message: str) -> None:
    assert router.goes_on(message)


@pytest.mark.parametrize("message", ["thanks", "book a table for 4 on friday", "tell me a joke"])
def test_a_message_that_stands_alone_is_no_follow_up(router: Router, message: str) -> None:
    assert not router.goes_on(message)


def test_like_sentences_have_like_vectors(encoder: SentenceEncoder) -> None:
    cat, kitten, tax = encoder.encode(["a cat sleeps", "the kitten is sleeping", "file the tax return"])
    assert cat @ kitten > cat @ tax + 0.3


def test_examples_teach_where_values_come_from() -> None:
    lessons = learn(RESERVE)
    assert lessons.hints["day"].origin == "span"
    assert lessons.hints["people"].origin == "mixture"
    assert {"table", "book", "for"} <= lessons.frame
    assert "friday" not in lessons.frame


def test_values_that_are_composed_of_the_request_are_no_spans() -> None:
    sums = Function(
        name="sums",
        parameters={"type": "object", "properties": {"sum": {"type": "string"}}},
        examples=(
            Example("what is 2 + 3", {"sum": "2 + 3"}),
            Example("5 boxes of 6 eggs", {"sum": "5 * 6"}),
            Example("square root of 9", {"sum": "sqrt(9)"}),
        ),
    )
    hint = learn(sums).hints["sum"]
    assert hint.origin == "mixture"
    assert hint.constants == ("sqrt",)
    assert set(hint.signs) == {"+", "*", "(", ")"}


def test_values_that_are_not_in_the_request_are_the_model_s_own_words() -> None:
    translate = Function(
        name="translate",
        parameters={"type": "object", "properties": {"language": {"type": "string"}}},
        examples=(
            Example("good morning in Spanish", {"language": "es"}),
            Example("say cat in French", {"language": "fr"}),
        ),
    )
    assert learn(translate).hints["language"].origin == "own words"


def test_hints_of_the_schema_come_before_what_examples_teach() -> None:
    parameters = {
        "type": "object",
        "properties": {"a": {"type": "string", "x-span": True}, "b": {"type": "string", "x-free": True}},
    }
    note = Function(
        name="note", parameters=parameters, examples=(Example("note tea", {"a": "drink", "b": "tea"}),)
    )
    lessons = learn(note)
    assert lessons.hints["a"].origin == "span"
    assert lessons.hints["b"].origin == "free"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2,340 and 17%", ["2340", "17"]),
        ("twenty-five or .5", ["0.5", "25", "20", "5"]),
        ("5k and 2 million", ["5", "2", "5000", "2000000", "1000000"]),
        ("a dozen", ["1", "12"]),
        ("none here", []),
    ],
)
def test_numbers_are_found_however_they_are_written(text: str, found: list[str]) -> None:
    assert numbers(text) == found


def test_a_text_comes_apart_and_together_again() -> None:
    text = "3pm (New York's time) → 10:30 p.m. in St. Louis?"
    assert "".join(token.text + token.after for token in tokens(text)) == text
    assert words(text)[:3] == ["3pm", "New", "York"]
    assert "p.m." in words(text)


def test_a_value_is_found_as_whole_words() -> None:
    assert contains("time in New York?", "new york")
    assert not contains("time in Newark", "new")


def test_wording_tells_which_stretch_is_which_argument() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    examples = (
        Example("fly from Rome to Oslo", {"a": "Rome", "b": "Oslo"}),
        Example("get to Bern from Lyon", {"a": "Lyon", "b": "Bern"}),
        Example("to Kyiv from Riga please", {"a": "Riga", "b": "Kyiv"}),
    )
    fly = Function(name="fly", parameters=schema, examples=examples)
    lessons = learn(fly)
    mixed = {"a": "Paris", "b": "Cairo"}
    assert arranged("get to Paris from Cairo", mixed, fly, lessons) == {"a": "Cairo", "b": "Paris"}
    assert arranged("fly from Paris to Cairo", mixed, fly, lessons) == mixed


def test_an_object_s_optional_fields_may_be_left_out() -> None:
    grammar = Grammar()
    text = grammar.text(grammar.object({"a": '"1"', "b": '"2"'}, ["a"]))
    assert text.startswith('root ::= "{" r')
    assert '"\\"a\\": " "1" r' in text


def test_the_turn_before_is_the_last_call_and_its_result() -> None:
    call = {"id": "1", "function": {"name": "order_drink", "arguments": '{"cups": 2}'}}
    messages = [
        {"role": "user", "content": "two teas"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "2 teas come."},
        {"role": "assistant", "content": "2 teas come."},
        {"role": "user", "content": "make it 3"},
    ]
    earlier = earlier_turn(decode(json.dumps({"messages": messages}).encode()).messages)
    assert earlier is not None
    assert (earlier.tool, earlier.asked.arguments, earlier.result) == (
        "order_drink",
        {"cups": 2},
        "2 teas come.",
    )
    assert earlier_turn(decode(json.dumps({"messages": messages[-1:]}).encode()).messages) is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not a chat completion request"),
        (b'{"messages": []}', "`messages` is empty"),
        (b'{"messages": [{"role": "user"}], "tool_choice": "required"}', "not among `tools`"),
        (b'{"messages": [{"role": "user"}], "tool_choice": "perhaps"}', "is not known"),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        decode(body)
