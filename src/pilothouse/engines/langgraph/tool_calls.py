"""What happens around a call of a tool in a run: see `docs/decisions/0003-tool-effects.md`.

A call of a tool that is not `safe`

1. waits until the checkpoints that its task stands on are stored, so that a later attempt makes the same call,
2. is claimed; if it was before, it gets what is recorded of it, or a human is asked,
3. runs, with `CURRENT_CALL` set, and is recorded.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar, cast
from uuid import UUID, uuid5

import msgspec
from langchain_core.tools import BaseTool
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.errors import GraphBubbleUp, GraphInterrupt, is_invalid_resume
from langgraph.types import (
    Interrupt,
    _interrupt_id,  # pyright: ignore[reportPrivateUsage] - `interrupt()` would count our questions among the tool's own
)
from pydantic import ValidationError

from pilothouse.engines.langgraph.approvals import Why, decision_of, question_about
from pilothouse.engines.langgraph.tool_results import (
    Outcome,
    dump_failure,
    dump_result,
    recorded_outcome,
    refusal_outcome,
    with_notice,
)
from pilothouse.engines.langgraph.tool_steps import Execution, Live, SavesSteps, Task, visible_arguments
from pilothouse.errors import PilothouseError, RunFailed
from pilothouse.ports.engines import EngineRequest
from pilothouse.ports.tool_calls import (
    Asked,
    Claimed,
    NewToolCall,
    Question,
    Recorded,
    Refused,
    ToolCallRef,
    ToolCalls,
    Unsure,
)
from pilothouse.ports.tools import CurrentCall

logger = logging.getLogger(__name__)

T = TypeVar("T")

_KEYS = UUID("8d0e6a0c-6a5e-5d52-9d0c-3c2b1f6f1a47")
_LAST_WRITE_SECONDS = 0.5
FRESH_SECONDS = 2.0
"""A claim that is older when the call is about to start is made again: the process was stopped, and may have lost the run."""

ACTIVE: ContextVar["RunToolCalls | None"] = ContextVar("run_tool_calls", default=None)
OUTER: ContextVar[Live | None] = ContextVar("outer_tool_call", default=None)


class ToolCallStopped(GraphBubbleUp):
    """An error of ours on its way to the engine: as LangGraph's control flow, which tool nodes do not show to the model."""

    def __init__(self, error: PilothouseError) -> None:
        super().__init__(str(error))
        self.error = error


