"""The models that the built-in assistants use, each opened once, when it is first needed."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.names import ModelName, parse
from pilothouse.models.opening import ChatModel, import_aside, open_chat_model
from pilothouse.settings import Settings
from pilothouse.wiring.keeping import Kept
from pilothouse.wiring.reports import Report


class OpenModels:
    """Models by name, shared by the agents that name the same one."""

    def __init__(self, settings: Settings, report: Report, tasks: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._report = report
        self._tasks = tasks
        self._kept: dict[ModelName, Kept[ChatModel]] = {}

    async def get(self, name: str) -> ChatModel:
        """Raises `ConfigurationError` for a name that means nothing, and what `open_chat_model` raises."""
        parsed = parse(name)
        if parsed not in self._kept:
            self._kept[parsed] = Kept(lambda: self._open(parsed), self._tasks)
        return await self._kept[parsed].get()

    def _open(self, name: ModelName) -> AbstractAsyncContextManager[ChatModel]:
        embedded = partial(_embedded, self._settings, self._report)
        return open_chat_model(name, credentials_of(self._settings), embedded=embedded)

    def close(self) -> None:
        for kept in self._kept.values():
            kept.close()


@asynccontextmanager
async def _embedded(settings: Settings, report: Report) -> AsyncGenerator[ChatModel]:
    from pilothouse.models.embedded.sidecar import EmbeddedModel

    async with EmbeddedModel(
        settings.data_dir, path=settings.model_file, on_progress=report.advance
    ) as embedded:
        embedded.start()
        await import_aside("pilothouse.models.openai")
        from pilothouse.models.embedded.client import embedded_chat, tool_on_the_wire

        async def prepare(tools: Sequence[Any]) -> None:
            await embedded.ready()
            await embedded.warm([tool_on_the_wire(tool) for tool in tools])

        yield ChatModel(embedded_chat(embedded), embedded.label, embedded.notice, prepare)


def credentials_of(settings: Settings) -> ModelCredentials:
    """Those that are set; the others keep their defaults."""
    named = {name: getattr(settings, name, None) for name in ModelCredentials.__struct_fields__}
    return ModelCredentials(**{name: value for name, value in named.items() if value is not None})
