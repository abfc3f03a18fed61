"""One request and its reply, on the way between a client and an instance: the bytes of both are passed on as they come."""

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress

from pilothouse.simulation.instances import HOST, Instance
from pilothouse.simulation.messages import (
    BadMessage,
    Body,
    Head,
    Header,
    read_head,
    reply_body,
    request_body,
    status_of,
)

_COOKIE = b"GAESA"
_COOKIE_SECONDS = 30 * 24 * 3600
_PINNED = re.compile(rb"(?:^|;)\s*GAESA=(\w+)")
_DISCARD_SECONDS = 1
_PIECE_BYTES = 64 * 1024
_REASONS = {400: "Bad Request", 429: "Too Many Requests", 503: "Service Unavailable", 504: "Gateway Timeout"}


class InstanceGone(Exception):
    """The instance broke the connection before its reply was over."""


class Exchange:
    """`reader` and `writer` are the client's; the head of the request has been read. Raises `BadMessage`."""

    def __init__(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._head = head
        self._reader = reader
        self._writer = writer
        method, _, rest = head.start.partition(b" ")
        if not rest.endswith(b" HTTP/1.1"):
            raise BadMessage("this is not HTTP/1.1")
        self._method = method
        self._body = request_body(head)
        self._upgrades = bool(head.get(b"upgrade")) and head.has_token(b"connection", b"upgrade")
        self._is_read = self._body.is_empty
        """Its body has been, to the end."""
        self._is_sent = False
        """An instance may have got some of it."""
        self.keeps_alive = not head.has_token(b"connection", b"close")
        """Another request may follow on this connection."""
        self.has_begun = False
        """Something of the reply has gone to the client."""

    @property
    def pinned(self) -> str | None:
        """The instance that the affinity cookie names."""
        found = _PINNED.search(self._head.get(b"cookie"))
        return found[1].decode() if found else None

    async def pass_to(self, instance: Instance, tasks: asyncio.TaskGroup, *, affinity: bool) -> None:
        """Have it answered. Raises `InstanceGone`; what the client breaks ends the task from outside."""
        cookie = [_cookie(instance)] if affinity and self.pinned != str(instance.number) else []
        async with _connected(instance) as (reader, writer):
            self._is_sent = True
            writer.write(self._forwarded())
            sending = tasks.create_task(self._send(writer))
            try:
                await self._reply(reader, writer, cookie)
            except BadMessage as error:
                raise InstanceGone from error
            finally:
                sending.cancel()
        self.keeps_alive = self.keeps_alive and self._is_read

    async def refuse(self, status: int, text: str) -> None:
        """Answer in the place of an instance."""
        if not self._is_sent:
            await self._discard()
        self.keeps_alive = self.keeps_alive and self._is_read
        connection = "keep-alive" if self.keeps_alive else "close"
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: text/plain\r\n"
            f"content-length: {len(text) + 1}\r\nconnection: {connection}\r\n\r\n"
        )
        self._writer.write(f"{head}{text}\n".encode() if self._method != b"HEAD" else head.encode())
        with suppress(OSError):
            await self._writer.drain()

    async def _discard(self) -> None:
        """Read the body, if it comes soon: a connection that is closed with something unread loses the reply as well."""
        with suppress(OSError, asyncio.IncompleteReadError, BadMessage):  # a timeout is an OSError
            async with asyncio.timeout(_DISCARD_SECONDS):
                async for _piece in self._body.pieces(self._reader):
                    pass
                self._is_read = True

    def _forwarded(self) -> bytes:
        peer = str(self._writer.get_extra_info("peername")[0]).encode()
        headers = [each for each in self._head.end_to_end() if each[0] != b"x-forwarded-for"]
        before = self._head.get(b"x-forwarded-for")
        headers += [
            (b"x-forwarded-for", before + b", " + peer if before else peer),
            (b"x-forwarded-proto", b"http"),
            (b"connection", b"upgrade" if self._upgrades else b"close"),
        ]
        if not self._head.get(b"traceparent"):
            trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
            headers.append((b"traceparent", trace.encode()))
        return _block(self._head.start, headers)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        """Pass the body on. What breaks here the other direction tells too."""
        try:
            async for piece in self._body.pieces(self._reader):
                writer.write(piece)
                await writer.drain()
            self._is_read = True
        except (OSError, asyncio.IncompleteReadError, BadMessage):
            writer.transport.abort()

    async def _reply(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cookie: Iterable[Header]
    ) -> None:
        head, status = await self._next_head(reader)
        while 100 <= status < 200 and status != 101:
            self._writer.write(_block(head.start, head.end_to_end()))
            head, status = await self._next_head(reader)
        if status == 101:
            self._begin(head, [*cookie, (b"connection", b"upgrade")])
            await self._tunnel(reader, writer)
            return
        body = reply_body(head, status, self._method)
        self.keeps_alive = self.keeps_alive and body.length is not None
        connection = b"keep-alive" if self.keeps_alive else b"close"
        self._begin(head, [*cookie, (b"connection", connection)])
        async for piece in _unbroken(body, reader):
            self._writer.write(piece)
            await self._writer.drain()

    async def _next_head(self, reader: asyncio.StreamReader) -> tuple[Head, int]:
        try:
            head = await read_head(reader)
        except (OSError, BadMessage) as error:
            raise InstanceGone from error
        if head is None:
            raise InstanceGone
        return head, status_of(head)

    def _begin(self, head: Head, extra: Iterable[Header]) -> None:
        self.has_begun = True
        self._writer.write(_block(head.start, [*head.end_to_end(), *extra]))

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions, until the instance ends it; when the client does, this task is cancelled."""
        self.keeps_alive = False
        async with asyncio.TaskGroup() as tasks:
            up = tasks.create_task(_copy(self._reader, writer))
            await _copy(reader, self._writer)
            up.cancel()


@asynccontextmanager
async def _connected(
    instance: Instance,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_connection(HOST, instance.port)
    except OSError as error:
        raise InstanceGone from error
    instance.connections.add(writer.transport)
    try:
        yield reader, writer
    finally:
        instance.connections.discard(writer.transport)
        writer.transport.abort()


async def _unbroken(body: Body, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    try:
        async for piece in body.pieces(reader):
            yield piece
    except (OSError, asyncio.IncompleteReadError, BadMessage) as error:
        raise InstanceGone from error


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()


def _block(start: bytes, headers: Iterable[Header]) -> bytes:
    return b"".join((start, b"\r\n", *(b"%b: %b\r\n" % header for header in headers), b"\r\n"))


def _cookie(instance: Instance) -> Header:
    value = b"%b=%d; Max-Age=%d; Path=/; HttpOnly" % (_COOKIE, instance.number, _COOKIE_SECONDS)
    return b"set-cookie", value
