"""Routes of a thread's event stream (version 2 of the Agent Protocol's streaming): commands, and events as they happen.

The WebSocket is in `sockets`.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from starlette.responses import Response
from starlette.types import ASGIApp

from pilothouse.errors import InvalidRequest, PayloadTooLarge, ServerStopping
from pilothouse.server.calls import Call, Operation, body_operation, json_bytes
from pilothouse.server.commands import Commands
from pilothouse.server.following import EventBatches, Following
from pilothouse.server.parts import Parts
from pilothouse.server.streams import Streaming
from pilothouse.wire.sse import HEARTBEAT
from pilothouse.wire.streaming_v2 import frames
from pilothouse.wire.streaming_v2_commands import (
    Command,
    EventFilter,
    decode_command,
    refusal,
    resume_since,
)

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class ThreadStreamRoutes:
    def __init__(self, parts: Parts) -> None:
        self._commands = Commands(parts, parts.push)
        self._following = Following(parts)

    def operations(self) -> Sequence[Operation]:
        one = "/threads/{thread_id}"
        summary = "Start a run, answer an interrupt, or ask how the agent stands"
        return (
            Operation("POST", f"{one}/commands", self.command, summary, Command),
            body_operation("POST", f"{one}/stream/events", EventFilter, self.stream),
        )

    async def command(self, call: Call) -> Response:
        thread_id = call.thread_id
        try:
            command = decode_command(await call.body())
        except PayloadTooLarge:
            raise
        except InvalidRequest as error:
            return Response(refusal(None, "invalid_argument", str(error)), 400, None, "application/json")
        return json_bytes(await self._commands.answer(call.principal, thread_id, command))

    async def stream(self, call: Call, body: EventFilter) -> ASGIApp:
        """Follow a thread: the events of its runs, those that exist and those that will."""
        body.check()
        since = body.since
        if since is None:
            since = resume_since(call.header("last-event-id"))
        if since is None:
            since = await self._following.now(call.principal, call.thread_id)
        batches = self._following.events(call.principal, call.thread_id, since)
        return Streaming(_chunks(batches, body), _HEADERS)


async def _chunks(batches: EventBatches, wanted: EventFilter) -> AsyncGenerator[bytes, None]:
    """The frames of each batch in one chunk; a heartbeat when nothing happens, and first of all: proxies hold the
    headers back until something follows, and clients wait for them. A server that stops ends the stream: clients come
    back."""
    yield HEARTBEAT
    with suppress(ServerStopping):
        async with aclosing(batches) as closing:
            async for events in closing:
                yield HEARTBEAT if not events else frames([event for event in events if wanted.wants(event)])
