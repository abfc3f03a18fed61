"""Holds a run to its limits."""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import msgspec

from pilothouse.events import Interrupt, Json
from pilothouse.ports.limits import Limit, RunLimits, Usage

BUDGET = "budget"
"""The id of the interrupt that a run over its limits ends with."""


class RunMeter:
    """The port `Meter` for one attempt. `stop` is called in the event loop when the run may spend no more."""

    def __init__(self, limits: RunLimits, usage: Usage, stop: Callable[[], None]) -> None:
        self._limits = limits
        self._usage = usage
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._exceeded: Limit | None = None

    @contextmanager
    def timed(self, begun_at_ms: int) -> Generator[None]:
        """Within the block the run's time is measured, from when its first attempt began."""
        if self._limits.run_seconds is None:
            yield
            return
        left = self._limits.run_seconds - (time.time() - begun_at_ms / 1000)
        timer = self._loop.call_later(max(left, 0), self._exceed, "run_seconds")
        try:
            yield
        finally:
            timer.cancel()

    def model_call(self) -> None:
        self._check_spent()
        self._check("model_calls", self._usage.model_calls, self._limits.model_calls)
        self._usage.model_calls += 1

    def tool_call(self) -> None:
        self._check("tool_calls", self._usage.tool_calls, self._limits.tool_calls)
        self._usage.tool_calls += 1

    def spent(self, input_tokens: int, output_tokens: int, cost: float) -> None:
        self._usage.input_tokens += input_tokens
        self._usage.output_tokens += output_tokens
        self._usage.cost += cost

    def interrupt(self) -> Interrupt:
        """What the run asks when it was stopped: may it go on?"""
        limit = self._exceeded or "run_seconds"
        allowed = getattr(self._limits, limit)
        asked = {
            "type": "budget_exceeded",
            "limit": limit,
            "allowed": allowed,
            "message": f"The run has reached its limit ({_WORDS[limit]}: {allowed:,.10g}). Resume it to let it go on with as much again.",
        }
        return Interrupt(BUDGET, Json(msgspec.json.encode(asked)))

    def _check_spent(self) -> None:
        self._check("tokens", self._usage.input_tokens + self._usage.output_tokens, self._limits.tokens)
        self._check("cost", self._usage.cost, self._limits.cost)

    def _check(self, limit: Limit, used: float, allowed: float | None) -> None:
        if allowed is not None and used >= allowed:
            self._loop.call_soon_threadsafe(self._exceed, limit)
            # No agent's `except Exception` may swallow it.
            raise asyncio.CancelledError

    def _exceed(self, limit: Limit) -> None:
        if self._exceeded is None:
            self._exceeded = limit
            self._stop()


_WORDS: dict[Limit, str] = {
    "run_seconds": "seconds",
    "model_calls": "model calls",
    "tool_calls": "tool calls",
    "tokens": "tokens",
    "cost": "cost",
}
