"""Records of a log as events, checked against the protocol's own types."""

from typing import Any

import msgspec
import pytest
from langchain_protocol import protocol
from pydantic import TypeAdapter

from pilothouse.events import (
    AgentId,
    Attempt,
    CheckpointSaved,
    CustomEmitted,
    DebugEmitted,
    Interrupt,
    Json,
    MessageDelta,
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
from pilothouse.ports.principals import LOCAL
from pilothouse.ports.runs import Run, RunInput
from pilothouse.wire.streaming_v2 import Event, RunEvents, before_run, run_number
from pilothouse.wire.streaming_v2_commands import EventFilter

RUN = Run(RunId("r1"), ThreadId("t1"), AgentId("agent"), LOCAL, 0, 0, Json(b"{}"), RunInput(), number=3)
STARTED = RunStarted(RUN.run_id, RUN.thread_id, RUN.agent_id, Attempt(1))
INNER = ("inner:1",)
TYPES: dict[str, Any] = {
    "lifecycle": protocol.LifecycleData,
    "messages": protocol.MessagesData,
    "tools": protocol.ToolsData,
    "input.requested": protocol.InputRequestedData,
    "updates": protocol.UpdatesData,
    "checkpoints": protocol.Checkpoint,
    "custom": protocol.CustomData,
}
ADAPTERS = {method: TypeAdapter[Any](type_) for method, type_ in TYPES.items()}


def json(value: object) -> Json:
    return Json(msgspec.json.encode(value))


def events(*records: RunEvent) -> list[Event]:
    encoder = RunEvents(RUN)
    made = [
        event
        for offset, record in enumerate(records, 1)
        for event in encoder.of(Record(Offset(offset), record, 1000 + offset))
    ]
    for event in made:
        decoded = msgspec.json.decode(event.encode())
        if event.method in ADAPTERS:
            ADAPTERS[event.method].validate_python(decoded["params"]["data"])
    return made


def decoded(event: Event) -> Any:
    return msgspec.json.decode(event.encode())["params"]["data"]


def test_an_event_has_the_protocols_envelope() -> None:
    (event,) = events(STARTED)
    assert msgspec.json.decode(event.encode()) == {
        "type": "event",
        "event_id": f"synth:r1:{event.seq}",
        "seq": event.seq,
        "method": "lifecycle",
        "params": {
            "namespace": [],
            "timestamp": 1001,
            "data": {"event": "running", "graph_name": "agent"},
        },
    }
    assert event.frame() == b"id: %d\nevent: lifecycle\ndata: %b\n\n" % (event.seq, event.encode())


def test_line_breaks_in_what_is_passed_on_do_not_break_a_frame() -> None:
    (_, event) = events(STARTED, StateValues(Json(b'{\n "a": "b\\n"\r\n}')))
    assert event.frame().count(b"\n") == 4
    assert decoded(event) == {"a": "b\n"}


def test_seqs_grow_over_the_runs_and_name_their_run() -> None:
    made = events(
        STARTED, MessageDelta("m", "a", json({})), MessageDelta("m", "b", json({})), RunEnded("success")
    )
    numbers = [event.seq for event in made]
    assert numbers == sorted(set(numbers))
    assert all(before_run(3) < number < before_run(4) < 2**53 for number in numbers)
    assert {run_number(number) for number in numbers} == {3}
    assert (run_number(before_run(3)), run_number(0)) == (3, 1)


def test_each_nodes_update_is_an_event() -> None:
    made = events(StateUpdated(json({"a": {"x": 1}, "b": None, "c": [1], "__interrupt__": []})))
    assert [(event.node, decoded(event)) for event in made] == [
        ("a", {"node": "a", "values": {"x": 1}}),
        ("b", {"node": "b", "values": {}}),
        ("c", {"node": "c", "values": {"value": [1]}}),
    ]


def test_interrupts_are_not_in_the_values_but_asked_at_the_end() -> None:
    asked = Interrupt("i1", json("may I?"))
    made = events(
        TaskChanged(json({"id": "2", "name": "ask", "result": {}, "interrupts": [{"id": "i1"}]}), INNER),
        StateValues(json({"x": 1, "__interrupt__": [1]})),
        StateValues(json({"__interrupt__": [1]})),
        TaskChanged(json({"id": "1", "name": "inner", "result": {}, "interrupts": [{"id": "i1"}]})),
        RunEnded("interrupted", interrupts=(asked,)),
    )
    assert [decoded(event) for event in made if event.method == "values"] == [{"x": 1}]
    (request,) = [event for event in made if event.method == "input.requested"]
    assert (request.namespace, decoded(request)) == (
        INNER,
        {"interrupt_id": "i1", "payload": "may I?", "value": "may I?"},
    )
    assert decoded(made[-1]) == {"event": "interrupted", "graph_name": "agent"}


def test_tools_are_told() -> None:
    made = events(
        ToolStarted("c1", "add", json({"a": 1})),
        ToolFinished("c1", "add", json(3)),
        ToolFinished("c2", "add", json(None), "no"),
    )
    assert [decoded(event)["event"] for event in made] == ["tool-started", "tool-finished", "tool-error"]


def test_checkpoints_are_told_by_their_ids() -> None:
    saved = {
        "checkpoint": {"checkpoint_id": "b"},
        "parent_checkpoint": {"checkpoint_id": "a"},
        "metadata": {"source": "loop", "step": 1},
        "values": {"much": "more"},
    }
    first = {"checkpoint": {"checkpoint_id": "a"}, "parent_checkpoint": None, "metadata": None}
    made = events(CheckpointSaved(json(saved)), CheckpointSaved(json(first)))
    assert decoded(made[0]) == {"id": "b", "parent_id": "a", "step": 1, "source": "loop"}
    assert "parent_id" not in decoded(made[1])


@pytest.mark.parametrize(
    ("written", "data"),
    [
        ("text", {"payload": "text"}),
        ({"a": 1}, {"payload": {"a": 1}}),
        ({"name": "n", "payload": 1}, {"name": "n", "payload": 1}),
        ({"name": "n", "a": 1}, {"name": "n", "payload": {"name": "n", "a": 1}}),
        ({"name": 1}, {"payload": {"name": 1}}),
    ],
)
def test_custom_events_keep_their_names(written: object, data: object) -> None:
    (event,) = events(CustomEmitted(json(written)))
    assert decoded(event) == data


def test_a_subgraph_that_fails_is_told_before_the_agent() -> None:
    made = events(
        STARTED,
        StateValues(json({}), (*INNER, "deep:2")),
        TaskChanged(json({"id": "1", "name": "inner", "result": None, "error": "it broke"})),
        RunEnded("error", RunError("run_failed", "it broke")),
    )
    lifecycle = [(event.namespace, event.data["event"]) for event in made if event.method == "lifecycle"]
    assert lifecycle == [
        ((), "running"),
        (INNER, "started"),
        ((*INNER, "deep:2"), "started"),
        ((*INNER, "deep:2"), "failed"),
        (INNER, "failed"),
        ((), "failed"),
    ]
    assert made[-1].data["error"] == "it broke"


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        ("success", "completed", None),
        ("cancelled", "failed", "The run was cancelled."),
        ("timeout", "failed", "The run took too long and was stopped."),
        ("budget_exceeded", "interrupted", None),
        ("error", "failed", "The agent raised an error."),
        ("interrupted", "interrupted", None),
    ],
)
def test_every_outcome_ends_the_lifecycle(outcome: Any, status: str, error: str | None) -> None:
    last = events(STARTED, RunEnded(outcome))[-1]
    assert (last.data["event"], last.data.get("error")) == (status, error)


