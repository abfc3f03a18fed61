"""Agents that take their time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any


async def slow(messages: list[Any]) -> AsyncIterator[str]:
    """Two seconds of a model's time, in small steps: a process that is frozen makes no headway."""
    for number in range(20):
        await asyncio.sleep(0.1)
        yield f"{number} "


async def gated(messages: list[Any]) -> AsyncIterator[str]:
    """Waits until somebody at the socket that the message names says to go on."""
    reader, writer = await asyncio.open_unix_connection(messages[-1].content)
    try:
        await reader.readline()
    finally:
        writer.close()
    yield "done"
