"""Whatever a node puts into the state has a JSON form."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt, Send
from pydantic import BaseModel

from pilothouse.engines.langgraph.encoding import encode


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int


class Model(BaseModel):
    at: datetime


@dataclass
class Holder:
    message: Any


class Awkward:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def decoded(value: object) -> Any:
    return json.loads(bytes(encode(value)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        ({3}, [3]),
        (b"ab", "YWI="),
        (float("nan"), None),
        ({"x": float("inf")}, {"x": None}),
        (Model(at=datetime(2026, 1, 2, tzinfo=UTC)), {"at": "2026-01-02T00:00:00Z"}),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Send("node", {"a": 1}), {"node": "node", "args": {"a": 1}}),
        (ValueError("why"), "ValueError('why')"),
        (PurePosixPath("/a"), "PurePosixPath('/a')"),
        (np.array([1.5, 2]), [1.5, 2]),
        (np.int64(3), 3),
        ({1: "a", (1, 2): "b"}, {"1": "a", "(1, 2)": "b"}),
        (2**70, 2**70),
        ([2**20_000], ["<integer of 20001 bits>"]),
        ("\ud800", "?"),
        ({"\ud800": 1}, {"?": 1}),
        (Awkward(), "<Awkward>"),
        ([Awkward(), 2**64], ["<Awkward>", 2**64]),
        (Point(1), [1]),
    ],
)
def test_a_value_is_encoded(value: object, expected: object) -> None:
    assert decoded(value) == expected


def test_messages_have_langchains_shape_wherever_they_are() -> None:
    message = decoded(Holder(AIMessage("hi", id="m1")))["message"]
    assert (message["type"], message["content"], message["id"]) == ("ai", "hi", "m1")
    assert message.keys() >= {"tool_calls", "additional_kwargs", "response_metadata", "usage_metadata"}
    assert decoded([HumanMessage("x")])[0]["type"] == "human"


def test_a_messages_artifact_may_be_anything() -> None:
    message = ToolMessage("done", tool_call_id="c", artifact=Awkward())
    assert decoded({"messages": [message]})["messages"][0]["artifact"] == "<Awkward>"


def test_an_interrupt_is_an_object() -> None:
    assert decoded((Interrupt("why", id="i"),))[0]["id"] == "i"


def test_what_holds_itself_ends_somewhere() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "…" in json.dumps(decoded(endless), ensure_ascii=False)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.binary()
        | st.complex_numbers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=8,
    )
)
def test_everything_becomes_valid_json(value: object) -> None:
    decoded(value)