class RunToolCalls:
    """The tool calls of one attempt at a run. Without a store nothing is recorded: every tool counts as `safe`."""

    def __init__(
        self,
        request: EngineRequest,
        store: ToolCalls | None,
        serde: SerializerProtocol,
        saver: SavesSteps | None,
    ) -> None:
        self.records = store is not None
        self.store = cast("ToolCalls", store)
        self.serde = serde
        self._saver = saver
        self.request = request
        self._run_id = str(request.run_id)
        self._resume = _resume_of(request)
        self._retries = request.request.command is None and request.request.input is None
        self._executions: dict[tuple[str, int], Execution] = {}
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._hops: set[Future[Any]] = set()
        self._warned: set[str] = set()

    @contextmanager
    def active(self) -> Generator[None]:
        """Within the block every call of a tool is one of this run."""
        token = ACTIVE.set(self)
        try:
            yield
        finally:
            ACTIVE.reset(token)
            for hop in self._hops:
                hop.cancel()

    def in_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """For worker threads: the coroutine's result, from the event loop."""
        hop = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._hops.add(hop)
        try:
            return hop.result()
        finally:
            self._hops.discard(hop)

    def blocks_loop(self, tool: BaseTool) -> bool:
        """Whether a synchronous call comes from the event loop itself. Nothing can be awaited for it then. Raises where the tool
        must not run that way."""
        if threading.get_ident() != self._loop_thread:
            return False
        if (tool.metadata or {}).get("replay"):
            raise ToolCallStopped(
                RunFailed(
                    f"{tool.name} declares `replay`: in an async node, call it with `await {tool.name}.ainvoke(…)`."
                )
            )
        if tool.name not in self._warned:
            self._warned.add(tool.name)
            logger.warning(
                "tool is called synchronously in async code: no record is kept", extra={"tool": tool.name}
            )
        return True

    async def begin(
        self,
        tool: BaseTool,
        given: Any,
        call_id: str,
        task: Task,
        outer: Live | None,
        *,
        needs_approval: bool,
    ) -> Live | Outcome:
        """The call that may now start, to be given to `end`; or what it gives without its tool.

        Raises `GraphInterrupt` where a human is asked, `ToolCallStopped`.
        """
        step = task.step(self._saver, self._run_id)
        execution = self._executions.setdefault((step, task.try_number), Execution())
        arguments = visible_arguments(tool, given)
        ref = ToolCallRef(step, execution.key(outer, tool.name, arguments))
        live = Live(ref, call_id, execution, outer, task)
        new = NewToolCall(ref, tool.name, call_id, execution.id, needs_approval)
        self._enter(live)
        try:
            with _bubbling():
                if self._saver is not None:
                    await task.saved(self._saver)
                outcome = await self._claimed(live, new, arguments)
                if outcome is None:
                    await self._count_claimed(live)
                    return live
        except GraphInterrupt:
            await self._wait_for_others(live)
            self.leave(live)
            raise
        except BaseException:
            self.leave(live)
            raise
        self.leave(live)
        return outcome

    def count(self) -> None:
        """A tool is about to start. Raises `CancelledError` where the run may call no more."""
        if self.request.meter is not None:
            self.request.meter.tool_call()

    async def refresh(self, live: Live, tool: BaseTool) -> None:
        """Claim it once more. Raises `ToolCallStopped` where it belongs to somebody else now."""
        with _bubbling():
            live.claimed_at = time.monotonic()
            new = NewToolCall(live.ref, tool.name, live.call_id, live.execution.id)
            await self.store.claim(new, first=False, retry=False)

    async def returned(self, live: Live, given: object) -> object:
        """Record it."""
        shown = with_notice(given) if live.edited is not None else given
        with _bubbling():
            result = dump_result(self.serde, shown)
            await _surely(lambda: self.store.record(live.ref, result))
        return shown

    async def raised(self, live: Live, tool: BaseTool, error: Exception) -> Exception:
        """Record it, unless the call is to be made again. Returns what to raise."""
        with _bubbling():
            if isinstance(error, GraphInterrupt):
                await _surely(lambda: self.store.release(live.ref))
                live.execution.stopped = live.execution.stopped or error
                await self._wait_for_others(live)
                return live.execution.stopped
            if isinstance(error, GraphBubbleUp):
                return error
            if _never_ran(tool, error):
                await _surely(lambda: self.store.release(live.ref))
            else:
                await _surely(lambda: self.store.record(live.ref, dump_failure(error), failed=True))
        return error

    def leave(self, live: Live) -> None:
        """The call is over, one way or the other: what waited for it may go on."""
        live.execution.leave(live)
        live.unbroken.__exit__(None, None, None)

    def leave_soon(self, live: Live) -> None:
        """`leave`, from a worker thread."""
        self._loop.call_soon_threadsafe(self.leave, live)

    def first_stop(self, task: Task, error: GraphInterrupt) -> GraphBubbleUp:
        """What a step is to raise when one of its tools interrupts: the first of all interrupts in it, so that the answer
        belongs to that one whichever LangGraph gets to see."""
        execution = self._executions.get((task.step(self._saver, self._run_id), task.try_number))
        if execution is None:
            return error
        execution.stopped = execution.stopped or error
        return execution.stopped

    def current_call(self, live: Live) -> CurrentCall:
        request = self.request
        place = f"{request.principal.user}\0{request.thread_id}\0{live.ref.step}\0{live.ref.key}"
        return CurrentCall(live.call_id, str(uuid5(_KEYS, place)), request.attempt)

    def _enter(self, live: Live) -> None:
        """From before it is claimed: a worker that hands its runs over lets the call end first."""
        live.execution.enter(live)
        if self.request.stop is not None:
            live.unbroken = self.request.stop.unbroken()
        live.unbroken.__enter__()

    async def _count_claimed(self, live: Live) -> None:
        try:
            self.count()
        except asyncio.CancelledError:
            await _surely(lambda: self.store.release(live.ref))
            raise

    async def _claimed(self, live: Live, new: NewToolCall, arguments: Mapping[str, object]) -> Outcome | None:
        live.claimed_at = time.monotonic()
        claim = await self._claim(live, new)
        match claim:
            case Recorded():
                return recorded_outcome(self.serde, claim, live.call_id)
            case Refused():
                return await self._refuse(claim, new)
            case Unsure():
                raise await self._question(
                    live, msgspec.structs.replace(new, ref=claim.ref), arguments, claim.why
                )
            case Claimed():
                live.ref = claim.ref
                live.edited = claim.edited.arguments if claim.edited else None
                if live.execution.stopped is not None:
                    await self.store.release(live.ref)
                    raise live.execution.stopped
        return None

    async def _claim(self, live: Live, new: NewToolCall) -> Claimed | Recorded | Refused | Unsure:
        execution, retry = live.execution, self._retries or live.task.try_number > 1
        async with execution.lock:
            if execution.stopped is not None:
                raise execution.stopped
            if not execution.begun:
                claim = await self.store.claim(new, first=True, retry=retry)
                if isinstance(claim, Asked):
                    await self._settle(claim, live)
                execution.begun = True
                if not isinstance(claim, Asked):
                    return claim
        return cast("Any", await self.store.claim(new, first=False, retry=retry))

    async def _settle(self, asked: Asked, live: Live) -> None:
        """Take the answer to the question that the step waited with, or ask it again."""
        if asked.taken is not None:
            self._answer_at(asked.taken, live.task)
        question = asked.question
        if question is None:
            return
        answer = (
            self._answer_at(question.answered_before, live.task) if question.run_id != self._run_id else None
        )
        if answer is None:
            live.execution.stopped = _interrupt(question, live.task)
            raise live.execution.stopped
        try:
            decision = decision_of(answer, question)
        except PilothouseError as error:
            live.execution.stopped = ToolCallStopped(error)
            raise live.execution.stopped from error
        await self.store.decide(question, decision)

    def _answer_at(self, position: int, task: Task) -> Any:
        """Take this run's answer out of those that LangGraph keeps for the task: what the tool itself asks must not get it."""
        answers: list[Any] = task.scratchpad.resume
        if self._resume is None:
            return None
        if position < len(answers):
            return answers.pop(position)
        return task.scratchpad.get_null_resume(True) if not _is_by_interrupt(self._resume) else None

    async def _question(
        self, live: Live, new: NewToolCall, arguments: Mapping[str, object], why: Why
    ) -> GraphBubbleUp:
        """What to raise so that a human is asked, or what the step raises already."""
        if live.execution.stopped is not None:
            return live.execution.stopped
        before = len(live.task.scratchpad.resume)
        question = Question(new.ref, before, question_about(new.name, arguments, why), self._run_id, why)
        live.execution.stopped = _interrupt(question, live.task)
        await self.store.ask(new, question)
        return live.execution.stopped

    async def _refuse(self, refused: Refused, new: NewToolCall) -> Outcome:
        outcome = refusal_outcome(refused.decision, new.name, new.call_id)
        if isinstance(outcome.value, Exception):
            await self.store.record(refused.ref, dump_failure(outcome.value), failed=True)
        else:
            await self.store.record(refused.ref, dump_result(self.serde, outcome.value))
        return outcome

    async def _wait_for_others(self, live: Live) -> None:
        live.pause()
        await live.execution.others_ended()


