"""Which model a name means, here and now."""

from typing import assert_never

from pilothouse.models import ollama
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.endpoints import endpoint_of
from pilothouse.models.names import AnyOllama, Auto, Choice, Embedded, Gemini, ModelName, Ollama, OpenAI

GEMINI_DEFAULT = "gemini-3.5-flash"
OPENAI_DEFAULT = "gpt-5.4-mini"


async def choose(name: ModelName, credentials: ModelCredentials) -> Choice:
    """The model itself. Asks a server for its models where the name leaves that open.

    Raises `ModelUnavailable` or `ModelUnknown` where that server is down or has none.
    """
    match name:
        case Auto():
            return await _first_configured(credentials)
        case AnyOllama():
            return Ollama(await ollama.first_model(credentials.ollama_host))
        case Gemini() | OpenAI() | Ollama() | Embedded():
            return name
        case _:
            assert_never(name)


async def _first_configured(credentials: ModelCredentials) -> Choice:
    if credentials.gemini_api_key or credentials.google_cloud_project:
        return Gemini(GEMINI_DEFAULT)
    if credentials.openai_base_url:
        from pilothouse.models.openai import first_model

        return OpenAI(await first_model(endpoint_of(OpenAI(OPENAI_DEFAULT), credentials)))
    if credentials.openai_api_key:
        return OpenAI(OPENAI_DEFAULT)
    if models := await ollama.list_models(credentials.ollama_host):
        return Ollama(models[0])
    return Embedded()
