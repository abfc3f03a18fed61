"""What all replies share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from pilothouse.errors import InvalidRequest

S = TypeVar("S", bound=msgspec.Struct)


def instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def encode_all(type_: type[S], replies: Sequence[S], select: Sequence[str] | None = None) -> bytes:
    """A JSON array of the replies, or of only their named fields.

    Raises `InvalidRequest` for a name that they do not have, also if there are none.
    """
    if not select:
        return msgspec.json.encode(replies)
    known = type_.__struct_fields__
    for name in select:
        if name not in known:
            raise InvalidRequest(
                f"There is no field {name[:100]!r} to select. Known ones: {', '.join(known)}."
            )
    return msgspec.json.encode([{name: getattr(reply, name) for name in select} for reply in replies])
