"""What a stream brought."""

from collections.abc import AsyncIterator, Sequence
from typing import Any


async def parts_of(stream: AsyncIterator[Any]) -> list[Any]:
    return [part async for part in stream]


def events(parts: Sequence[Any]) -> list[str]:
    """The names of the events in between `metadata` and `end`, without namespaces, each run of the same once."""
    assert (parts[0].event, parts[-1].event) == ("metadata", "end")
    names = [part.event.partition("|")[0] for part in parts[1:-1]]
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


def text(parts: Sequence[Any]) -> str:
    """What the model's pieces add up to, subgraphs' included."""
    pieces = [part.data[0] for part in parts if part.event.partition("|")[0] == "messages"]
    return "".join(piece["content"] for piece in pieces if piece["type"] == "AIMessageChunk")


def datas(parts: Sequence[Any], event: str) -> list[Any]:
    return [part.data for part in parts if part.event == event]


def contents(values: Any) -> list[str]:
    return [message["content"].strip() for message in values["messages"]]
