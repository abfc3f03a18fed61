from datetime import timedelta

import msgspec
import pytest

from pilothouse.errors import InvalidRequest
from pilothouse.events import (
    AgentId,
    Interrupt,
    Json,
    Offset,
    Record,
    RunEnded,
    RunError,
    StateValues,
    ThreadId,
)
from pilothouse.ports.runs import NewRun, RunInput
from pilothouse.wire.decoding import decode_body
from pilothouse.wire.runs import RunCreate, RunResult, new_run, new_stateless_run

THREAD = ThreadId("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


def decoded(**fields: object) -> NewRun:
    body = decode_body(msgspec.json.encode({"assistant_id": "agent", **fields}), RunCreate)
    return new_run(body, AgentId("agent"), THREAD)


def test_what_the_sdk_sends_reaches_the_engine() -> None:
    new = decoded(
        input={"messages": []},
        config={"recursion_limit": 5},
        context={"user": "x"},
        metadata={"a": 1},
        stream_mode=["values", "custom"],
        stream_subgraphs=True,
        interrupt_before=["tools"],
        interrupt_after="*",
        multitask_strategy="reject",
        if_not_exists="create",
        after_seconds=1.5,
        durability="sync",
        webhook="https://example.com/hook",
        stream_resumable=True,
        feedback_keys=["k"],
    )

    assert new == NewRun(
        thread_id=THREAD,
        agent_id=AgentId("agent"),
        request=RunInput(
            input=Json(b'{"messages":[]}'),
            config=Json(b'{"recursion_limit":5}'),
            context=Json(b'{"user":"x"}'),
            stream_modes=("values", "custom"),
            stream_subgraphs=True,
            interrupt_before=("tools",),
            interrupt_after="*",
            durability="sync",
        ),
        metadata=Json(b'{"a":1}'),
        multitask_strategy="reject",
        if_thread_missing="create",
        delay=timedelta(seconds=1.5),
        webhook="https://example.com/hook",
    )


def test_nulls_are_as_good_as_absent() -> None:
    names = [name for name in RunCreate.__struct_fields__ if name != "assistant_id"]

    assert decoded(**dict.fromkeys(names)) == decoded()


def test_a_checkpoint_may_be_named_by_its_id() -> None:
    assert decoded(checkpoint_id="c1").request.checkpoint == Json(b'{"checkpoint_id":"c1"}')


def test_the_old_checkpoint_during_is_a_durability() -> None:
    assert decoded(checkpoint_during=False).request.durability == "exit"
    assert decoded(checkpoint_during=True).request.durability == "async"


@pytest.mark.parametrize("name", ["command", "config", "context", "metadata", "checkpoint"])
def test_fields_that_are_objects_take_nothing_else(name: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"expected an object at `\$.{name}`"):
        decoded(**{name: [1]})


@pytest.mark.parametrize(("on_completion", "deleted"), [(None, True), ("delete", True), ("keep", False)])
def test_a_run_without_a_thread_gets_one_that_goes_unless_it_is_kept(
    on_completion: str | None, deleted: bool
) -> None:
    fields = {"assistant_id": "agent", "on_completion": on_completion}
    body = decode_body(msgspec.json.encode(fields), RunCreate)

    new = new_stateless_run(body, AgentId("agent"), THREAD)

    assert new.if_thread_missing == "create"
    assert new.delete_thread_after is deleted


def result_of(*events: StateValues | RunEnded) -> object:
    result = RunResult()
    for offset, event in enumerate(events, 1):
        result.absorb(Record(Offset(offset), event))
    body = result.body()
    return None if body is None else msgspec.json.decode(body)


def test_a_run_comes_to_the_last_values_of_the_agent_itself() -> None:
    values = (Json(b'{"n":1}'), Json(b'{"n":2}'))
    nested = StateValues(Json(b'{"n":3}'), ("sub:1",))

    assert result_of(*map(StateValues, values), nested, RunEnded("success")) == {"n": 2}


def test_a_run_without_values_in_its_log_leaves_them_to_the_thread() -> None:
    assert result_of(RunEnded("success")) is None


def test_a_failed_run_comes_to_its_error() -> None:
    ended = RunEnded("error", RunError("run_failed", "ValueError: no"))

    assert result_of(StateValues(Json(b"{}")), ended) == {
        "__error__": {"error": "run_failed", "message": "ValueError: no"}
    }


def test_a_run_that_asks_a_human_comes_to_its_values_and_all_that_it_asks() -> None:
    asked = (Interrupt("i1", Json(b'"ok?"')), Interrupt("i2", Json(b"2")))

    assert result_of(StateValues(Json(b'{"n":1}')), RunEnded("interrupted", interrupts=asked)) == {
        "n": 1,
        "__interrupt__": [{"id": "i1", "value": "ok?"}, {"id": "i2", "value": 2}],
    }
