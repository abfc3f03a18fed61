"""HTTP/1.1 messages, as far as a proxy must read them: a head, and where the body ends.

A body is passed on as the bytes it came in, chunks with their sizes included: nothing waits for more of it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from typing import Self

import msgspec

MAX_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;|\r\n)")
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection"})

Header = tuple[bytes, bytes]
CHUNKED = -1


class BadMessage(Exception):
    """It is not HTTP/1.1, or too big a head."""


class Head(msgspec.Struct, frozen=True):
    """The start line, and the headers as they came, names in lower case."""

    start: bytes
    headers: tuple[Header, ...]

    @classmethod
    def parse(cls, block: bytes) -> Self:
        """Raises `BadMessage`."""
        start, *lines = block.strip(b"\r\n").split(b"\r\n")
        headers: list[Header] = []
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise BadMessage("a header is malformed")
            headers.append((name.lower(), value.strip()))
        return cls(start, tuple(headers))

    def get(self, name: bytes) -> bytes:
        """The first header of this name; empty if there is none."""
        return next((value for key, value in self.headers if key == name), b"")

    def has_token(self, name: bytes, token: bytes) -> bool:
        values = b",".join(value for key, value in self.headers if key == name)
        return token in (each.strip().lower() for each in values.split(b","))

    def end_to_end(self) -> Iterable[Header]:
        """The headers that are not about this one connection."""
        return (header for header in self.headers if header[0] not in _HOP_BY_HOP)


class Body(msgspec.Struct, frozen=True):
    """Where it ends: after `length` bytes, after the last chunk (`CHUNKED`), or with the connection (None)."""

    length: int | None

    @property
    def is_empty(self) -> bool:
        return self.length == 0

    async def pieces(self, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
        """What there is, as soon as it is there. Raises `asyncio.IncompleteReadError` where the connection ends too early,
        `BadMessage`, `OSError`."""
        if self.length == CHUNKED:
            async for piece in _chunks(reader):
                yield piece
        elif self.length is None:
            while piece := await reader.read(_PIECE_BYTES):
                yield piece
        else:
            async for piece in _exactly(reader, self.length):
                yield piece


def request_body(head: Head) -> Body:
    """Raises `BadMessage` where two readers could disagree about the end."""
    return _framed(head) or Body(0)


def reply_body(head: Head, status: int, method: bytes) -> Body:
    """Raises `BadMessage`."""
    if method == b"HEAD" or status in (204, 304):
        return Body(0)
    return _framed(head) or Body(None)


def status_of(head: Head) -> int:
    """Raises `BadMessage`."""
    version, _, rest = head.start.partition(b" ")
    status = rest[:3]
    if version != b"HTTP/1.1" or not status.isdigit():
        raise BadMessage("the start line is malformed")
    return int(status)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """None at the end of the connection. Raises `BadMessage`, `OSError`."""
    try:
        block = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadMessage("the head is incomplete") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise BadMessage("the head is too big") from error
    return Head.parse(block)


def _framed(head: Head) -> Body | None:
    lengths = {value for name, value in head.headers if name == b"content-length"}
    encoding = head.get(b"transfer-encoding").lower()
    if encoding and (lengths or encoding != b"chunked"):
        raise BadMessage("the length of the body is ambiguous")
    if encoding:
        return Body(CHUNKED)
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not length.isdigit():
        raise BadMessage("the length of the body is ambiguous")
    return Body(int(length))


async def _exactly(reader: asyncio.StreamReader, length: int) -> AsyncGenerator[bytes]:
    left = length
    while left:
        piece = await reader.read(min(left, _PIECE_BYTES))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    while True:
        line = await _line(reader)
        size = _SIZE.match(line)
        if not size:
            raise BadMessage("a chunk is malformed")
        length = int(size[1], 16)
        yield line
        if not length:
            break
        async for piece in _exactly(reader, length + 2):
            yield piece
    trailer = b""
    while trailer != b"\r\n":
        trailer = await _line(reader)
        yield trailer


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadMessage("a line is too long") from error
