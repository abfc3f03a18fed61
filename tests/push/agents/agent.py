"""Agents that take their time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any


async def slow(messages: list[Any]) -> AsyncIterator[str]:
    """As many tenths of a second as the message says, one by one: a process that is frozen makes no headway."""
    for number in range(int(messages[-1].content)):
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
