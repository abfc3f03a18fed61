"""Which checkpoints one saver was given or has loaded."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

Place = tuple[str, str, str]
"""Thread, namespace and id."""


class Known:
    """Checkpoints, and who waits for one to come."""

    def __init__(self) -> None:
        self.namespaces: set[tuple[str, str]] = set()
        self._places: set[Place] = set()
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None

    def add(self, thread_id: str, namespace: str, checkpoint_id: str) -> None:
        self.namespaces.add((thread_id, namespace))
        self._places.add((thread_id, namespace, checkpoint_id))
        self._arrived.set()
        self._arrived = asyncio.Event()

    @contextmanager
    def given(self, thread_id: str, namespace: str, checkpoint_id: str) -> Generator[None]:
        """Within the block the checkpoint is written. If that fails, so do those who wait, for none will follow it."""
        self.add(thread_id, namespace, checkpoint_id)
        try:
            yield
        except Exception as error:
            self._failure = error
            self._arrived.set()
            raise

    async def wait_for(self, places: set[Place]) -> None:
        while not places <= self._places:
            if self._failure is not None:
                raise self._failure
            await self._arrived.wait()
