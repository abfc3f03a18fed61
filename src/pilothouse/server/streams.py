"""Replies that last as long as a run: its events, or its result after a wait."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from pilothouse.errors import NotFound, ServerStopping
from pilothouse.events import Record
from pilothouse.wire.runs import RunResult, error_result
from pilothouse.wire.sse import HEARTBEAT, RETRY_SOON
from pilothouse.wire.streaming_v1 import StreamEncoder, error_frame

Batches = AsyncGenerator[Sequence[Record], None]
KEEP_ALIVE = b"\n"

_CANCEL_SECONDS = 10


class ClientGone(Exception):
    """The client closed its connection."""


class BrokenOff(Exception):
    """The reply can't be finished here: the connection is closed in the middle, so that the client sees it, and comes back."""


class Streaming:
    """Sends chunks as they come, until they end or the client goes."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        headers: Sequence[tuple[bytes, bytes]],
        *,
        on_disconnect: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._chunks = chunks
        self._headers = headers
        self._on_disconnect = on_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = False
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(_raise_when_gone(receive))
                await self._send(send)
                watcher.cancel()
        except* ClientGone:
            gone = True
        if gone and self._on_disconnect is not None:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._on_disconnect()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        try:
            async with aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    if chunk:
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except BrokenOff:
            return
        await send({"type": "http.response.body", "body": b""})


async def _raise_when_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientGone


def run_headers(path: str, tail: str, content_type: bytes) -> list[tuple[bytes, bytes]]:
    """`path` is the run's, `path/tail` where to go on after a cut. They are relative: a client refuses another origin,
    and behind a proxy we don't know our own."""
    location = path.encode()
    return [
        (b"content-type", content_type),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"location", b"%b/%b" % (location, tail.encode())),
        (b"content-location", location),
    ]


async def event_chunks(batches: Batches, encoder: StreamEncoder) -> AsyncGenerator[bytes, None]:
    """The frames of each batch in one chunk; a heartbeat when nothing happens.

    A run that is deleted while it is followed ends in an `error`. A server that stops ends the stream without an `end`,
    and any other trouble breaks the connection off: the client comes back, as soon as the first frame told it to.
    """
    hint = RETRY_SOON
    try:
        async with aclosing(batches) as closing:
            async for batch in closing:
                frames = b"".join([encoder.encode(record) for record in batch])
                if not frames:
                    yield b"" if batch else HEARTBEAT
                    continue
                yield hint + frames
                hint = b""
    except NotFound as error:
        yield error_frame(error.code, str(error))
    except ServerStopping:
        return


async def result_chunks(
    batches: Batches, thread_values: Callable[[], Awaitable[bytes]]
) -> AsyncGenerator[bytes, None]:
    """A line break when nothing happens, so that the connection lives, and at the end what the run came to.

    `thread_values` is asked where the run's own log has no values. A run that is deleted meanwhile came to an error. Raises
    `BrokenOff` when the server stops.
    """
    result = RunResult()
    try:
        async with aclosing(batches) as closing:
            async for batch in closing:
                for record in batch:
                    result.absorb(record)
                if not batch:
                    yield KEEP_ALIVE
    except NotFound as error:
        yield error_result(error.code, str(error))
    except ServerStopping as error:
        raise BrokenOff from error
    else:
        yield result.body() or result.with_interrupts(await thread_values())
