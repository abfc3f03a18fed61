"""Server-sent events as bytes."""

from collections.abc import Sequence

from pilothouse.events import Offset

HEARTBEAT = b": heartbeat\n\n"
RETRY_SOON = b"retry: 250\n"
"""So many milliseconds after a cut is a client to come back. It belongs to a frame: on its own it would be one for some clients."""
Frame = tuple[bytes, bytes]
"""An event's name and its data: JSON on one line."""


def encode_frames(frames: Sequence[Frame], offset: Offset | None) -> bytes:
    """The frames of one record, or of none. Only the last carries the id: a client cut off between them gets all of them again."""
    parts = [part for name, data in frames for part in (b"event: ", name, b"\ndata: ", data, b"\n\n")]
    if offset is not None:
        parts[-1] = b"\nid: %d\n\n" % offset
    return b"".join(parts)


def one_line(json: bytes) -> bytes:
    """The same JSON without line breaks, which would end the frame's data. Outside strings they are only space."""
    if b"\n" in json or b"\r" in json:
        return json.replace(b"\r", b" ").replace(b"\n", b" ")
    return json
