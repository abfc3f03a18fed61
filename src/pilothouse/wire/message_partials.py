"""Messages in the stream mode `messages`: each time the whole message so far.

The first piece of a message is preceded by `messages/metadata`; pieces come as `messages/partial`, and a message that is
whole as `messages/complete`.
"""

from typing import Any

import msgspec

from pilothouse.events import MessageChunk, MessageDelta, MessageFinished
from pilothouse.wire.message_tuples import MessageEvent, event_name
from pilothouse.wire.partial_json import parse_partial
from pilothouse.wire.sse import Frame, one_line

_encode = msgspec.json.Encoder().encode
Fields = dict[str, Any]


class MessagePartials:
    def __init__(self) -> None:
        self._messages: dict[str, PartialMessage] = {}

    def frames(self, event: MessageEvent) -> list[Frame]:
        frames: list[Frame] = []
        message = self._messages.get(event.message_id)
        if message is None:
            message = self._messages[event.message_id] = PartialMessage(event.message_id)
            frames.append((b"messages/metadata", _encode({event.message_id: {"metadata": event.meta}})))
        match event:
            case MessageDelta():
                message.add_text(event.text)
                frames.append((b"messages/partial", _encode([message.dump()])))
            case MessageChunk():
                message.add(msgspec.json.decode(event.chunk))
                frames.append((b"messages/partial", _encode([message.dump()])))
            case MessageFinished():
                frames.append((b"messages/complete", b"[" + bytes(event.message) + b"]"))
        return [(event_name(name, event.namespace), one_line(data)) for name, data in frames]


class PartialMessage:
    """An AI message that grows from its pieces, as LangChain adds up chunks."""

    def __init__(self, message_id: str) -> None:
        self._id = message_id
        self._content: str | list[Any] = ""
        self._additional: Fields = {}
        self._response: Fields = {}
        self._usage: Fields | None = None
        self._calls: list[Fields] = []

    def add_text(self, text: str) -> None:
        self._content = _joined_content(self._content, text)

    def add(self, chunk: Fields) -> None:
        self._content = _joined_content(self._content, chunk.get("content") or "")
        self._additional |= chunk.get("additional_kwargs") or {}
        self._response |= chunk.get("response_metadata") or {}
        if usage := chunk.get("usage_metadata"):
            self._usage = add_counts(self._usage or {}, usage)
        for piece in chunk.get("tool_call_chunks") or ():
            _join_call(self._calls, piece)

    def dump(self) -> Fields:
        """The message so far as LangChain dumps an `AIMessage`."""
        calls, invalid = _parsed_calls(self._calls)
        return {
            "content": self._content,
            "additional_kwargs": self._additional,
            "response_metadata": self._response,
            "type": "ai",
            "name": None,
            "id": self._id,
            "tool_calls": calls,
            "invalid_tool_calls": invalid,
            "usage_metadata": self._usage,
        }


def _joined_content(before: str | list[Any], more: str | list[Any]) -> str | list[Any]:
    """Text is appended; blocks with the same `index` are joined, others follow each other."""
    if not more:
        return before
    if isinstance(before, str) and isinstance(more, str):
        return before + more
    blocks = _as_blocks(before)
    for block in _as_blocks(more):
        at = _place(blocks, block)
        if at is None:
            blocks.append(block)
        else:
            blocks[at] = {**blocks[at], **block, **_longer_texts(blocks[at], block)}
    return blocks


def _as_blocks(content: str | list[Any]) -> list[Fields]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [{"type": "text", "text": block} if isinstance(block, str) else block for block in content]


def _place(blocks: list[Fields], block: Fields) -> int | None:
    """Which block this one continues."""
    index = block.get("index")
    if index is None:
        return None
    return next((at for at, known in enumerate(blocks) if known.get("index") == index), None)


def _longer_texts(before: Fields, more: Fields) -> Fields:
    grow = ("text", "reasoning", "thinking", "args", "arguments", "input", "partial_json")
    return {
        key: before[key] + more[key]
        for key in grow
        if isinstance(before.get(key), str) and isinstance(more.get(key), str)
    }


def _join_call(calls: list[Fields], piece: Fields) -> None:
    index = piece.get("index")
    known = next((c for c in calls if index is not None and c.get("index") == index), None)
    if known is None:
        calls.append(dict(piece))
        return
    for key in ("name", "args"):
        if piece.get(key):
            known[key] = (known.get(key) or "") + piece[key]
    known["id"] = known.get("id") or piece.get("id")


def _parsed_calls(calls: list[Fields]) -> tuple[list[Fields], list[Fields]]:
    """The calls whose arguments can be read as far as they have come, and the others."""
    parsed: list[Fields] = []
    invalid: list[Fields] = []
    for call in calls:
        args = parse_partial(call.get("args") or "{}")
        named = {"name": call.get("name"), "id": call.get("id")}
        if isinstance(args, dict):
            parsed.append({**named, "args": args, "type": "tool_call"})
        else:
            invalid.append({**named, "args": call.get("args"), "error": None, "type": "invalid_tool_call"})
    return parsed, invalid


def add_counts(before: Fields, more: Fields) -> Fields:
    """Token counts add up."""
    total = dict(before)
    for key, value in more.items():
        if isinstance(value, dict):
            total[key] = add_counts(total.get(key) or {}, value)  # pyright: ignore[reportUnknownArgumentType] - counts by name
        elif isinstance(value, int):
            total[key] = (total.get(key) or 0) + value
    return total
