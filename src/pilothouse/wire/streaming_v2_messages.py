"""Messages in the Agent Protocol's event stream (version 2): each a list of content blocks.

    message-start
      content-block-start, content-block-delta …, content-block-finish      for each block
    message-finish                                                          or `error`

Rules:

- A block ends before the next begins. The one exception is a tool call whose arguments are not whole when the next call
  begins: some providers write several at once. It stays open until the message ends.
- The log does not say when a streamed message ends. It has ended when it is in the state, or the task that wrote it or
  the run has ended. That a step has ended says nothing: its values may be told when the next one writes already.
- Results of tools are no messages here: they are in the channel `tools`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from pilothouse.events import Json, MessageChunk, MessageDelta, MessageFinished, RunId
from pilothouse.wire.message_partials import add_counts

Fields: TypeAlias = dict[str, Any]
MessageEvent: TypeAlias = MessageDelta | MessageChunk | MessageFinished
Namespace: TypeAlias = tuple[str, ...]

_ROLES = {
    "ai": "ai",
    "AIMessageChunk": "ai",
    "human": "human",
    "HumanMessageChunk": "human",
    "system": "system",
    "SystemMessageChunk": "system",
}
_MEDIA = frozenset({"image", "audio", "video", "file", "server_tool_call", "server_tool_result"})
_TOLD_AS_CALLS = frozenset(
    {"tool_use", "input_json_delta", "function_call", "tool_call", "tool_call_chunk", "invalid_tool_call"}
)
"""Blocks of providers that LangChain also gives as tool calls of the message."""


class _Meta(msgspec.Struct, frozen=True):
    """LangGraph's own names have its types; the others may be anything that a caller put there."""

    langgraph_node: str | None = None
    langgraph_checkpoint_ns: str = ""
    ls_provider: Any = None
    ls_model_name: Any = None


_meta = msgspec.json.Decoder(_Meta)
_fields = msgspec.json.Decoder(Fields)
_encode = msgspec.json.Encoder().encode


class MessageFact(NamedTuple):
    """What is to be told of a message, and where it is written."""

    namespace: Namespace
    node: str | None
    data: Fields


class Piece(NamedTuple):
    """A part of a message: more of a block, or with the kind `whole` a block that comes at once."""

    kind: Literal["text", "reasoning", "tool", "whole"]
    key: object
    """What pieces of one block share where the provider says so."""
    fields: Fields


class Messages:
    """The messages of one run."""

    def __init__(self, run_id: RunId) -> None:
        self._run_id = run_id
        self._open: dict[str, _Message] = {}
        self._closed: set[str] = set()

    def feed(self, event: MessageEvent) -> Iterator[MessageFact]:
        """More of a message. One that has ended begins anew when more is written under its id: no text is lost."""
        message = self._open.get(event.message_id)
        if isinstance(event, MessageFinished):
            if event.message_id not in self._closed:
                yield from self._whole(event, message)
            return
        if message is None:
            message = self._open[event.message_id] = _Message(event)
            yield message.fact(message.start("ai", self._run_id))
        if isinstance(event, MessageDelta):
            yield from message.facts(message.add(Piece("text", None, {"text": event.text})))
        else:
            yield from message.facts(message.add_chunk(_fields.decode(event.chunk)))

    def _whole(self, event: MessageFinished, message: "_Message | None") -> Iterator[MessageFact]:
        fields = _fields.decode(event.message)
        role = _ROLES.get(fields.get("type", ""))
        if role is None:
            return
        if message is None:
            message = self._open[event.message_id] = _Message(event)
            yield message.fact(message.start(role, self._run_id))
            yield from message.facts(message.add_chunk(fields))
        yield from self._close([message])

    def end_task(self, path: Namespace) -> Iterator[MessageFact]:
        """The task at the end of this path of tasks has ended, and with it what it wrote."""
        return self._close([m for m in self._open.values() if m.path[: len(path)] == path])

    def end_written(self, state: Json) -> Iterator[MessageFact]:
        """What this part of the state holds has ended."""
        return self._close([m for id_, m in self._open.items() if _encode(id_) in bytes(state)])

    def end_all(self, error: str | None = None) -> Iterator[MessageFact]:
        """The run has ended, or with an `error` what it was writing is broken off, and may be written anew."""
        yield from self._close(list(self._open.values()), error)
        self._closed.clear()

    def _close(self, messages: Iterable["_Message"], error: str | None = None) -> Iterator[MessageFact]:
        for message in messages:
            del self._open[message.message_id]
            self._closed.add(message.message_id)
            data = (
                message.finish() if error is None else [message.named({"event": "error", "message": error})]
            )
            yield from message.facts(data)


