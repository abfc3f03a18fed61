"""Python values of a graph as JSON: states, updates, messages, whatever a node or a tool put there.

Encoding never fails: a run must not end because its state holds something that JSON can't. What has no JSON form
becomes its `repr`; NaN and the infinities become null.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from langgraph.types import Send
from pydantic import BaseModel

from pilothouse.events import Json

_DEPTH_LIMIT = 100
_INTEGER_BITS = 10_000
_REPR_LIMIT = 1000

NULL = Json(b"null")


def encode(value: object) -> Json:
    """The value as JSON, in the shape that LangGraph's own server gives: pydantic models (messages) as `model_dump`
    has them, dataclasses as objects, sets as arrays, bytes as base64, times as ISO 8601."""
    try:
        return Json(_encoder.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError):
        return Json(json.dumps(_plain(value, 0)).encode())


def _jsonable(value: Any) -> Any:
    """One step from an object that msgspec doesn't know towards one that it does."""
    if isinstance(value, BaseModel):
        return value.model_dump(warnings=False)
    if isinstance(value, Send):
        return {"node": value.node, "args": value.arg}
    if isinstance(value, BaseException):
        return repr(value)[:_REPR_LIMIT]
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    to_list = getattr(value, "tolist", None)  # numpy arrays and scalars
    if callable(to_list) and not isinstance(value, type):
        return to_list()
    return _shown(value)


_encoder = msgspec.json.Encoder(enc_hook=_jsonable)


def _shown(value: object) -> str:
    try:
        text = repr(value)[:_REPR_LIMIT]
    except Exception:  # noqa: BLE001 - somebody else's __repr__ may raise anything
        text = f"<{type(value).__name__}>"
    return _without_surrogates(text)


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any, depth: int) -> Any:
    """The slow way, for what made the encoder give up: odd keys, huge integers, lone surrogates, endless nesting."""
    if depth > _DEPTH_LIMIT:
        return "…"
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, int) and not isinstance(value, bool):
        bits = value.bit_length()  # Python itself refuses to write more than some thousand digits
        return value if bits <= _INTEGER_BITS else f"<integer of {bits} bits>"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {_plain_key(key): _plain(item, depth + 1) for key, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in cast("list[Any]", value)]
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError):
        return _plain(_jsonable(value), depth + 1)


def _plain_key(key: Any) -> str:
    return _without_surrogates(key) if isinstance(key, str) else _shown(key)
