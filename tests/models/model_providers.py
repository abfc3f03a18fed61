"""Every provider's client, pointed at a `ModelServer`."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from langchain_core.language_models import BaseChatModel

from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.names import parse
from pilothouse.models.opening import ChatModel, open_chat_model
from pilothouse.models.policies import RetryPolicy
from pilothouse.testing.model_servers import ModelServer

KEY = "key-of-the-tests-0123456789"
NAMES = {"gemini": "gemini/gemini-3-test", "openai": "openai/test-model", "ollama": "ollama/test-model"}
QUICK = RetryPolicy(first_delay=timedelta(milliseconds=20), total_wait=timedelta(seconds=3))

each_provider = pytest.mark.parametrize("provider", ["gemini", "openai"])


def credentials_for(server: ModelServer, key: str = KEY) -> ModelCredentials:
    return ModelCredentials(
        gemini_api_key=key,
        gemini_base_url=server.gemini_url,
        openai_api_key=key,
        openai_base_url=server.openai_url,
        ollama_host=server.host,
    )


def no_embedded_model() -> AbstractAsyncContextManager[ChatModel]:
    raise AssertionError("the embedded model is not wanted here")


@asynccontextmanager
async def open_model(
    provider: str, server: ModelServer, *, key: str = KEY, policy: RetryPolicy = QUICK
) -> AsyncGenerator[BaseChatModel]:
    credentials = credentials_for(server, key)
    name = parse(NAMES[provider])
    async with open_chat_model(name, credentials, embedded=no_embedded_model, policy=policy) as chat:
        yield chat.model
