"""Gemini, through its API with a key, or on Vertex AI with the identity that the environment gives."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import httpx
import msgspec
from google.auth.exceptions import GoogleAuthError
from google.genai import Client
from google.genai.errors import APIError
from google.genai.types import HttpOptions
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_google_genai.chat_models import ChatGoogleGenerativeAIError
from pydantic import SecretStr

from pilothouse.errors import ConfigurationError, ModelError
from pilothouse.models.connections import explain_connection
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.failures import Advice, Failure, Refusal, causes, delay_in, refused, sentence
from pilothouse.models.google_auth import explain_identity
from pilothouse.models.names import Gemini
from pilothouse.models.policies import SILENCE, RetryPolicy
from pilothouse.models.retries import RetryingChatModel

_LIMITS: Mapping[str, Any] = {"retries": 1, "request_timeout": SILENCE.total_seconds()}
"""LangChain's words: one try in all, and how long to wait for the next byte."""


class GeminiChat(RetryingChatModel, ChatGoogleGenerativeAI):
    """LangChain's Gemini, with our retries and errors."""

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


@asynccontextmanager
async def open_gemini(
    name: Gemini, credentials: ModelCredentials, policy: RetryPolicy
) -> AsyncGenerator[tuple[GeminiChat, str]]:
    """The model and its label. Raises `ConfigurationError` where neither a key nor a project is set."""
    if credentials.gemini_api_key:
        opening, place, advice = _with_key(name.model, credentials), "Gemini API", _advice_for_key(name.model)
    elif credentials.google_cloud_project:
        opening, place = _on_vertex(name.model, credentials), "Vertex AI"
        advice = _advice_for_vertex(name.model, credentials)
    else:
        raise ConfigurationError(
            f"The model gemini/{name.model} needs GEMINI_API_KEY (made at https://aistudio.google.com/apikey), "
            "or GOOGLE_CLOUD_PROJECT for Vertex AI."
        )
    async with opening as model:
        yield model.set_up(policy, advice, credentials.secrets), f"{name.model} ({place})"


@asynccontextmanager
async def _with_key(model: str, credentials: ModelCredentials) -> AsyncGenerator[GeminiChat]:
    key = credentials.gemini_api_key
    async with httpx.AsyncClient(follow_redirects=True) as connections:
        options = HttpOptions(base_url=credentials.gemini_base_url, httpx_async_client=connections)
        with Client(vertexai=False, api_key=key, http_options=options) as client:
            chat = GeminiChat(model=model, api_key=SecretStr(key or ""), vertexai=False, **_LIMITS)
            yield await _with_client(chat, client)


@asynccontextmanager
async def _on_vertex(model: str, credentials: ModelCredentials) -> AsyncGenerator[GeminiChat]:
    project, location = credentials.google_cloud_project, credentials.google_cloud_location
    async with httpx.AsyncClient(follow_redirects=True) as connections:
        options = HttpOptions(base_url=credentials.vertex_base_url, httpx_async_client=connections)
        with Client(vertexai=True, project=project, location=location, http_options=options) as client:
            chat = GeminiChat(
                model=model, api_key=None, vertexai=True, project=project, location=location, **_LIMITS
            )
            yield await _with_client(chat, client)


async def _with_client(chat: GeminiChat, client: Client) -> GeminiChat:
    """LangChain's own client reads variables of the environment that can turn it to another service, and takes another
    HTTP library when that happens to be installed."""
    await chat.aclose()
    chat.client = client
    return chat


def _advice_for_key(model: str) -> Advice:
    return Advice(
        server="Gemini",
        refused="Check GEMINI_API_KEY; keys are made at https://aistudio.google.com/apikey.",
        unknown=f"Check the name “{model}” in the setting `model`.",
        down="Check the network.",
    )


def _advice_for_vertex(model: str, credentials: ModelCredentials) -> Advice:
    return Advice(
        server=f"Vertex AI (project {credentials.google_cloud_project})",
        refused=(
            "Check GOOGLE_CLOUD_PROJECT, that its Vertex AI API (aiplatform.googleapis.com) is enabled, "
            "and that this identity has the role Vertex AI User (roles/aiplatform.user)."
        ),
        unknown=(
            f"Check the name “{model}” in the setting `model`, and GOOGLE_CLOUD_LOCATION: "
            f"not every model is in {credentials.google_cloud_location}."
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
