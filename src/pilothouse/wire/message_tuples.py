"""Messages in the stream mode `messages-tuple`: each piece as `[chunk, metadata]`.

Clients add up the pieces that share an id. So the whole message, which the log may hold after its pieces, is left out
when pieces of it were sent.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from pilothouse.events import Json, MessageChunk, MessageDelta, MessageFinished
from pilothouse.wire.sse import Frame, one_line

MessageEvent: TypeAlias = MessageDelta | MessageChunk | MessageFinished

_encode = msgspec.json.Encoder().encode

# LangChain's dump of an AIMessageChunk that has nothing but text, around the text and the id.
_BEFORE_TEXT = b'{"content":'
_BEFORE_ID = b',"additional_kwargs":{},"response_metadata":{},"type":"AIMessageChunk","name":null,"id":'
_AFTER_ID = b',"tool_calls":[],"invalid_tool_calls":[],"usage_metadata":null,"tool_call_chunks":[],"chunk_position":null}'


def event_name(mode: bytes, namespace: Sequence[str]) -> bytes:
    """`mode`, or `mode|NAMESPACE|…` for what comes from a subgraph."""
    return b"|".join((mode, *(label.encode() for label in namespace))) if namespace else mode


class DeltaEncoder:
    """Text deltas as LangChain's chunks. What neighbours share, all but the text, is encoded once."""

    def __init__(self) -> None:
        self._message_id: str = ""
        self._meta: Json = Json(b"")
        self._after_text = b""
        self._after_text_with_meta = b""

    def chunk(self, event: MessageDelta) -> bytes:
        self._learn(event)
        return _BEFORE_TEXT + _encode(event.text) + self._after_text

    def pair(self, event: MessageDelta) -> bytes:
        """`[chunk, metadata]`."""
        self._learn(event)
        return b"[" + _BEFORE_TEXT + _encode(event.text) + self._after_text_with_meta

    def _learn(self, event: MessageDelta) -> None:
        if event.message_id != self._message_id or event.meta != self._meta:
            self._message_id, self._meta = event.message_id, event.meta
            self._after_text = _BEFORE_ID + _encode(event.message_id) + _AFTER_ID
            self._after_text_with_meta = self._after_text + b"," + one_line(bytes(event.meta)) + b"]"


class MessageTuples:
    def __init__(self) -> None:
        self._deltas = DeltaEncoder()
        self._streamed: set[str] = set()

    def frames(self, event: MessageEvent) -> list[Frame]:
        match event:
            case MessageDelta():
                data = self._deltas.pair(event)
            case MessageChunk():
                data = _pair(event.chunk, event.meta)
            case MessageFinished():
                if event.message_id in self._streamed:
                    return []
                data = _pair(event.message, event.meta)
        self._streamed.add(event.message_id)
        return [(event_name(b"messages", event.namespace), data)]


def _pair(message: Json, meta: Json) -> bytes:
    return one_line(b"[" + bytes(message) + b"," + bytes(meta) + b"]")