async def _surely(write: Callable[[], Awaitable[None]]) -> None:
    """Also when the run is cancelled meanwhile: nobody should have to be asked about what is known. It may be written twice."""
    try:
        await write()
    except asyncio.CancelledError:
        with suppress(PilothouseError, TimeoutError):
            async with asyncio.timeout(_LAST_WRITE_SECONDS):
                await write()
        raise


@contextmanager
def _bubbling() -> Generator[None]:
    try:
        yield
    except PilothouseError as error:
        raise ToolCallStopped(error) from error


def _interrupt(question: Question, task: Task) -> GraphInterrupt:
    place = _interrupt_id(task.namespace, question.answered_before)
    return GraphInterrupt((Interrupt(msgspec.json.decode(question.value), id=place),))


def _resume_of(request: EngineRequest) -> Any:
    """The answer that the run brings to what a tool or the graph asked."""
    command = request.request.command
    if command is None or request.after == "budget_exceeded":
        return None
    return msgspec.json.decode(command).get("resume")


def _is_by_interrupt(resume: object) -> bool:
    """As LangGraph tells a map of answers by their interrupts from a single answer."""
    if not isinstance(resume, dict):
        return False
    return all(
        isinstance(key, str) and len(key) == 32 and set(key) <= set("0123456789abcdef")
        for key in cast("dict[object, object]", resume)
    )


def _never_ran(tool: BaseTool, error: Exception) -> bool:
    """Its arguments were refused, or an answer to its own question."""
    if not isinstance(error, ValidationError):
        return False
    return is_invalid_resume(error) or error.title == getattr(tool.args_schema, "__name__", None)