def test_a_takeover_breaks_off_what_was_being_written() -> None:
    again = RunStarted(RUN.run_id, RUN.thread_id, RUN.agent_id, Attempt(2))
    made = events(
        STARTED,
        MessageDelta("m1", "half", json({}), INNER),
        again,
        MessageDelta("m2", "whole", json({}), INNER),
        RunEnded("success"),
    )
    assert [(event.method, event.data["event"]) for event in made[5:8]] == [
        ("messages", "error"),
        ("lifecycle", "failed"),
        ("lifecycle", "running"),
    ]
    assert made[-1].data["event"] == "completed"


def test_debug_events_have_no_channel() -> None:
    assert events(DebugEmitted(json({}))) == []


def test_a_prefix_names_a_task_or_all_tasks_of_a_name() -> None:
    (event,) = [e for e in events(StateValues(json({}), ("a:1", "b:2"))) if e.method == "values"]

    def wants(*namespaces: list[str], depth: int | None = None) -> bool:
        return EventFilter(["values"], namespaces or None, depth).wants(event)

    assert wants()
    assert wants(["a"])
    assert wants(["a:1", "b"], depth=0)
    assert not wants(["a:2"])
    assert not wants(["a", "b", "c"])
    assert not wants(["a"], depth=0)
    assert not wants(depth=1)
    assert wants(depth=2)
