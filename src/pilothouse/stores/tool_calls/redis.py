"""Tool calls in Redis. `scripts` shows how they lie there."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from pilothouse.errors import LeaseLost
from pilothouse.events import Attempt, RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.tool_calls import (
    Asked,
    CallEnd,
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
from pilothouse.stores.client import Redis, Value, outlasting_outages
from pilothouse.stores.runs.records import now_ms
from pilothouse.stores.tool_calls import scripts

_LARGEST_RESULT_BYTES = 1 << 20
"""A larger one is not kept: the call counts as ended, and whoever makes it again is asked."""

_RUN_WAITS = timedelta(minutes=10)
"""So long is an outage of Redis waited out. Every script may be executed twice."""

_encode = msgspec.json.Encoder().encode
_decision = msgspec.json.Decoder(Decision)
_question = msgspec.json.Decoder(Question)


class _Answer(msgspec.Struct, frozen=True):
    run: str
    answered_before: int


_answer = msgspec.json.Decoder(_Answer)


class RedisToolCalls:
    """The port `ToolCalls`, for one attempt at a run. Made anew for each.

    `fresh`: the run begins with a new input, so that nothing of earlier runs can be made again.
    """

    def __init__(
        self,
        redis: Redis,
        principal: Principal,
        thread_id: ThreadId,
        run_id: RunId,
        attempt: Attempt,
        *,
        ttl: timedelta,
        fresh: bool,
    ) -> None:
        self._calls = keys.calls(principal, thread_id)
        self._run = keys.run(run_id)
        self._run_id = run_id
        self._fence: list[Value] = [attempt, int(ttl.total_seconds() * 1000)]
        self._fresh = fresh
        self._redis = redis

    async def claim(self, call: NewToolCall, *, first: bool, retry: bool) -> Claim:
        about = (call.ref.step, call.ref.key, call.name, call.call_id, call.execution)
        flags = (int(self._fresh), int(first), int(retry))
        outcome, *rest = await self._write(
            scripts.CLAIM, self._run_id, *flags, now_ms(), *about, int(call.needs_approval)
        )
        return self._claim_of(outcome.decode(), call.ref.step, rest)

    def _claim_of(self, outcome: str, step: str, rest: Sequence[bytes]) -> Claim:
        if outcome == "asked":
            answer = _answer.decode(rest[1]) if rest[1] else None
            mine = answer is not None and answer.run == self._run_id
            return Asked(
                _question.decode(rest[0]) if rest[0] else None,
                answer.answered_before if answer and mine else None,
            )
        ref = ToolCallRef(step, rest[0].decode())
        match outcome:
            case "claimed":
                return Claimed(ref, _decision.decode(rest[1]) if rest[1] else None)
            case "refused":
                return Refused(ref, _decision.decode(rest[1]))
            case "new" | "unfinished" | "unkept":
                return Unsure(ref, outcome)
            case _:
                return Recorded(rest[1], failed=outcome == "failed")

    async def record(self, ref: ToolCallRef, result: bytes | None, *, failed: bool = False) -> None:
        if result is None or len(result) > _LARGEST_RESULT_BYTES:
            await self._write(scripts.END, ref.step, ref.key, "unkept")
        else:
            await self._write(scripts.END, ref.step, ref.key, "failed" if failed else "done", result)

    async def release(self, ref: ToolCallRef) -> None:
        await self._write(scripts.END, ref.step, ref.key, "free")

    async def ask(self, call: NewToolCall, question: Question) -> None:
        about = (call.ref.step, call.ref.key, call.name, call.call_id, call.execution)
        await self._write(scripts.ASK, self._run_id, now_ms(), *about, _encode(question))

    async def decide(self, question: Question, decision: Decision) -> None:
        ref, answer = question.ref, _Answer(self._run_id, question.answered_before)
        await self._write(
            scripts.DECIDE, ref.step, ref.key, decision.type, _encode(decision), _encode(answer)
        )

    async def results(self, call_ids: Sequence[str]) -> Mapping[str, bytes | CallEnd]:
        script = self._redis.register_script(scripts.RESULTS)
        answers = await outlasting_outages(lambda: script(keys=[self._calls], args=call_ids), _RUN_WAITS)
        return {
            call_id: _end_of(state.decode(), result)
            for call_id, (state, result) in zip(call_ids, answers, strict=True)
        }

    async def _write(self, text: str, *args: Value) -> Any:
        script = self._redis.register_script(text)
        names, values = [self._calls, self._run], [*self._fence, *args]
        answer = await outlasting_outages(lambda: script(keys=names, args=values), _RUN_WAITS)
        if answer == 0:
            raise LeaseLost
        return answer


def _end_of(state: str, result: bytes) -> bytes | CallEnd:
    match state:
        case "done":
            return result
        case "open":
            return "unfinished"
        case "failed" | "unkept":
            return cast("CallEnd", state)
        case _:
            return "unknown"
