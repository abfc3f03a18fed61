"""Every call of a LangChain tool passes `BaseTool.run` or `BaseTool.arun`. These are wrapped here, once for the process; outside of
a run of ours the wrappers only call what they wrap."""

import functools
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from langchain_core.tools import BaseTool
from langgraph.errors import GraphInterrupt

from pilothouse.engines.langgraph.tool_calls import (
    ACTIVE,
    FRESH_SECONDS,
    OUTER,
    RunToolCalls,
    ToolCallStopped,
)
from pilothouse.engines.langgraph.tool_results import Outcome, stand_in
from pilothouse.engines.langgraph.tool_steps import Live, task_of, visible_arguments
from pilothouse.errors import ConfigurationError
from pilothouse.ports.tools import CURRENT_CALL, Replay


def install() -> None:
    """Wrap LangChain's tools, once for the process."""
    if not hasattr(BaseTool.arun, "__wrapped__"):
        BaseTool.arun = _wrapped_arun(BaseTool.arun)
        BaseTool.run = _wrapped_run(BaseTool.run)


def replay_of(tool: BaseTool) -> Replay:
    """What the tool declares in `metadata["replay"]`; a tool of an MCP server that only reads says so in its own words."""
    metadata = tool.metadata or {}
    declared = metadata.get("replay") or ("safe" if metadata.get("readOnlyHint") is True else "once")
    if declared not in ("safe", "once", "ask"):
        raise ToolCallStopped(
            ConfigurationError(f"{tool.name}: replay is safe, once or ask, not {declared!r}.")
        )
    return declared


def _wrapped_arun(original: Any) -> Any:
    @functools.wraps(original)
    async def arun(self: BaseTool, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        run = ACTIVE.get()
        if run is None:
            return await original(self, tool_input, *args, **kwargs)
        replay = replay_of(self) if run.records else "safe"
        task = task_of(kwargs.get("config")) if replay != "safe" else None
        if task is None:
            with _unrecorded(run, kwargs):
                return await original(self, tool_input, *args, **kwargs)
        call_id = kwargs.get("tool_call_id") or ""
        begun = await run.begin(self, tool_input, call_id, task, OUTER.get(), needs_approval=replay == "ask")
        if isinstance(begun, Outcome):
            return await original(stand_in(self, begun), visible_arguments(self, tool_input), *args, **kwargs)
        try:
            while time.monotonic() - begun.claimed_at > FRESH_SECONDS:
                await run.refresh(begun, self)
            with _within(run, begun):
                result = await original(self, _input(self, tool_input, begun), *args, **kwargs)
        except Exception as error:
            failure = await run.raised(begun, self, error)
            if failure is error:
                raise
            raise failure from error
        else:
            return await run.returned(begun, result)
        finally:
            run.leave(begun)

    return arun


def _wrapped_run(original: Any) -> Any:
    @functools.wraps(original)
    def run_(self: BaseTool, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        run = ACTIVE.get()
        if run is None:
            return original(self, tool_input, *args, **kwargs)
        replay = replay_of(self) if run.records else "safe"
        task = None if replay == "safe" or run.blocks_loop(self) else task_of(kwargs.get("config"))
        if task is None:
            with _unrecorded(run, kwargs):
                return original(self, tool_input, *args, **kwargs)
        call_id, ask = kwargs.get("tool_call_id") or "", replay == "ask"
        begun = run.in_loop(run.begin(self, tool_input, call_id, task, OUTER.get(), needs_approval=ask))
        if isinstance(begun, Outcome):
            return original(stand_in(self, begun), visible_arguments(self, tool_input), *args, **kwargs)
        try:
            while time.monotonic() - begun.claimed_at > FRESH_SECONDS:
                run.in_loop(run.refresh(begun, self))
            with _within(run, begun):
                result = original(self, _input(self, tool_input, begun), *args, **kwargs)
        except Exception as error:
            failure = run.in_loop(run.raised(begun, self, error))
            if failure is error:
                raise
            raise failure from error
        else:
            return run.in_loop(run.returned(begun, result))
        finally:
            run.leave_soon(begun)

    return run_


@contextmanager
def _within(run: RunToolCalls, live: Live) -> Generator[None]:
    """What the tool sees, and the tools that it calls."""
    current, outer = CURRENT_CALL.set(run.current_call(live)), OUTER.set(live)
    try:
        yield
    finally:
        OUTER.reset(outer)
        CURRENT_CALL.reset(current)


@contextmanager
def _unrecorded(run: RunToolCalls, kwargs: Mapping[str, Any]) -> Generator[None]:
    run.count()
    current = CURRENT_CALL.set(None)
    try:
        yield
    except GraphInterrupt as error:
        task = task_of(kwargs.get("config"))
        first = run.first_stop(task, error) if task is not None else error
        if first is error:
            raise
        raise first from error
    finally:
        CURRENT_CALL.reset(current)


def _input(tool: BaseTool, given: Any, live: Live) -> Any:
    if live.edited is None:
        return given
    if not isinstance(given, dict):
        return live.edited.get("input", given)
    arguments = cast("dict[str, Any]", given)
    injected = arguments.keys() - visible_arguments(tool, arguments).keys()
    return {name: arguments[name] for name in injected} | dict(live.edited)
