"""An Agno AgentOS app whose model says FAKE_TOKENS tokens, FAKE_DELAY_MS apart."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.os import AgentOS

TOKENS = int(os.environ.get("FAKE_TOKENS", "100"))  # noqa: TID251  # an agent of the bench's own, not of Pilothouse
DELAY = float(os.environ.get("FAKE_DELAY_MS", "0")) / 1000  # noqa: TID251  # the same


class FakeModel(Model):
    def invoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return ModelResponse(role="assistant", content="tok " * TOKENS)

    async def ainvoke(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self.invoke()

    def invoke_stream(self, *args: Any, **kwargs: Any) -> Iterator[ModelResponse]:
        for _ in range(TOKENS):
            yield ModelResponse(role="assistant", content="tok ")

    async def ainvoke_stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ModelResponse]:
        for _ in range(TOKENS):
            if DELAY:
                await asyncio.sleep(DELAY)
            yield ModelResponse(role="assistant", content="tok ")

    def _parse_provider_response(self, response: ModelResponse, **kwargs: Any) -> ModelResponse:
        return response

    def _parse_provider_response_delta(self, response: ModelResponse) -> ModelResponse:
        return response


agent = Agent(
    id="agent", name="agent", model=FakeModel(id="fake"), db=SqliteDb(db_file="agno.db"), telemetry=False
)
app = AgentOS(agents=[agent], telemetry=False).get_app()
