from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from langchain_core.messages import AIMessageChunk
from langgraph_sdk.sse import SSEDecoder

from pilothouse.events import (
    AgentId,
    Attempt,
    CustomEmitted,
    Interrupt,
    Json,
    MessageChunk,
    MessageDelta,
    MessageFinished,
    Offset,
    Record,
    RunEnded,
    RunError,
    RunEvent,
    RunId,
    RunStarted,
    StateUpdated,
    StateValues,
    TaskChanged,
    ThreadId,
    ToolFinished,
    ToolStarted,
)
from pilothouse.ports.runs import StreamMode
from pilothouse.wire.sse import HEARTBEAT
from pilothouse.wire.streaming_v1 import StreamEncoder

RUN = RunId("01a20251-3074-7171-9852-b589200c1e45")
STARTED = RunStarted(RUN, ThreadId("t"), AgentId("agent"), Attempt(1))
META = Json(b'{"langgraph_node": "model"}')
ASKED = Interrupt("i1", Json(b'{"question":"ok?"}'))


class Part(NamedTuple):
    event: str
    data: Any
    id: str | None


def stream(
    modes: Sequence[StreamMode], *events: RunEvent, after: int = 0, subgraphs: bool = False
) -> list[Part]:
    """What the SDK's own decoder makes of the stream. Events get the offsets 1, 2, …"""
    encoder = StreamEncoder(RUN, modes, after=Offset(after), subgraphs=subgraphs)
    records = [Record(Offset(offset), event) for offset, event in enumerate(events, 1)]
    encoded = b"".join(encoder.encode(r) for r in records if r.offset > encoder.follow_after)
    decoder = SSEDecoder()
    parts = [decoder.decode(line) for line in encoded.split(b"\n")]
    return [Part(part.event, part.data, part.id) for part in parts if part is not None]


def events(parts: Sequence[Part]) -> list[str]:
    return [part.event for part in parts]


def test_a_stream_begins_with_metadata_and_ends_with_end() -> None:
    assert stream(["values"], STARTED, StateValues(Json(b'{"n":1}')), RunEnded("success")) == [
        Part("metadata", {"run_id": RUN, "attempt": 1}, "1"),
        Part("values", {"n": 1}, "2"),
        Part("end", {"run_id": RUN, "status": "success"}, "3"),
    ]


def test_a_takeover_tells_the_new_attempt() -> None:
    again = RunStarted(RUN, ThreadId("t"), AgentId("agent"), Attempt(2))

    assert [part.data["attempt"] for part in stream(["values"], STARTED, again)] == [1, 2]


def test_a_failed_run_sends_error_before_end() -> None:
    ended = RunEnded("error", RunError("model_key_invalid", "Check the key."))

    assert stream(["values"], STARTED, ended)[1:] == [
        Part("error", {"error": "model_key_invalid", "message": "Check the key."}, "1"),
        Part("end", {"run_id": RUN, "status": "error"}, "2"),
    ]


def test_a_cancelled_run_ends_without_an_error() -> None:
    assert stream(["values"], RunEnded("cancelled")) == [
        Part("end", {"run_id": RUN, "status": "interrupted"}, "1")
    ]


def test_only_the_modes_that_were_asked_for_are_sent() -> None:
    everything = (
        StateUpdated(Json(b"{}")),
        StateValues(Json(b"{}")),
        TaskChanged(Json(b"{}")),
        CustomEmitted(Json(b'"x"')),
        MessageDelta("m", "hi", META),
        ToolStarted("c", "add", Json(b"{}")),
    )

    assert events(stream(["updates", "custom"], *everything)) == ["updates", "custom"]
    assert events(stream(["tasks"], *everything)) == ["tasks"]


def test_a_text_delta_is_what_langchain_dumps_of_a_chunk() -> None:
    (part,) = stream(["messages-tuple"], MessageDelta("m1", 'say "hi"\n', META))

    expected = AIMessageChunk(content='say "hi"\n', id="m1").model_dump()
    assert part == Part("messages", [expected, {"langgraph_node": "model"}], "1")


def test_deltas_of_two_messages_keep_their_own_ids_and_metadata() -> None:
    other = Json(b'{"langgraph_node":"judge"}')
    parts = stream(
        ["messages-tuple"],
        *(MessageDelta("m1", "a", META), MessageDelta("m2", "b", other), MessageDelta("m1", "c", META)),
    )

    told = [(p.data[0]["id"], p.data[0]["content"], p.data[1]["langgraph_node"]) for p in parts]
    assert told == [("m1", "a", "model"), ("m2", "b", "judge"), ("m1", "c", "model")]


def test_a_whole_message_follows_its_pieces_only_in_the_log() -> None:
    whole = Json(b'{"type":"ai","id":"m1","content":"ab"}')
    chunk = Json(b'{"type":"AIMessageChunk","id":"m1","content":"b"}')
    pieces = (MessageDelta("m1", "a", META), MessageChunk("m1", chunk, META))

    assert len(stream(["messages-tuple"], *pieces, MessageFinished("m1", whole, META))) == 2
    assert len(stream(["messages-tuple"], MessageFinished("m1", whole, META))) == 1


def test_a_client_that_comes_back_after_the_pieces_does_not_get_the_whole_message() -> None:
    whole = MessageFinished("m1", Json(b'{"type":"ai","id":"m1","content":"a"}'), META)

    parts = stream(["messages-tuple"], STARTED, MessageDelta("m1", "a", META), whole, after=2)

    assert parts == []


