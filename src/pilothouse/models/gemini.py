"""Gemini, through its API with a key, or on Vertex AI with the identity that the environment gives."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import httpx
import msgspec
from google.auth.exceptions import GoogleAuthError
from google.genai import Client
from google.genai.errors import APIError
from google.genai.types import HttpOptions
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError

from pilothouse.errors import ConfigurationError, ModelError
from pilothouse.models.connections import explain_connection
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.failures import Advice, Failure, Refusal, causes, delay_in, refused, sentence
from pilothouse.models.google_auth import explain_identity
from pilothouse.models.names import Gemini
from pilothouse.models.policies import SILENCE, RetryPolicy
from pilothouse.models.retries import RetryingChatModel

_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
"""As OpenAI's SDK has it: the number of runs at once is limited elsewhere."""


class GeminiChat(RetryingChatModel, ChatGoogleGenerativeAI):
    """LangChain's Gemini, with our retries and errors, and its answers in the form that the others have: text that is
    nothing more is a string, and the usage comes once, at the end. So a token is a small thing, and can be joined with
    its neighbours."""

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        result = await super()._agenerate(*args, **kwargs)
        for generation in result.generations:
            generation.message.content = _plain(generation.message.content)
        return result

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        usage: UsageMetadata | None = None
        async for chunk in super()._astream(*args, **kwargs):
            message = cast("AIMessageChunk", chunk.message)
            message.content = _plain(message.content)
            usage, message.usage_metadata = add_usage(usage, message.usage_metadata), None
            yield chunk
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))

    def explain(self, error: Exception) -> Failure | None:
        for cause in causes(error):
            if isinstance(cause, APIError):
                return refused(_refusal(cause, self._secrets), self._advice)
            if isinstance(cause, GoogleAuthError):
                return explain_identity(cause, "or use a key, GEMINI_API_KEY")
            if failure := explain_connection(cause, self._advice):
                return failure
        if isinstance(error, ChatGoogleGenerativeAIError):
            return Failure(ModelError(sentence(str(error), self._secrets)))
        return None


def _plain(content: str | list[Any]) -> str | list[Any]:
    """Blocks that are text alone, without a signature or such, as one string."""
    if isinstance(content, str) or not all(each.keys() <= {"type", "text", "index"} for each in content):
        return content
    return "".join(each["text"] for each in content)


class _Route(msgspec.Struct, frozen=True):
    """One of the two ways to Gemini: `identity` is what tells Google's client, and LangChain's, which."""

    label: str
    identity: Mapping[str, Any]
    base_url: str | None
    advice: Advice


@asynccontextmanager
async def open_gemini(
    name: Gemini, credentials: ModelCredentials, policy: RetryPolicy
) -> AsyncGenerator[tuple[GeminiChat, str]]:
    """The model and its label. Raises `ConfigurationError` where neither a key nor a project is set."""
    route = _route(name.model, credentials)
    async with httpx.AsyncClient(follow_redirects=True, limits=_LIMITS) as connections:
        options = HttpOptions(base_url=route.base_url, httpx_async_client=connections)
        with Client(**route.identity, http_options=options) as client:
            chat = GeminiChat(
                model=name.model, **route.identity, retries=1, request_timeout=SILENCE.total_seconds()
            )
            # The client that LangChain makes reads variables of the environment that can turn it to another service,
            # and takes another HTTP library when that happens to be installed.
            await chat.aclose()
            chat.client = client
            yield chat.set_up(policy, route.advice, credentials.secrets), route.label


def _route(model: str, credentials: ModelCredentials) -> _Route:
    if key := credentials.gemini_api_key:
        identity = {"vertexai": False, "api_key": key}
        return _Route(f"{model} (Gemini API)", identity, credentials.gemini_base_url, _advice_for_key(model))
    if project := credentials.google_cloud_project:
        location = credentials.google_cloud_location
        identity = {"vertexai": True, "api_key": None, "project": project, "location": location}
        advice = _advice_for_vertex(model, project, location)
        return _Route(f"{model} (Vertex AI)", identity, credentials.vertex_base_url, advice)
    raise ConfigurationError(
        f"The model gemini/{model} needs GEMINI_API_KEY (made at https://aistudio.google.com/apikey), "
        "or GOOGLE_CLOUD_PROJECT for Vertex AI."
    )


def _advice_for_key(model: str) -> Advice:
    return Advice(
        server="Gemini",
        refused="Check GEMINI_API_KEY; keys are made at https://aistudio.google.com/apikey.",
        unknown=f"Check the name “{model}” in the setting `model`.",
        down="Check the network.",
    )


def _advice_for_vertex(model: str, project: str, location: str) -> Advice:
    return Advice(
        server=f"Vertex AI (project {project})",
        refused=(
            "Check GOOGLE_CLOUD_PROJECT, that its Vertex AI API (aiplatform.googleapis.com) is enabled, "
            "and that this identity has the role Vertex AI User (roles/aiplatform.user)."
        ),
        unknown=(
            f"Check the name “{model}” in the setting `model`, and GOOGLE_CLOUD_LOCATION: "
            f"not every model is in {location}."
        ),
        down="Check the network, and GOOGLE_CLOUD_LOCATION.",
    )


class _Violation(msgspec.Struct, frozen=True, rename="camel"):
    quota_id: str = ""


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    """What we read of `ErrorInfo`, `QuotaFailure` and `RetryInfo`, https://google.aip.dev/193#statusdetails."""

    reason: str = ""
    violations: Sequence[_Violation] = ()
    retry_delay: str = ""


class _Status(msgspec.Struct, frozen=True):
    details: Sequence[_Detail] = ()


class _Body(msgspec.Struct, frozen=True):
    error: _Status = _Status()


def _refusal(error: APIError, secrets: Sequence[str]) -> Refusal:
    words = error.message or error.status or f"status {error.code}"
    details = _details(error)
    about = None
    if any(detail.reason.startswith("API_KEY_") for detail in details):
        about = "key"
    elif "exceeds the maximum number of tokens" in words:
        about = "context"
    elif any("PerDay" in violation.quota_id for detail in details for violation in detail.violations):
        about = "lasting quota"
    return Refusal(
        status=error.code,
        sentence=sentence(words, secrets),
        about=about,
        delay=_delay(details) or delay_in(_headers(error)),
    )


def _details(error: APIError) -> Sequence[_Detail]:
    try:
        return msgspec.convert(cast("Any", error).details, _Body).error.details
    except msgspec.ValidationError:
        return ()  # a proxy's page, say


def _headers(error: APIError) -> Mapping[str, str]:
    response: Any = cast("Any", error).response  # untyped there; None where the error came in a stream
    return {} if response is None else response.headers


def _delay(details: Sequence[_Detail]) -> timedelta | None:
    """`RetryInfo.retryDelay`: seconds with an `s` behind them."""
    for detail in details:
        if re.fullmatch(r"\d+(\.\d+)?s", detail.retry_delay):
            return timedelta(seconds=float(detail.retry_delay[:-1]))
    return None
