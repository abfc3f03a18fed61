"""The record of tool calls in Redis."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.tool_calls.places import Place, on, tool_calls

from pilothouse.errors import LeaseLost
from pilothouse.events import Json, RunId, ThreadId
from pilothouse.ports.tool_calls import (
    Asked,
    Claim,
    Claimed,
    Decision,
    NewToolCall,
    Question,
    Recorded,
    Refused,
    ToolCallRef,
    Unsure,
)
from pilothouse.stores import keys
from pilothouse.stores.checkpoints.threads import RedisCheckpoints
from pilothouse.stores.runs.threads import RedisThreads
from pilothouse.stores.tool_calls.redis import RedisToolCalls

REF = ToolCallRef("tools:1", "pay#1")
QUESTION = Question(REF, 0, Json(b'{"may": "I"}'), "run")
HOUR = timedelta(hours=1)


def call(execution: str = "first", ref: ToolCallRef = REF, **fields: object) -> NewToolCall:
    return NewToolCall(ref, "pay", str(fields.pop("call_id", "call-1")), execution, **fields)  # pyright: ignore[reportArgumentType]  any of its fields


async def claim(
    calls: RedisToolCalls, new: NewToolCall, *, first: bool = False, retry: bool = False
) -> Claim:
    return await calls.claim(new, first=first, retry=retry)


def test_of_many_who_claim_a_call_at_once_one_gets_it(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        calls = [tool_calls(place.redis, place.thread_id, run_id) for _ in range(20)]
        claims = await asyncio.gather(*(claim(each, call(uuid4().hex)) for each in calls))
        assert sorted(type(each).__name__ for each in claims) == ["Claimed"] + ["Unsure"] * 19

    on(redis_url, scenario)


def test_the_same_execution_may_claim_again_after_an_answer_that_was_lost(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        calls = tool_calls(place.redis, place.thread_id, run_id)
        assert await claim(calls, call()) == await claim(calls, call()) == Claimed(REF)

    on(redis_url, scenario)


def test_what_is_recorded_is_given_to_whoever_claims_the_call_by_its_key_or_by_its_id(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        calls = tool_calls(place.redis, place.thread_id, run_id)
        await claim(calls, call())
        await calls.record(REF, b"paid")
        other = ToolCallRef(REF.step, "pay#2")
        assert await claim(calls, call("second")) == Recorded(b"paid")
        assert await claim(calls, call("second", other)) == Recorded(b"paid")
        assert await claim(calls, call("second", other, call_id="call-2")) == Claimed(other)
        elsewhere = ToolCallRef("tools:2", "pay#1")
        assert await claim(calls, call("second", elsewhere)) == Claimed(elsewhere)

    on(redis_url, scenario)


def test_an_attempt_that_is_not_the_newest_and_a_run_that_has_ended_write_nothing(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        old = tool_calls(place.redis, place.thread_id, run_id, 1)
        await claim(old, call())
        await place.begin(run_id)
        new = tool_calls(place.redis, place.thread_id, run_id, 2)
        for step in refused_steps(old):
            with pytest.raises(LeaseLost):
                await step
        assert await claim(new, call("second")) == Unsure(REF, "unfinished")
        await place.end(run_id)
        for step in refused_steps(new):
            with pytest.raises(LeaseLost):
                await step

    on(redis_url, scenario)


def refused_steps(calls: RedisToolCalls) -> list[object]:
    return [
        claim(calls, call("third", ToolCallRef("tools:1", "other"), call_id="")),
        calls.record(REF, b"late"),
        calls.release(REF),
        calls.ask(call(), QUESTION),
        calls.decide(QUESTION, Decision("approve")),
    ]


def test_a_failed_call_may_be_claimed_again_only_by_who_retries(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        calls = tool_calls(place.redis, place.thread_id, run_id)
        await claim(calls, call())
        await calls.record(REF, b"why", failed=True)
        assert await claim(calls, call("second")) == Recorded(b"why", failed=True)
        assert await claim(calls, call("second"), retry=True) == Claimed(REF)

    on(redis_url, scenario)


def test_a_released_call_and_one_that_may_run_again_are_claimed_anew(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        calls = tool_calls(place.redis, place.thread_id, run_id)
        await claim(calls, call())
        await calls.release(REF)
        assert await claim(calls, call("second", needs_approval=True)) == Claimed(REF)
        await calls.record(REF, b"x" * ((1 << 20) + 1))
        assert await claim(calls, call("third")) == Unsure(REF, "unkept")

    on(redis_url, scenario)


@pytest.mark.parametrize("kind", ["approve", "edit", "reject"])
def test_a_decision_counts_once(redis_url: str, kind: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        calls = tool_calls(place.redis, place.thread_id, run_id)
        new = call(needs_approval=True)
        assert await claim(calls, new) == Unsure(REF, "new")
        await calls.ask(new, QUESTION)
        assert await claim(calls, call("second"), first=True) == Asked(QUESTION, None)
        decided = Decision(kind, {"amount": 1} if kind == "edit" else None)  # pyright: ignore[reportArgumentType]  one of its kinds
        await calls.decide(QUESTION, decided)
        assert await claim(calls, call("second"), first=True) == Asked(None, 0)
        later, _ = await place.begin()
        assert await claim(
            tool_calls(place.redis, place.thread_id, later),
            call("x", ToolCallRef("tools:1", "y"), call_id=""),
            first=True,
        ) == Asked(None, None)
        after = await claim(calls, call("second"))
        if kind == "reject":
            assert after == Refused(REF, decided)
        else:
            assert after == Claimed(REF, decided if kind == "edit" else None)
            assert await claim(calls, call("third")) == Unsure(REF, "unfinished")

    on(redis_url, scenario)


def test_a_run_with_a_new_input_forgets_the_calls_of_earlier_ones_with_its_first_claim(
    redis_url: str,
) -> None:
    async def scenario(place: Place) -> None:
        first, _ = await place.begin()
        await claim(tool_calls(place.redis, place.thread_id, first), call())
        second, _ = await place.begin()
        resumed = tool_calls(place.redis, place.thread_id, second)
        assert await claim(resumed, call("second")) == Unsure(REF, "unfinished")
        third, _ = await place.begin()
        fresh = tool_calls(place.redis, place.thread_id, third, fresh=True)
        assert await fresh.results(["call-1", "call-2"]) == {"call-1": "unfinished", "call-2": "unknown"}
        other = ToolCallRef("tools:9", "pay#1")
        assert await claim(fresh, call("third", other, call_id="call-9")) == Claimed(other)
        assert await fresh.results(["call-1", "call-9"]) == {"call-1": "unknown", "call-9": "unfinished"}

    on(redis_url, scenario)


def test_calls_live_as_long_as_their_thread_and_go_with_it(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        name = keys.calls(place.principal, place.thread_id)
        await claim(tool_calls(place.redis, place.thread_id, run_id, ttl=HOUR), call())
        assert HOUR.total_seconds() - 60 < await place.redis.ttl(name) <= HOUR.total_seconds()
        threads = RedisThreads(place.redis, HOUR)
        await threads.create(place.principal, place.thread_id, {})
        await threads.delete(place.principal, place.thread_id)
        assert await place.redis.exists(name) == 0

    on(redis_url, scenario)


def test_a_run_that_is_rolled_back_takes_its_calls_with_it(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        kept, _ = await place.begin()
        await claim(tool_calls(place.redis, place.thread_id, kept), call())
        gone, _ = await place.begin()
        other = ToolCallRef("tools:2", "pay#1")
        calls = tool_calls(place.redis, place.thread_id, gone)
        await claim(calls, call("second", other, call_id="call-2"))
        checkpoints = RedisCheckpoints(place.redis, HOUR)
        await checkpoints.delete_for_runs(place.principal, place.thread_id, [RunId(gone)])
        assert await calls.results(["call-1", "call-2"]) == {"call-1": "unfinished", "call-2": "unknown"}

    on(redis_url, scenario)


def test_a_copied_thread_knows_its_calls(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        run_id, _ = await place.begin()
        await claim(tool_calls(place.redis, place.thread_id, run_id), call())
        target = ThreadId(str(uuid4()))
        await place.redis.zadd(f"{keys.thread(place.principal, place.thread_id)}:cp:ids", {"\0id": 0})
        await RedisCheckpoints(place.redis, HOUR).copy_thread(place.principal, place.thread_id, target)
        copied = tool_calls(place.redis, target, run_id)
        assert await copied.results(["call-1"]) == {"call-1": "unfinished"}

    on(redis_url, scenario)