def test_messages_come_with_all_that_was_said_so_far() -> None:
    parts = stream(["messages"], MessageDelta("m1", "Hel", META), MessageDelta("m1", "lo", META))

    assert parts[0] == Part("messages/metadata", {"m1": {"metadata": {"langgraph_node": "model"}}}, None)
    assert [(p.event, p.data[0]["content"], p.id) for p in parts[1:]] == [
        ("messages/partial", "Hel", "1"),
        ("messages/partial", "Hello", "2"),
    ]


def test_messages_resumed_in_the_middle_still_have_their_beginning() -> None:
    deltas = [MessageDelta("m1", text, META) for text in ("a", "b", "c")]

    (part,) = stream(["messages"], *deltas, after=2)

    assert part.data[0]["content"] == "abc"


def test_a_message_that_is_whole_is_complete() -> None:
    tool = Json(b'{"type":"tool","content":"3","tool_call_id":"c1","id":"t1"}')

    parts = stream(["messages"], MessageFinished("t1", tool, META))

    assert events(parts) == ["messages/metadata", "messages/complete"]
    assert parts[1].data == [msgspec.json.decode(tool)]


def test_subgraph_events_carry_their_namespace() -> None:
    namespace = ("sub:1", "deep:2")
    nested = (
        StateUpdated(Json(b"{}"), namespace),
        MessageDelta("m", "x", META, namespace),
        ToolStarted("c", "add", Json(b"{}"), namespace),
    )
    modes: list[StreamMode] = ["updates", "messages-tuple", "tools"]

    assert events(stream(modes, *nested, subgraphs=True)) == [
        "updates|sub:1|deep:2",
        "messages|sub:1|deep:2",
        "tools|sub:1|deep:2",
    ]
    assert stream(modes, *nested) == []


def test_tools_come_in_the_shape_of_langgraph() -> None:
    parts = stream(
        ["tools"],
        ToolStarted("c1", "add", Json(b'{"a":1}')),
        ToolFinished("c1", "add", Json(b'"3"')),
        ToolFinished("c2", "add", Json(b"null"), error="No."),
    )

    named = {"tool_call_id": "c1", "tool_name": "add"}
    assert [part.data for part in parts] == [
        {"event": "tool-started", **named, "input": {"a": 1}},
        {"event": "tool-finished", **named, "output": "3"},
        {"event": "tool-error", "tool_call_id": "c2", "tool_name": "add", "message": "No."},
    ]


def test_events_come_in_the_shape_of_langchain() -> None:
    parts = stream(
        ["events"],
        STARTED,
        MessageDelta("m1", "hi", META),
        ToolStarted("c1", "add", Json(b'{"a":1}')),
        ToolFinished("c1", "add", Json(b'"3"')),
        RunEnded("success"),
    )

    told = [part.data["event"] for part in parts if part.event == "events"]
    assert told == ["on_chain_start", "on_chat_model_stream", "on_tool_start", "on_tool_end", "on_chain_end"]
    streamed = next(part.data for part in parts if part.data.get("event") == "on_chat_model_stream")
    assert streamed["data"]["chunk"]["content"] == "hi"
    assert streamed["metadata"] == {"langgraph_node": "model"}


def test_what_a_run_asks_is_sent_where_no_state_showed_it() -> None:
    ended = RunEnded("interrupted", interrupts=(ASKED,))
    asked = {"__interrupt__": [{"id": "i1", "value": {"question": "ok?"}}]}

    assert stream(["values"], STARTED, ended)[1][:2] == ("values", asked)
    assert stream(["updates"], STARTED, ended)[1][:2] == ("updates", asked)
    assert events(stream(["custom"], STARTED, ended)) == ["metadata", "end"]


def test_what_a_run_asks_is_not_sent_twice() -> None:
    shown = StateValues(Json(b'{"n":1,"__interrupt__":[{"id":"i1","value":{"question":"ok?"}}]}'))

    parts = stream(["values"], STARTED, shown, RunEnded("interrupted", interrupts=(ASKED,)))

    assert events(parts) == ["metadata", "values", "end"]


def test_a_stream_goes_on_after_the_offset_that_the_client_has() -> None:
    values = [StateValues(Json(b'{"n":%d}' % n)) for n in range(3)]

    parts = stream(["values"], STARTED, *values, RunEnded("success"), after=3)

    assert [part.id for part in parts] == ["4", "5"]


def test_a_client_that_has_seen_the_end_is_told_of_it_again() -> None:
    for modes in (["values"], ["messages-tuple"]):
        encoder = StreamEncoder(RUN, modes, after=Offset(2))
        assert b"event: end" in encoder.encode(Record(Offset(2), RunEnded("success")))


def test_only_the_last_frame_of_a_record_moves_the_clients_place() -> None:
    ended = RunEnded("error", RunError("run_failed", "No."), (ASKED,))

    parts = stream(["values"], STARTED, ended)

    assert [(part.event, part.id) for part in parts] == [
        ("metadata", "1"),
        ("values", "1"),
        ("error", "1"),
        ("end", "2"),
    ]


@pytest.mark.parametrize("modes", [["values"], ["messages-tuple"], ["messages"], ["events"]])
def test_line_breaks_in_json_do_not_break_the_stream(modes: list[StreamMode]) -> None:
    pretty = Json(b'{\n  "type": "ai",\r\n  "content": "a\\nb"\n}')
    meta = Json(b'{\n"langgraph_node": "model"\n}')
    sent = (StateValues(pretty), MessageDelta("m0", "x", meta), MessageFinished("m", pretty, meta))

    parts = stream(modes, *sent, RunEnded("success"))

    assert len(parts) >= 2
    assert "a\nb" in str([part.data for part in parts]).replace("\\n", "\n")


def test_a_heartbeat_is_a_comment() -> None:
    decoder = SSEDecoder()

    assert [decoder.decode(line) for line in HEARTBEAT.split(b"\n")] == [None, None, None]
