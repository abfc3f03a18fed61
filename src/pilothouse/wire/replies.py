"""What all replies share."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from pilothouse.errors import InvalidRequest


def instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def selected(reply: msgspec.Struct, names: Sequence[str]) -> dict[str, object]:
    """Only the named fields of a reply. Raises `InvalidRequest` for a name it does not have."""
    known = reply.__struct_fields__
    for name in names:
        if name not in known:
            raise InvalidRequest(
                f"There is no field {name[:100]!r} to select. Known ones: {', '.join(known)}."
            )
    return {name: getattr(reply, name) for name in names}


def encode_all(replies: Sequence[msgspec.Struct], select: Sequence[str] | None = None) -> bytes:
    """A JSON array of the replies, or of their named fields only."""
    return msgspec.json.encode([selected(reply, select) for reply in replies] if select else replies)
