"""A message as far as it has come is what LangChain makes of the same pieces."""

from functools import reduce
from operator import add
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, message_chunk_to_message

from pilothouse.wire.message_partials import PartialMessage
from pilothouse.wire.partial_json import parse_partial


def as_langchain(chunks: list[AIMessageChunk]) -> dict[str, Any]:
    return message_chunk_to_message(reduce(add, chunks)).model_dump()


def as_ours(chunks: list[AIMessageChunk]) -> dict[str, Any]:
    message = PartialMessage("m1")
    for chunk in chunks:
        message.add(msgspec.json.decode(msgspec.json.encode(chunk.model_dump())))
    return msgspec.json.decode(msgspec.json.encode(message.dump()))


def call(index: int, name: str | None, args: str | None, call_id: str | None) -> AIMessageChunk:
    piece = {"name": name, "args": args, "id": call_id, "index": index, "type": "tool_call_chunk"}
    return AIMessageChunk(content="", id="m1", tool_call_chunks=[piece])


@given(st.lists(st.text(), min_size=1, max_size=8))
def test_text(texts: list[str]) -> None:
    chunks = [AIMessageChunk(content=text, id="m1") for text in texts]

    assert as_ours(chunks) == as_langchain(chunks)


@given(st.integers(1, 30))
def test_a_tool_call_at_any_point_of_its_arguments(cut: int) -> None:
    arguments = '{"city": "Lima", "n": [1, 2.5]}'[:cut]
    chunks = [call(0, "weather", "", "c1"), *(call(0, None, char, None) for char in arguments)]

    ours, theirs = as_ours(chunks), as_langchain(chunks)

    assert ours["invalid_tool_calls"] == []
    assert (ours["tool_calls"][0]["name"], ours["tool_calls"][0]["id"]) == ("weather", "c1")
    if theirs["tool_calls"]:
        for key, value in ours["tool_calls"][0]["args"].items():
            assert theirs["tool_calls"][0]["args"][key] == value


def test_two_tool_calls_side_by_side() -> None:
    chunks = [
        AIMessageChunk(content="Let me see.", id="m1"),
        call(0, "add", '{"a": 1', "c1"),
        call(1, "mul", '{"b"', "c2"),
        call(0, None, "}", None),
        call(1, None, ": 2}", None),
    ]

    assert as_ours(chunks) == as_langchain(chunks)


def test_content_blocks_and_usage() -> None:
    def usage(given: int, made: int) -> Any:
        return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}

    chunks = [
        AIMessageChunk(
            content=[{"type": "text", "text": "Hel", "index": 0}], id="m1", usage_metadata=usage(7, 0)
        ),
        AIMessageChunk(content=[{"type": "text", "text": "lo", "index": 0}], id="m1"),
        AIMessageChunk(
            content=[{"type": "text", "text": "!", "index": 1}], id="m1", usage_metadata=usage(0, 3)
        ),
    ]

    assert as_ours(chunks) == as_langchain(chunks)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(json_values)
def test_a_whole_json_text_is_read_as_it_is(value: Any) -> None:
    assert parse_partial(msgspec.json.encode(value).decode()) == value


@given(st.dictionaries(st.text(), json_values, max_size=4), st.data())
def test_the_beginning_of_an_object_is_an_object(value: dict[str, Any], data: st.DataObject) -> None:
    text = msgspec.json.encode(value).decode()
    cut = data.draw(st.integers(1, len(text)))

    assert isinstance(parse_partial(text[:cut]), dict)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": "x', {"a": 1, "b": "x"}),
        ('{"a": 1, "b', {"a": 1}),
        ('{"a": [1, 2', {"a": [1, 2]}),
        ('{"a": tr', {}),
        ('{"a": "x\\', {"a": "x"}),
        ("nonsense", None),
        ("", None),
    ],
)
def test_what_is_open_at_the_cut_is_closed(text: str, value: object) -> None:
    assert parse_partial(text) == value