class _Message:
    def __init__(self, event: MessageEvent) -> None:
        meta = _meta.decode(event.meta)
        self.message_id = event.message_id
        self.namespace = event.namespace
        self.path: Namespace = tuple(meta.langgraph_checkpoint_ns.split("|"))
        self._meta = meta
        self._blocks: list[_Block] = []
        self._usage: Fields = {}
        self._response: Fields = {}

    def facts(self, datas: Iterable[Fields]) -> Iterator[MessageFact]:
        return map(self.fact, datas)

    def fact(self, data: Fields) -> MessageFact:
        return MessageFact(self.namespace, self._meta.langgraph_node, data)

    def named(self, data: Fields) -> Fields:
        """With the message's id: several may be written at the same time."""
        return {**data, "message_id": self.message_id}

    def start(self, role: str, run_id: RunId) -> Fields:
        about = {
            "provider": self._meta.ls_provider,
            "model": self._meta.ls_model_name,
            "langgraph_node": self._meta.langgraph_node,
            "run_id": run_id,
        }
        metadata = {name: value for name, value in about.items() if isinstance(value, str)}
        return {"event": "message-start", "role": role, "id": self.message_id, "metadata": metadata}

    def add_chunk(self, fields: Fields) -> Iterator[Fields]:
        """Add a message as LangChain dumps it, or a piece of one."""
        self._response |= fields.get("response_metadata") or {}
        if usage := fields.get("usage_metadata"):
            self._usage = add_counts(self._usage, usage)
        for piece in _pieces(fields):
            yield from self.add(piece)

    def add(self, piece: Piece) -> Iterator[Fields]:
        block = self._continued(piece)
        if block is None:
            yield from self._finish_blocks(only_whole=True)
            block = _Block(len(self._blocks), piece)
            self._blocks.append(block)
            yield self._block_data("start", block.index, content=block.skeleton())
        if delta := block.add(piece):
            yield self._block_data("delta", block.index, delta=delta)

    def _continued(self, piece: Piece) -> "_Block | None":
        """The open block that this is more of. Without a key that is the last one, if it is of that kind."""
        if piece.kind == "whole":
            return None
        if piece.kind == "tool":
            return next((b for b in self._blocks if b.open and b.is_call_of(piece)), None)
        last = self._blocks[-1] if self._blocks else None
        return last if last and last.open and last.continues(piece) else None

    def finish(self) -> Iterator[Fields]:
        yield from self._finish_blocks(only_whole=False)
        data: Fields = {"event": "message-finish"}
        if self._usage:
            data["usage"] = self._usage
        if self._response:
            data["metadata"] = self._response
        yield self.named(data)

    def _finish_blocks(self, *, only_whole: bool) -> Iterator[Fields]:
        for block in self._blocks:
            if block.open and (not only_whole or block.is_whole()):
                block.open = False
                yield self._block_data("finish", block.index, content=block.content())

    def _block_data(self, what: str, index: int, **fields: Fields) -> Fields:
        return self.named({"event": f"content-block-{what}", "index": index, **fields})


