"""Bodies and query strings into typed requests; what is wrong is said with its place."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from pilothouse.errors import InvalidRequest
from pilothouse.events import Json, Offset, RunId, ThreadId
from pilothouse.ports.crons import CronId

T = TypeVar("T")
_LONGEST_KEY = 255
OptionalJson = Json | msgspec.UnsetType
"""A field of a body that is passed on as it came."""


def decode_body(body: bytes, type_: type[T]) -> T:
    """The request in a JSON body; an empty body counts as `{}`. Raises `InvalidRequest`."""
    try:
        body.decode()  # msgspec does not look into the parts that it passes on
        return _decoder(type_).decode(body or b"{}")
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body is not valid: {_sentence(error)}") from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(_malformed(body, str(error))) from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8: see byte {error.start}.") from error


def decode_query(pairs: Iterable[tuple[str, str]], type_: type[T]) -> T:
    """The request in a query string. Of a name that comes twice the last counts, unless its field is a list: the Python
    SDK repeats a list's name, the JavaScript one sends a JSON array.

    Unknown names are ignored: proxies and clients add their own. Raises `InvalidRequest`.
    """
    lists = _list_fields(type_)
    values: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if name in lists:
            known = values.setdefault(name, [])
            assert isinstance(known, list)
            known += _listed(value)
        elif value:
            values[name] = value
    try:
        return msgspec.convert(values, type_, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The query is not valid: {_sentence(error)}") from error


def thread_id(text: str) -> ThreadId:
    """A thread's id in its canonical form. Raises `InvalidRequest`."""
    return ThreadId(_uuid(text, "thread"))


def run_id(text: str) -> RunId:
    """A run's id in its canonical form. Raises `InvalidRequest`."""
    return RunId(_uuid(text, "run"))


def idempotency_key(header: str | None) -> str | None:
    """Raises `InvalidRequest` for what is no key: 1 to 255 printable characters of ASCII."""
    if header is None:
        return None
    if not (1 <= len(header) <= _LONGEST_KEY and header.isascii() and header.isprintable()):
        raise InvalidRequest(f"The Idempotency-Key must be 1 to {_LONGEST_KEY} printable ASCII characters.")
    return header


def cron_id(text: str) -> CronId:
    """A cron's id in its canonical form. Raises `InvalidRequest`."""
    return CronId(_uuid(text, "cron"))


def resume_after(last_event_id: str | None) -> Offset:
    """Where a `Last-Event-ID` header says to go on. Ids are offsets; without one, or at "-1", from the beginning.

    The JavaScript SDK sends "-1" for "from the beginning". Raises `InvalidRequest`.
    """
    if not last_event_id or last_event_id == "-1":
        return Offset(0)
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        raise InvalidRequest(
            f"Last-Event-ID {last_event_id!r} is not an id of this stream: send the last `id` that you received."
        )
    return Offset(int(last_event_id))


def json_object(raw: OptionalJson, name: str) -> Json | None:
    """A field that must be an object, if it is there and not null. Raises `InvalidRequest`."""
    if raw is msgspec.UNSET or raw == _NULL:
        return None
    if bytes(raw)[:1] != b"{":
        raise InvalidRequest(f"The body is not valid: expected an object at `$.{name}`.")
    return raw


def json_value(raw: OptionalJson) -> Json | None:
    """A field that may be any JSON, if it is there and not null."""
    return None if raw is msgspec.UNSET or raw == _NULL else raw


_NULL = Json(b"null")
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _uuid(text: str, noun: str) -> str:
    if _CANONICAL_UUID.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except ValueError as error:
        raise InvalidRequest(f"Invalid {noun} id {text[:100]!r}: it must be a UUID.") from error


@cache
def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(type_)


@cache
def _list_fields(type_: type[Any]) -> frozenset[str]:
    fields = msgspec.structs.fields(type_)
    return frozenset(f.encode_name for f in fields if any(get_origin(t) is list for t in _members(f.type)))


def _listed(value: str) -> list[str]:
    """The elements of a JSON array of strings; of anything else, itself."""
    try:
        return msgspec.json.decode(value, type=list[str])
    except msgspec.DecodeError:
        return [value]


def _members(annotation: object) -> tuple[object, ...]:
    return (annotation, *get_args(annotation))


def _sentence(error: msgspec.ValidationError) -> str:
    text = str(error)
    return f"{text[:1].lower()}{text[1:].replace(' - at ', ' at ')}."


def _malformed(body: bytes, message: str) -> str:
    match = re.fullmatch(r"JSON is malformed: (.*) \(byte (\d+)\)", message)
    what, at = (match[1], int(match[2])) if match else ("it ends too early", len(body))
    before = body[:at].decode(errors="replace")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return f"The body is not valid JSON: {what} at line {line}, column {column}."
