"""Open the model that a name means, as a LangChain chat model."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from pilothouse.models import ollama
from pilothouse.models.choosing import choose
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.endpoints import Endpoint, endpoint_of
from pilothouse.models.names import Embedded, Gemini, ModelName, Ollama, OpenAI
from pilothouse.models.policies import RetryPolicy

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class ChatModel(msgspec.Struct, frozen=True):
    """A model that is open. Its calls raise `pilothouse.errors.ModelError`s, after what retries were worth making."""

    model: "BaseChatModel"
    label: str
    """Its name for people."""
    notice: str | None = None
    """What people should know before they rely on it."""
    prepare: Callable[[Sequence[Any]], Awaitable[None]] | None = None
    """Gets the model ready for these tools (LangChain's) ahead of the first question, where that takes long."""


EmbeddedModel: TypeAlias = Callable[[], AbstractAsyncContextManager[ChatModel]]
"""Opens the embedded model, and closes it at the end."""


@asynccontextmanager
async def open_chat_model(
    name: ModelName,
    credentials: ModelCredentials,
    *,
    embedded: EmbeddedModel,
    policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - it is immutable
) -> AsyncGenerator[ChatModel]:
    """The model, good for any number of calls at once until the block ends.

    No request is made to a model yet, so a wrong key shows at the first call. Raises `ConfigurationError` where a key
    or a project is missing, and what `choose` raises.
    """
    match await choose(name, credentials):
        case Gemini() as gemini:
            await import_aside("pilothouse.models.gemini")
            from pilothouse.models.gemini import open_gemini

            async with open_gemini(gemini, credentials, policy) as (model, label):
                yield ChatModel(model, label)
        case OpenAI() as openai:
            async with _at(endpoint_of(openai, credentials), policy) as chat:
                yield chat
        case Ollama(model=model_name):
            async with _at(ollama.endpoint_of(model_name, credentials.ollama_host), policy) as chat:
                yield chat
        case Embedded():
            async with embedded() as chat:
                yield chat


@asynccontextmanager
async def _at(endpoint: Endpoint, policy: RetryPolicy) -> AsyncGenerator[ChatModel]:
    await import_aside("pilothouse.models.openai")
    from pilothouse.models.openai import open_endpoint

    async with open_endpoint(endpoint, policy) as model:
        yield ChatModel(model, endpoint.label)


async def import_aside(module: str) -> None:
    """Import in a thread what takes a second, so that requests go on meanwhile. An import statement after it is quick."""
    await asyncio.to_thread(import_module, module)
