"""Routes of runs: start, follow, wait for, cancel."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID, uuid4, uuid5

from starlette.responses import Response
from starlette.types import ASGIApp

from pilothouse.errors import AgentUnavailable, InvalidRequest, NotFound
from pilothouse.events import AgentId, ThreadId
from pilothouse.ports.engines import Agents
from pilothouse.ports.runs import NewRun, Run
from pilothouse.server.calls import Call, Operation, body_operation, json_bytes, json_reply, operation
from pilothouse.server.parts import Parts
from pilothouse.server.states import States
from pilothouse.server.streams import Streaming, event_chunks, result_chunks, run_headers
from pilothouse.wire import decoding
from pilothouse.wire.assistants import find_agent
from pilothouse.wire.replies import encode_all
from pilothouse.wire.runs import (
    CancelOptions,
    JoinOptions,
    RunCreate,
    RunList,
    RunReply,
    RunsCancel,
    new_run,
    new_stateless_run,
    run_reply,
)
from pilothouse.wire.stream_modes import joined_stream_modes
from pilothouse.wire.streaming_v1 import StreamEncoder
from pilothouse.wire.threads import values_of

_CANCELLED_AT_ONCE = 1000
_STATELESS = UUID("5b0d3a1c-2f4e-4a53-9c1b-7e0f6d2a8c11")
"""The namespace of the threads of stateless runs that came with an idempotency key."""
EVENT_STREAM = b"text/event-stream; charset=utf-8"
JSON = b"application/json"


class RunRoutes:
    def __init__(self, parts: Parts, states: States) -> None:
        self._agents = parts.agents
        self._threads = parts.threads
        self._runs = parts.runs
        self._log = parts.log
        self._states = states
        self._check_webhook = parts.check_webhook
        self._push = parts.push

    def hot_operations(self) -> Sequence[Operation]:
        """To be matched first."""
        return (body_operation("POST", "/threads/{thread_id}/runs/stream", RunCreate, self.stream),)

    def operations(self) -> Sequence[Operation]:
        of_thread = "/threads/{thread_id}/runs"
        one = f"{of_thread}/{{run_id}}"
        return (
            body_operation("POST", f"{of_thread}/wait", RunCreate, self.wait),
            body_operation("POST", of_thread, RunCreate, self.create, reply=RunReply),
            operation("GET", of_thread, self.list_all, query=RunList, reply=list[RunReply]),
            operation("GET", f"{one}/stream", self.join_stream, query=JoinOptions),
            operation("GET", f"{one}/join", self.join),
            operation("POST", f"{one}/cancel", self.cancel, query=CancelOptions),
            operation("GET", one, self.get, reply=RunReply),
            operation("DELETE", one, self.delete),
            body_operation("POST", "/runs/stream", RunCreate, self.stream_stateless),
            body_operation("POST", "/runs/wait", RunCreate, self.wait_stateless),
            body_operation("POST", "/runs/batch", list[RunCreate], self.create_batch, reply=list[RunReply]),
            body_operation("POST", "/runs/cancel", RunsCancel, self.cancel_many, query=CancelOptions),
            body_operation("POST", "/runs", RunCreate, self.create_stateless, reply=RunReply),
            operation("GET", "/runs/{run_id}/stream", self.join_stream_by_id, query=JoinOptions),
        )

    # Start.

    async def create(self, call: Call, body: RunCreate) -> Response:
        """Start a run on a thread and answer at once."""
        run = await self._start(call, body)
        await self._ask_for_cpu(body)
        return _created(run)

    async def create_stateless(self, call: Call, body: RunCreate) -> Response:
        """Start a run without a thread and answer at once."""
        run = await self._start_stateless(call, body)
        await self._ask_for_cpu(body)
        return _created(run)

    async def create_batch(self, call: Call, body: list[RunCreate]) -> Response:
        """Start several runs without threads and answer at once."""
        news = [self._stateless(one) for one in body]
        runs = [await self._runs.create(call.principal, new) for new in news]
        await self._ask_for_cpu(*body)
        return json_bytes(encode_all(RunReply, [run_reply(run) for run in runs]))

    async def stream(self, call: Call, body: RunCreate) -> ASGIApp:
        """Start a run on a thread and stream its events."""
        return self._stream(await self._start(call, body), body)

    async def stream_stateless(self, call: Call, body: RunCreate) -> ASGIApp:
        """Start a run without a thread and stream its events."""
        return self._stream(await self._start_stateless(call, body), body)

    async def wait(self, call: Call, body: RunCreate) -> ASGIApp:
        """Start a run on a thread and answer when it has ended, with its last values."""
        return self._result(await self._start(call, body), _cancels(body), body.delay)

    async def wait_stateless(self, call: Call, body: RunCreate) -> ASGIApp:
        """Start a run without a thread and answer when it has ended, with its last values."""
        return self._result(await self._start_stateless(call, body), _cancels(body), body.delay)

    async def _ask_for_cpu(self, *bodies: RunCreate) -> None:
        """For runs that no client waits for, where the platform gives CPU only to requests: ask before the reply is sent."""
        if self._push is not None:
            async with asyncio.TaskGroup() as asking:
                for body in bodies:
                    asking.create_task(self._push.ask(body.delay))

    async def _start(self, call: Call, body: RunCreate) -> Run:
        new = new_run(body, self._admitted(body), call.thread_id, call.idempotency_key)
        return await self._runs.create(call.principal, new)

    async def _start_stateless(self, call: Call, body: RunCreate) -> Run:
        """With an idempotency key the thread is the key's: the same request finds the run again."""
        key = call.idempotency_key
        thread_id = uuid5(_STATELESS, f"{call.principal.user} {key}") if key else uuid4()
        new = new_stateless_run(body, self._admitted(body), ThreadId(str(thread_id)), key)
        return await self._runs.create(call.principal, new)

    def _stateless(self, body: RunCreate) -> NewRun:
        return new_stateless_run(body, self._admitted(body), ThreadId(str(uuid4())))

    def _admitted(self, body: RunCreate) -> AgentId:
        """The agent to run. Raises `NotFound`, `AgentUnavailable`, and `InvalidRequest` if the webhook may not be called."""
        if body.webhook is not None:
            self._check_webhook(body.webhook)
        return agent_to_run(self._agents, body.assistant_id)

    # Follow.

    async def join_stream(self, call: Call) -> ASGIApp:
        """Stream a run's events from its beginning, or after `Last-Event-ID`."""
        return await self._join_stream(call, call.thread_id)

    async def join_stream_by_id(self, call: Call) -> ASGIApp:
        """Stream the events of a run that is known by its id alone."""
        return await self._join_stream(call, await self._runs.thread_of(call.principal, call.run_id))

    async def _join_stream(self, call: Call, thread_id: ThreadId) -> ASGIApp:
        options = call.query(JoinOptions)
        modes = joined_stream_modes(options.stream_mode or ())
        after = decoding.resume_after(call.header("last-event-id"))
        run = await self._runs.get(call.principal, thread_id, call.run_id)
        encoder = StreamEncoder(
            run.run_id,
            modes or run.request.stream_modes,
            after=after,
            subgraphs=run.request.stream_subgraphs,
        )
        return self._events(run, encoder, options.cancel_on_disconnect)

    async def join(self, call: Call) -> ASGIApp:
        """Answer when a run has ended, with its last values."""
        run = await self._runs.get(call.principal, call.thread_id, call.run_id)
        return self._result(run, call.query(JoinOptions).cancel_on_disconnect)

    def _stream(self, run: Run, body: RunCreate) -> ASGIApp:
        encoder = StreamEncoder(run.run_id, run.request.stream_modes, subgraphs=run.request.stream_subgraphs)
        return self._events(run, encoder, _cancels(body), body.delay)

    def _events(
        self,
        run: Run,
        encoder: StreamEncoder,
        cancel_on_disconnect: bool,
        delay: timedelta | None = None,
    ) -> ASGIApp:
        batches = self._log.follow(run.principal, run.thread_id, run.run_id, encoder.follow_after)
        return Streaming(
            event_chunks(batches, encoder),
            run_headers(_path(run), "stream", EVENT_STREAM),
            on_disconnect=self._on_disconnect(run, cancel_on_disconnect, delay),
        )

    def _result(
        self, run: Run, cancel_on_disconnect: bool = False, delay: timedelta | None = None
    ) -> ASGIApp:
        async def thread_values() -> bytes:
            return await self._values(run)

        batches = self._log.follow(run.principal, run.thread_id, run.run_id)
        return Streaming(
            result_chunks(batches, thread_values),
            run_headers(_path(run), "join", JSON),
            on_disconnect=self._on_disconnect(run, cancel_on_disconnect, delay),
        )

    def _on_disconnect(
        self, run: Run, cancel: bool, delay: timedelta | None
    ) -> Callable[[], Awaitable[object]] | None:
        """A run that goes on without its client is cancelled, or needs CPU from elsewhere."""
        if cancel:
            return lambda: self._runs.cancel(run.principal, run.thread_id, run.run_id)
        push, due = self._push, time.monotonic() + (delay.total_seconds() if delay else 0)
        if push is None:
            return None
        return lambda: push.ask(timedelta(seconds=max(0, due - time.monotonic())))

    async def _values(self, run: Run) -> bytes:
        """The values of the run's thread; `{}` if it is gone by now."""
        try:
            thread = await self._threads.get(run.principal, run.thread_id)
            state = await self._states.newest(run.principal, thread)
        except NotFound:
            return b"{}"
        return values_of(state)

    # Look up, cancel, delete.

    async def list_all(self, call: Call) -> Response:
        """List a thread's runs, newest first."""
        options = call.query(RunList)
        runs = await self._runs.list(
            call.principal,
            call.thread_id,
            limit=options.limit,
            offset=options.offset,
            status=options.status,
        )
        return json_bytes(encode_all(RunReply, [run_reply(run) for run in runs], options.select))

    async def get(self, call: Call) -> Response:
        """Get a run."""
        return json_reply(run_reply(await self._runs.get(call.principal, call.thread_id, call.run_id)))

    async def delete(self, call: Call) -> Response:
        """Delete a run that has ended, and its log."""
        await self._runs.delete(call.principal, call.thread_id, call.run_id)
        return Response(status_code=204)

    async def cancel(self, call: Call) -> ASGIApp:
        """Cancel a run, wherever it is; with `wait`, answer when it has ended."""
        options = call.query(CancelOptions)
        run = await self._runs.get(call.principal, call.thread_id, call.run_id)
        await self._runs.cancel(call.principal, run.thread_id, run.run_id, options.action)
        return self._result(run) if options.wait else Response(status_code=202)

    async def cancel_many(self, call: Call, body: RunsCancel) -> Response:
        """Cancel several runs of a thread."""
        if body.status is not None or body.thread_id is None:
            raise InvalidRequest("Give a thread_id, and run_ids if not all of its runs are to be cancelled.")
        thread_id = decoding.thread_id(body.thread_id)
        run_ids = [decoding.run_id(text) for text in body.run_ids or ()]
        if body.run_ids is None:
            listed = await self._runs.list(call.principal, thread_id, limit=_CANCELLED_AT_ONCE)
            run_ids = [run.run_id for run in listed if run.status in ("pending", "running")]
        action = call.query(CancelOptions).action
        for run_id in run_ids:
            await self._runs.cancel(call.principal, thread_id, run_id, action)
        return Response(status_code=204)


def agent_to_run(agents: Agents, name: str) -> AgentId:
    """The agent of this name. Raises `NotFound`, and `AgentUnavailable` if it could not be loaded."""
    agent = find_agent(agents.list(), name)
    if agent.problem is not None:
        raise AgentUnavailable(f"Agent {agent.agent_id} could not be loaded: {agent.problem}")
    return agent.agent_id


def _created(run: Run) -> Response:
    path = _path(run)
    return json_reply(run_reply(run), {"location": f"{path}/stream", "content-location": path})


def _path(run: Run) -> str:
    return f"/threads/{run.thread_id}/runs/{run.run_id}"


def _cancels(body: RunCreate) -> bool:
    return body.on_disconnect == "cancel"
