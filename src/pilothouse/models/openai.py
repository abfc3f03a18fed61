"""OpenAI, and every server that speaks its Chat Completions."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import httpx2
import openai
from langchain_openai import ChatOpenAI

from pilothouse.errors import ModelError, ModelUnknown
from pilothouse.models.connections import explain_connection
from pilothouse.models.endpoints import OPENAI_URL, Endpoint
from pilothouse.models.failures import Failure, Refusal, causes, cut_off, delay_in, refused, sentence
from pilothouse.models.policies import CONNECT, SILENCE, RetryPolicy
from pilothouse.models.retries import RetryingChatModel

NO_KEY = "none"
"""The SDK wants one; a server that wants none reads none."""

STATUS_OF_CODE = {
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "server_error": 503,
    "overloaded_error": 503,
    "service_unavailable_error": 503,
}
"""Of errors that come as an event of a stream, and have no status of HTTP."""


class OpenAIChat(RetryingChatModel, ChatOpenAI):
    """LangChain's OpenAI client, with our retries and errors."""

    def explain(self, error: Exception) -> Failure | None:
        for cause in causes(error):
            if isinstance(cause, openai.APIConnectionError) and cause.__cause__ is None:
                return cut_off(self._advice)
            if isinstance(cause, openai.APIError) and not isinstance(cause, openai.APIConnectionError):
                return refused(_refusal(cause, self._secrets), self._advice)
            if isinstance(cause, ModelError):
                return Failure(cause, retry=cause.retryable)  # no ID token
            if failure := explain_connection(cause, self._advice):
                return failure
        return None


@asynccontextmanager
async def open_endpoint(endpoint: Endpoint, policy: RetryPolicy) -> AsyncGenerator[OpenAIChat]:
    """A client for the endpoint, closed at the end."""
    timeout = httpx2.Timeout(SILENCE.total_seconds(), connect=CONNECT.total_seconds())
    # No proxy stands between us and a server on this machine.
    proxies = urlsplit(endpoint.url).hostname not in {"localhost", "127.0.0.1", "::1"}
    async with openai.DefaultAsyncHttpxClient(timeout=timeout, trust_env=proxies) as connections:
        model = OpenAIChat(
            model=endpoint.model,
            base_url=endpoint.url,
            api_key=_bearer(endpoint),
            http_async_client=connections,
            http_socket_options=(),
            timeout=timeout,
            stream_chunk_timeout=SILENCE.total_seconds(),
            max_retries=0,
            stream_usage=endpoint.streams_usage,
            use_responses_api=None if endpoint.url == OPENAI_URL else False,
        )
        keys = (endpoint.key,) if isinstance(endpoint.key, str) else ()
        yield model.set_up(policy, endpoint.advice, (*endpoint.secrets, *keys))


async def first_model(endpoint: Endpoint) -> str:
    """The first model that the server lists; the endpoint's own name is not looked at. Raises `ModelError`s."""
    async with open_endpoint(endpoint, RetryPolicy(tries=1)) as chat:
        try:
            models = await chat.root_async_client.models.list()
        except openai.OpenAIError as error:
            failure = chat.explain(error)
            if failure is None:
                raise
            raise failure.error from error
        if not models.data:
            raise ModelUnknown(f"{endpoint.advice.subject} lists no model: name one, openai/NAME@URL.")
        return models.data[0].id


def _bearer(endpoint: Endpoint) -> Callable[[], Awaitable[str]]:
    """Always as a coroutine function, which the SDK asks before each request: no `repr` can show the key, and LangChain
    makes no synchronous client. (It takes an object with an async `__call__` for a synchronous function.)"""
    key = endpoint.key

    async def bearer() -> str:
        return await key() if callable(key) else key or NO_KEY

    return bearer


def _refusal(error: openai.APIError, secrets: Sequence[str]) -> Refusal:
    words, code = _words_and_code(error)
    about = None
    if code == "context_length_exceeded" or "maximum context length" in words:
        about = "context"
    elif code == "insufficient_quota":
        about = "lasting quota"
    if isinstance(error, openai.APIStatusError):
        status, delay = error.status_code, delay_in(error.response.headers)
    else:
        status, delay = int(code) if code.isdigit() else STATUS_OF_CODE.get(code, 400), None
    return Refusal(status=status, sentence=sentence(words, secrets), about=about, delay=delay)


def _words_and_code(error: openai.APIError) -> tuple[str, str]:
    """The body is `{message, code, type}`, `{detail}` (FastAPI), or a text (Ollama)."""
    body: object = error.body
    if isinstance(body, Mapping):
        fields = cast("Mapping[str, object]", body)
        words = fields.get("message") or fields.get("detail") or error.message
        return str(words), str(fields.get("code") or fields.get("type") or "")
    return (body if isinstance(body, str) and body.strip() else error.message), ""
