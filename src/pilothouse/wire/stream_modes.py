"""The stream modes that a client asks for, in the forms in which clients send them."""

from collections.abc import Sequence
from typing import cast, get_args

import msgspec

from pilothouse.errors import InvalidRequest
from pilothouse.ports.runs import StreamMode

KNOWN: tuple[StreamMode, ...] = get_args(StreamMode)
DEFAULT: tuple[StreamMode, ...] = ("values",)


def stream_modes(names: str | Sequence[str] | None) -> tuple[StreamMode, ...]:
    """The modes that a body names, each once; `values` if none. Raises `InvalidRequest`, which lists the known ones."""
    if not names:
        return DEFAULT
    modes = dict.fromkeys([names] if isinstance(names, str) else names)
    for mode in modes:
        if mode not in KNOWN:
            raise InvalidRequest(f"Unknown stream mode {mode[:100]!r}. Known ones: {', '.join(KNOWN)}.")
    return cast("tuple[StreamMode, ...]", tuple(modes))


def joined_stream_modes(values: Sequence[str]) -> tuple[StreamMode, ...] | None:
    """The modes that a query names: repeated, a JSON array, or separated by commas. None if it names none."""
    names = [name for value in values for name in _split(value)]
    return stream_modes(names) if names else None


def _split(value: str) -> list[str]:
    if value.startswith("["):
        try:
            return msgspec.json.decode(value, type=list[str])
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"stream_mode {value[:100]!r} is not a JSON array of strings.") from error
    return [name.strip() for name in value.split(",") if name.strip()]
