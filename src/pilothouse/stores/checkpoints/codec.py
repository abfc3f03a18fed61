r"""Checkpoints as bytes. A typed value is `TYPE \0 DATA`, the two that LangGraph's serializer gives."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from pilothouse.stores.checkpoints.scripts import Frame, WriteSet, decode_frame, encode_frame

LIST = b"list"
"""The type of a blob whose data is the MessagePack array of a long list."""

_pack = msgspec.msgpack.Encoder().encode
_write_set = msgspec.msgpack.Decoder(WriteSet)


def dump(serde: SerializerProtocol, value: object) -> bytes:
    kind, data = serde.dumps_typed(value)
    return b"%b\0%b" % (kind.encode(), data)


def load(serde: SerializerProtocol, typed: bytes) -> Any:
    kind, _, data = typed.partition(b"\0")
    return serde.loads_typed(("msgpack" if kind == LIST else kind.decode(), data))


def array_of(typed: bytes) -> tuple[bytes, bytes] | None:
    """Header and items of a MessagePack array, the header in its five-byte form; None for anything else."""
    kind, _, data = typed.partition(b"\0")
    if kind not in (b"msgpack", LIST) or not data:
        return None
    first = data[0]
    if first == 0xDD:
        return data[:5], data[5:]
    if first == 0xDC:
        return b"\xdd\0\0" + data[1:3], data[3:]
    if 0x90 <= first <= 0x9F:
        return b"\xdd\0\0\0" + bytes((first & 0x0F,)), data[1:]
    return None


def dump_checkpoint(
    serde: SerializerProtocol, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any], parent: str | None
) -> bytes:
    """The checkpoint's frame; its values are stored apart."""
    values = checkpoint["channel_values"]
    parts = [
        f"{name}\0{version}" for name, version in checkpoint["channel_versions"].items() if name in values
    ]
    rest = {name: value for name, value in checkpoint.items() if name != "channel_values"}
    run_id = str(metadata.get("run_id", ""))
    return encode_frame(parts, Frame(parent or "", run_id, dump(serde, (rest, metadata))))


def load_metadata(serde: SerializerProtocol, frame: bytes) -> dict[str, Any]:
    return load(serde, decode_frame(frame)[1].typed)[1]


def lineage(serde: SerializerProtocol, frames: Mapping[str, bytes], name: str) -> set[str]:
    """The checkpoint and those of its ancestors that its delta channels are rebuilt from.

    A `DeltaChannel` has a value in few checkpoints; LangGraph counts the steps since in the metadata.
    """
    missing = set(load_metadata(serde, frames[name]).get("counters_since_delta_snapshot") or ())
    namespace, kept = name.rpartition("\0")[0], set[str]()
    while name in frames:
        kept.add(name)
        parts, frame = decode_frame(frames[name])
        missing -= {part.partition("\0")[0] for part in parts}
        if not missing:
            break
        name = f"{namespace}\0{frame.parent}"
    return kept


def dump_writes(
    serde: SerializerProtocol, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
) -> bytes:
    indexed = [(WRITES_IDX_MAP.get(channel, i), channel, value) for i, (channel, value) in enumerate(writes)]
    return _pack(WriteSet(task_id, task_path, dump(serde, indexed)))


def load_writes(serde: SerializerProtocol, sets: Iterable[bytes]) -> list[PendingWrite]:
    """The writes in the order in which a live run applies them.

    A task that is run again may write again: then its first value counts; of errors, interrupts and the like the last.
    """
    found: dict[tuple[str, int], tuple[str, str, Any]] = {}
    for written in map(_write_set.decode, sets):
        for index, channel, value in load(serde, written.typed):
            if index < 0 or (written.task_id, index) not in found:
                found[written.task_id, index] = (written.task_path, channel, value)
    ordered = sorted(found.items(), key=lambda item: writes_sort_key(item[1][0], *item[0]))
    return [(task_id, channel, value) for (task_id, _), (_, channel, value) in ordered]


def config_of(thread_id: str, namespace: str, checkpoint_id: str) -> Any:
    place = {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
    return {"configurable": place}


def load_checkpoint(
    serde: SerializerProtocol, thread_id: str, namespace: str, answer: tuple[bytes, bytes, Any, Any]
) -> CheckpointTuple:
    """A checkpoint from what the script `READ` answers."""
    checkpoint_id, encoded, blobs, sets = answer
    parts, frame = decode_frame(encoded)
    checkpoint, metadata = load(serde, frame.typed)
    checkpoint["channel_values"] = {
        part.partition("\0")[0]: load(serde, blob)
        for part, blob in zip(parts, blobs, strict=False)  # Lua leaves out what is missing at the end
        if blob is not None
    }
    return CheckpointTuple(
        config=config_of(thread_id, namespace, checkpoint_id.decode()),
        checkpoint=checkpoint,
        metadata=metadata,
        parent_config=config_of(thread_id, namespace, frame.parent) if frame.parent else None,
        pending_writes=load_writes(serde, sets),
    )


def lists_of(namespace: str, answer: tuple[bytes, bytes, Any, Any]) -> Iterable[tuple[str, bytes]]:
    """Field and items of each long list in what the script `READ` answers."""
    for part, blob in zip(decode_frame(answer[1])[0], answer[2], strict=False):
        if blob is not None and blob.startswith(LIST + b"\0"):
            yield f"b{namespace}\0{part}", blob[len(LIST) + 6 :]
