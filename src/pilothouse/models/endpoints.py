"""Servers that speak OpenAI's API, and how to get into them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from pilothouse.errors import ConfigurationError
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.failures import Advice
from pilothouse.models.id_tokens import IdTokens
from pilothouse.models.names import OpenAI, server_url

OPENAI_URL = "https://api.openai.com/v1"

Key: TypeAlias = str | Callable[[], Awaitable[str]]
"""A bearer token, or how to get one that is good now."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A model of such a server."""

    url: str
    """With its version: `http://127.0.0.1:8000/v1`."""
    model: str
    key: Key | None = None
    label: str
    """The model's name for people."""
    advice: Advice
    secrets: Sequence[str] = ()
    """What no message may show."""
    streams_usage: bool = False
    """Whether it is known to take `stream_options.include_usage`."""


def endpoint_of(name: OpenAI, credentials: ModelCredentials) -> Endpoint:
    """Where a named model is. Raises `ConfigurationError` if OpenAI itself is meant and there is no key."""
    url = name.url or server_url(credentials.openai_base_url or OPENAI_URL)
    if url == OPENAI_URL:
        return _openai_itself(name.model, credentials)
    host = urlsplit(url).hostname or ""
    # A key is sent to the server that it was given for, and to no other.
    key: Key | None = credentials.model_api_key if name.url else credentials.openai_api_key
    if key is None and host.endswith(".run.app"):
        return _on_cloud_run(name.model, url, credentials)
    setting = "model_api_key" if name.url else "OPENAI_API_KEY"
    return Endpoint(
        url=url,
        model=name.model,
        key=key,
        label=f"{name.model} at {host}",
        advice=Advice(
            server=f"the model server at {url}",
            refused=f"Check its key, the setting {setting}.",
            unknown=f"Check the name “{name.model}” in the setting `model`, and that the URL is right.",
            down="Check that it runs, and its address in the setting `model` or OPENAI_BASE_URL.",
        ),
        secrets=credentials.secrets,
    )


def _openai_itself(model: str, credentials: ModelCredentials) -> Endpoint:
    if not credentials.openai_api_key:
        raise ConfigurationError(
            f"The model openai/{model} needs a key: set OPENAI_API_KEY, or name a server, openai/{model}@URL."
        )
    return Endpoint(
        url=OPENAI_URL,
        model=model,
        key=credentials.openai_api_key,
        label=f"{model} (OpenAI)",
        advice=Advice(
            server="OpenAI",
            refused="Check OPENAI_API_KEY.",
            unknown=f"Check the name “{model}” in the setting `model`.",
            down="Check the network.",
        ),
        secrets=credentials.secrets,
        streams_usage=True,
    )


def _on_cloud_run(model: str, url: str, credentials: ModelCredentials) -> Endpoint:
    parts = urlsplit(url)
    return Endpoint(
        url=url,
        model=model,
        key=IdTokens(f"{parts.scheme}://{parts.netloc}"),
        label=f"{model} on Cloud Run",
        advice=Advice(
            server=f"the Cloud Run service at {parts.netloc}",
            refused="Give this service's account the role Cloud Run Invoker (roles/run.invoker) there.",
            unknown=f"Check the name “{model}” in the setting `model`, and that the service is there.",
            down="Check that the service runs, and its address in the setting `model`.",
        ),
        secrets=credentials.secrets,
    )
