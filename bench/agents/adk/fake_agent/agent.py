"""An ADK agent whose model says FAKE_TOKENS tokens, FAKE_DELAY_MS apart."""

import asyncio
import os
from collections.abc import AsyncGenerator

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.genai import types

TOKENS = int(os.environ.get("FAKE_TOKENS", "100"))  # noqa: TID251  # an agent of the bench's own, not of Pilothouse
DELAY = float(os.environ.get("FAKE_DELAY_MS", "0")) / 1000  # noqa: TID251  # the same


def says(text: str, *, partial: bool) -> LlmResponse:
    return LlmResponse(content=types.Content(role="model", parts=[types.Part(text=text)]), partial=partial)


class FakeLlm(BaseLlm):
    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        if stream:
            for _ in range(TOKENS):
                if DELAY:
                    await asyncio.sleep(DELAY)
                yield says("tok ", partial=True)
        yield says("tok " * TOKENS, partial=False)


root_agent = LlmAgent(name="fake_agent", model=FakeLlm(model="fake"), instruction="Say tok.")
