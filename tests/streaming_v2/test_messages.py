"""Messages as content blocks, read back by LangChain's own reader of them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk

from pilothouse.events import Json, MessageChunk, MessageDelta, MessageFinished, RunId
from pilothouse.wire.streaming_v2_messages import MessageFact, Messages

META = Json(
    msgspec.json.encode(
        {
            "langgraph_node": "say",
            "langgraph_checkpoint_ns": "outer:1|say:2",
            "ls_provider": "acme",
            "ls_model_name": "m-1",
        }
    )
)


def delta(text: str, message_id: str = "m1") -> MessageDelta:
    return MessageDelta(message_id, text, META, ("outer:1",))


def chunk(content: Any = "", message_id: str = "m1", **fields: Any) -> MessageChunk:
    message = AIMessageChunk(content=content, id=message_id, **fields)
    return MessageChunk(message_id, Json(msgspec.json.encode(message.model_dump())), META, ("outer:1",))


def whole(message: BaseMessage) -> MessageFinished:
    return MessageFinished("m1", Json(msgspec.json.encode(message.model_dump())), META)


def call(
    args: str, *, index: int | None = 0, call_id: str | None = None, name: str | None = None
) -> MessageChunk:
    return chunk(tool_call_chunks=[tool_call_chunk(name=name, args=args, id=call_id, index=index)])


def told(events: Sequence[MessageDelta | MessageChunk | MessageFinished]) -> list[dict[str, Any]]:
    """What is told of the events, up to the end of the run."""
    messages = Messages(RunId("r1"))
    facts: list[MessageFact] = [fact for event in events for fact in messages.feed(event)]
    return [fact.data for fact in [*facts, *messages.end_all()]]


def read(datas: Sequence[dict[str, Any]]) -> AIMessage:
    stream = ChatModelStream(namespace=[], node="say", message_id="m1")
    for data in datas:
        stream.dispatch(data)
    return stream.output


def kinds(datas: Sequence[dict[str, Any]]) -> list[str]:
    short = [data["event"].removeprefix("content-block-") for data in datas]
    return [
        f"{kind} {data['index']}" if "index" in data else kind
        for kind, data in zip(short, datas, strict=True)
    ]


def test_text_is_one_block() -> None:
    datas = told([delta("Hel"), delta("lo")])
    assert kinds(datas) == ["message-start", "start 0", "delta 0", "delta 0", "finish 0", "message-finish"]
    assert datas[0]["metadata"] == {
        "provider": "acme",
        "model": "m-1",
        "langgraph_node": "say",
        "run_id": "r1",
    }
    assert datas[-2]["content"] == {"type": "text", "text": "Hello"}
    assert read(datas).text == "Hello"


def test_thoughts_come_before_the_answer_in_a_block_of_their_own() -> None:
    datas = told(
        [
            chunk([{"type": "thinking", "thinking": "let ", "index": 0}]),
            chunk([{"type": "thinking", "thinking": "me", "index": 0}]),
            chunk([{"type": "thinking", "signature": "s", "index": 0}]),
            chunk([{"type": "text", "text": "Hi", "index": 1}]),
            delta("!"),
        ]
    )
    assert kinds(datas)[1:] == [
        *("start 0", "delta 0", "delta 0", "finish 0"),
        *("start 1", "delta 1", "delta 1", "finish 1", "message-finish"),
    ]
    assert datas[4]["content"] == {"type": "reasoning", "reasoning": "let me", "signature": "s"}
    assert read(datas).text == "Hi!"


def test_reasoning_beside_the_content_is_told_as_well() -> None:
    datas = told([chunk(additional_kwargs={"reasoning_content": "hm"}), delta("Hi")])
    assert datas[3]["content"] == {"type": "reasoning", "reasoning": "hm"}


def test_a_tool_call_grows_and_is_then_whole() -> None:
    datas = told(
        [
            delta("Adding."),
            call("", call_id="c1", name="add"),
            call('{"a":'),
            call("1}"),
            chunk(usage_metadata=USAGE),
        ]
    )
    assert kinds(datas)[3:] == [
        *("finish 0", "start 1", "delta 1", "delta 1", "finish 1", "message-finish"),
    ]
    message = read(datas)
    assert message.tool_calls == [{"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1}}]
    assert datas[-1]["usage"] == USAGE


USAGE = {
    "input_tokens": 3,
    "output_tokens": 2,
    "total_tokens": 5,
    "input_token_details": {"cache_read": 1},
}


def test_calls_that_follow_each_other_end_one_by_one() -> None:
    datas = told(
        [
            call("{}", call_id="c1", name="one"),
            call("", index=1, call_id="c2", name="two"),
            call('{"b":2}', index=1),
        ]
    )
    assert kinds(datas)[3:5] == ["finish 0", "start 1"]
    assert [each["args"] for each in read(datas).tool_calls] == [{}, {"b": 2}]


def test_calls_that_are_written_at_the_same_time_are_kept_apart() -> None:
    datas = told(
        [
            call('{"a":', call_id="c1", name="one"),
            call('{"b":', index=1, call_id="c2", name="two"),
            call("1}"),
            call("2}", index=1),
        ]
    )
    assert [each["args"] for each in read(datas).tool_calls] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("index", [None, 0])
def test_whole_calls_in_pieces_of_their_own_are_kept_apart(index: int | None) -> None:
    datas = told(
        [
            call('{"a":1}', call_id="c1", name="f", index=index),
            call('{"a":2}', call_id="c2", name="f", index=index),
        ]
    )
    assert [(each["id"], each["args"]) for each in read(datas).tool_calls] == [
        ("c1", {"a": 1}),
        ("c2", {"a": 2}),
    ]


def test_arguments_that_are_cut_off_are_an_invalid_call() -> None:
    datas = told([call('{"a":', call_id="c1", name="one")])
    assert datas[-2]["content"]["type"] == "invalid_tool_call"
    assert read(datas).invalid_tool_calls[0]["args"] == '{"a":'


def test_a_message_that_was_not_streamed_is_told_whole() -> None:
    calls = [{"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]
    message = AIMessage("Hello", id="m1", tool_calls=calls, usage_metadata=USAGE)
    datas = told([whole(message)])
    assert kinds(datas)[-1] == "message-finish"
    again = read(datas)
    assert (again.text, again.tool_calls, again.usage_metadata) == ("Hello", calls, USAGE)


def test_a_person_is_told_and_a_tools_result_is_not() -> None:
    (start, *_, finish) = told([whole(HumanMessage("hi", id="m1"))])
    assert (start["role"], finish["event"]) == ("human", "message-finish")
    assert told([whole(ToolMessage("3", tool_call_id="c1", id="m1"))]) == []


def test_odd_metadata_and_odd_content_do_not_stop_the_stream() -> None:
    meta = Json(b'{"ls_provider":5,"ls_model_name":{"a":1},"langgraph_node":"say"}')
    odd = chunk([{"type": "text", "text": None}, {"type": "thinking", "thinking": ["?"]}])
    datas = told([MessageDelta("m1", "a", meta), odd, delta("b")])
    assert datas[0]["metadata"] == {"langgraph_node": "say", "run_id": "r1"}
    assert read(datas).text == "ab"


def test_pictures_and_unknown_blocks_are_passed_on() -> None:
    picture = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    datas = told([chunk([picture]), chunk([{"type": "holograph", "x": 1}])])
    contents = [data["content"] for data in datas if data["event"] == "content-block-finish"]
    assert contents == [picture, {"type": "non_standard", "value": {"type": "holograph", "x": 1}}]
    assert "base64" not in datas[1]["content"]


def test_messages_that_are_written_at_the_same_time_are_kept_apart() -> None:
    datas = told([delta("a1", "a"), delta("b1", "b"), delta("a2", "a"), delta("b2", "b")])
    finished = {data["message_id"]: data["content"]["text"] for data in datas if "content" in data}
    assert finished == {"a": "a1a2", "b": "b1b2"}


def test_a_message_ends_with_its_task_or_when_it_is_in_the_state_and_only_then() -> None:
    messages = Messages(RunId("r1"))
    list(messages.feed(delta("a", "a")))
    list(messages.feed(delta("b", "b")))
    assert list(messages.end_task(("outer:1", "other:3"))) == []
    assert list(messages.end_written(Json(b'{"messages":[{"id":"c"}]}'))) == []
    assert {fact.data["message_id"] for fact in messages.end_written(Json(b'{"id":"a"}'))} == {"a"}
    assert {fact.data["message_id"] for fact in messages.end_task(("outer:1",))} == {"b"}


def test_a_message_that_is_written_again_begins_anew() -> None:
    messages = Messages(RunId("r1"))
    list(messages.feed(delta("first")))
    list(messages.end_task(("outer:1",)))
    again = [fact.data for fact in messages.feed(delta("second"))]
    assert kinds(again) == ["message-start", "start 0", "delta 0"]


def test_a_message_that_was_streamed_is_not_told_again_when_it_comes_whole() -> None:
    messages = Messages(RunId("r1"))
    list(messages.feed(delta("Hello")))
    list(messages.end_task(("outer:1",)))
    assert list(messages.feed(whole(AIMessage("Hello", id="m1")))) == []


def test_a_message_that_is_broken_off_ends_in_an_error() -> None:
    messages = Messages(RunId("r1"))
    list(messages.feed(delta("a")))
    assert [fact.data for fact in messages.end_all("it broke")] == [
        {"event": "error", "message": "it broke", "message_id": "m1"}
    ]