class _Block:
    def __init__(self, index: int, piece: Piece) -> None:
        self.index = index
        self.open = True
        self._kind = piece.kind
        self._key = piece.key
        self._fields: Fields = dict(piece.fields) if piece.kind == "whole" else {}
        self._about: Fields = {k: v for k, v in piece.fields.items() if k in ("type", "id", "name")}
        self._parts: list[str] = []

    def continues(self, piece: Piece) -> bool:
        same = piece.key is None or self._key is None or piece.key == self._key
        return self._kind == piece.kind and same

    def is_call_of(self, piece: Piece) -> bool:
        """Whether these are more arguments of this call. A call without a key comes at once."""
        same = piece.key is not None and piece.key == self._key
        call_id = piece.fields["id"]
        return self._kind == "tool" and same and call_id in (None, "", self._fields.get("id"))

    def add(self, piece: Piece) -> Fields | None:
        """What to tell of this piece, if anything."""
        if self._kind == "whole":
            return None
        fields = dict(piece.fields)
        name = "args" if self._kind == "tool" else self._kind
        more = fields.pop(name, None)
        self._fields |= {k: v for k, v in fields.items() if v is not None}
        if not more or not isinstance(more, str):
            return None
        self._parts.append(more)
        return {"type": "tool-call-delta" if self._kind == "tool" else f"{self._kind}-delta", name: more}

    def is_whole(self) -> bool:
        return self._kind != "tool" or _parsed("".join(self._parts)) is not None

    def skeleton(self) -> Fields:
        """The block before anything is in it."""
        match self._kind:
            case "tool":
                return {"type": "tool_call_chunk", "id": None, "name": None, **self._about, "args": ""}
            case "whole":
                return {**self._about, **{k: {} for k in ("args", "value") if k in self._fields}}
            case kind:
                return {"type": kind, kind: ""}

    def content(self) -> Fields:
        """The block when all of it has come."""
        text = "".join(self._parts)
        match self._kind:
            case "whole":
                return self._fields
            case "tool":
                call = {"id": self._fields.get("id"), "name": self._fields.get("name")}
                args = _parsed(text or "{}")
                if args is None or call["name"] is None:
                    error = "The arguments are not valid JSON." if args is None else "The call has no name."
                    return {"type": "invalid_tool_call", **call, "args": text, "error": error}
                return {"type": "tool_call", **call, "args": args}
            case kind:
                return {**self._fields, "type": kind, kind: text}


def _parsed(text: str) -> Fields | None:
    try:
        return _fields.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _pieces(fields: Fields) -> Iterator[Piece]:
    """The parts of a message, or of a piece of one, as LangChain dumps them."""
    extra: Fields = fields.get("additional_kwargs") or {}
    if reasoning := extra.get("reasoning_content"):
        yield Piece("reasoning", None, {"reasoning": reasoning})
    content: str | Sequence[Any] = fields.get("content") or ()
    for block in [content] if isinstance(content, str) else content:
        if (
            piece := _piece({"type": "text", "text": block} if isinstance(block, str) else block)
        ) is not None:
            yield piece
    if fields.get("type") == "AIMessageChunk":
        for chunk in fields.get("tool_call_chunks") or ():
            yield Piece("tool", chunk.get("index"), {k: chunk.get(k) for k in ("id", "name", "args")})
        return
    for call in (*(fields.get("tool_calls") or ()), *(fields.get("invalid_tool_calls") or ())):
        yield Piece("whole", None, call)


def _piece(block: Fields) -> Piece | None:
    rest = {name: value for name, value in block.items() if name not in ("type", "index")}
    match block.get("type"):
        case "text":
            return Piece("text", block.get("index"), rest)
        case "reasoning" | "thinking":
            thought = rest.pop("thinking", None) or rest.pop("reasoning", None) or ""
            return Piece("reasoning", block.get("index"), {**rest, "reasoning": thought})
        case kind if kind in _TOLD_AS_CALLS:
            return None
        case kind if kind in _MEDIA:
            return Piece("whole", None, block)
        case _:
            return Piece("whole", None, {"type": "non_standard", "value": block})
