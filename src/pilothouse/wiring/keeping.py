"""Resources that are opened when something first needs them, and closed at the end."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """A resource that opens at the first `get` and stays until `close`. One task enters and leaves it."""

    def __init__(
        self, opener: Callable[[], AbstractAsyncContextManager[T]], tasks: asyncio.TaskGroup
    ) -> None:
        self._opener = opener
        self._tasks = tasks
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The resource. If it could not be opened, the error is raised here, and the next call tries again."""
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._tasks.create_task(self._keep(self._opened))
        return await asyncio.shield(self._opened)

    def close(self) -> None:
        self._closing.set()

    async def _keep(self, opened: asyncio.Future[T]) -> None:
        try:
            async with self._opener() as resource:
                opened.set_result(resource)
                await self._closing.wait()
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)
            opened.exception()  # retrieved: whoever asked has it
            self._opened = None
