"""File locks between processes: the kernel lets go of one when its holder dies, however it dies."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from pilothouse.errors import ConfigurationError, StoreUnavailable

POLL_SECONDS = 0.02


@contextmanager
def opened(path: Path) -> Generator[int]:
    """The descriptor of a lock file, made if it is missing; closing it lets go of the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise ConfigurationError(
            f"The data directory {path.parent} belongs to somebody else: "
            "choose another one with --data, or start Pilothouse as its owner."
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def take(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock if it is free. The lock belongs to the open file: a child that inherits it holds it too."""
    import fcntl  # not on Windows, where this module must still import

    with suppress(BlockingIOError):
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return True
    return False


def is_free(path: Path, *, shared: bool = False) -> bool:
    """Could the lock be taken just now? Taken and let go of at once to find out."""
    with opened(path) as descriptor:
        return take(descriptor, shared=shared)


@asynccontextmanager
async def held_shared(path: Path, within: timedelta) -> AsyncGenerator[None]:
    """Hold the lock together with others. Raises `StoreUnavailable` if somebody has it alone for too long."""
    with opened(path) as descriptor:
        if not await eventually(lambda: take(descriptor, shared=True), within):
            raise StoreUnavailable(f"The lock {path} was not released: is a server still stopping?")
        yield


async def eventually(condition: Callable[[], bool], within: timedelta) -> bool:
    """Wait for a condition that nothing but a look can tell. False if that took too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            while not condition():  # noqa: ASYNC110 - other processes change it, and set no event of ours
                await asyncio.sleep(POLL_SECONDS)
            return True
    return False
