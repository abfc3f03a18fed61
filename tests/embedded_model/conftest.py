"""The real model, loaded once for all tests: its weights are taken from the data directory, and fetched if missing."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pytest

from pilothouse.models.embedded.catalogue import QWEN_CODER_0_5B
from pilothouse.models.embedded.sidecar import EmbeddedModel

Result = TypeVar("Result")
DATA = Path(os.environ.get("PILOTHOUSE_DATA", Path.home() / ".local/share/pilothouse"))  # noqa: TID251 - kept between runs
FETCH_DEADLINE_SECONDS = 1800


class Served:
    """The embedded model, running on an event loop of its own, and a way to do things there."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self.model: EmbeddedModel = self.run(self._open)

    async def _open(self) -> EmbeddedModel:
        self._over = asyncio.Event()
        opened: asyncio.Future[EmbeddedModel] = self._loop.create_future()
        self._life = self._loop.create_task(self._live(opened))
        return await opened

    async def _live(self, opened: asyncio.Future[EmbeddedModel]) -> None:
        async with EmbeddedModel(DATA, model=QWEN_CODER_0_5B) as model:
            await model.ready()
            opened.set_result(model)
            await self._over.wait()

    async def _close(self) -> None:
        self._over.set()
        await self._life

    def run(self, do: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
        async def call() -> Result:
            return await do(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(FETCH_DEADLINE_SECONDS)

    def close(self) -> None:
        self.run(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()
