"""Ollama, found on this machine or at a given host, through its OpenAI-compatible path."""

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from pilothouse.errors import ModelUnavailable, ModelUnknown
from pilothouse.models.endpoints import Endpoint
from pilothouse.models.failures import Advice
from pilothouse.models.names import server_url

CONNECT_DEADLINE = timedelta(seconds=1)
LIST_DEADLINE = timedelta(seconds=2)


class _Listed(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Listed] | None = None


def url_of(host: str) -> str:
    """The base URL of its OpenAI-compatible path, from what people write in OLLAMA_HOST: `gpu:11434`, `0.0.0.0`, a URL."""
    url = urlsplit(server_url(host if "://" in host else f"http://{host}"))
    # 0.0.0.0 is an address to listen on, not to call.
    address = url.netloc.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - it is replaced
    port = "" if url.port else ":11434" if url.scheme == "http" else ":443"
    return f"{url.scheme}://{address}{port}{url.path.removesuffix('/v1')}/v1"


def endpoint_of(model: str, host: str) -> Endpoint:
    url = url_of(host)
    return Endpoint(
        url=url,
        model=model,
        label=f"{model} (Ollama)",
        advice=Advice(
            server=f"Ollama at {url.removesuffix('/v1')}",
            refused="Check OLLAMA_HOST.",
            unknown=f"Get it with “ollama pull {model}”, or choose another in the setting `model`.",
            down="Start it with “ollama serve”, or check OLLAMA_HOST.",
        ),
        streams_usage=True,
    )


async def first_model(host: str) -> str:
    """The model that `ollama` alone means. Raises `ModelUnavailable` if nobody answers, `ModelUnknown` if it has none."""
    models = await list_models(host)
    advice = endpoint_of("NAME", host).advice
    if models is None:
        raise ModelUnavailable(f"{advice.subject} can't be reached. {advice.down}")
    if not models:
        raise ModelUnknown(f"{advice.subject} has no model. {advice.unknown}")
    return models[0]


async def list_models(host: str) -> list[str] | None:
    """The chat models that it has, the newest first; None if no Ollama answers there at once."""
    url = urlsplit(url_of(host))
    try:
        async with asyncio.timeout(CONNECT_DEADLINE.total_seconds()):
            _, writer = await asyncio.open_connection(url.hostname, url.port)
            writer.close()
            await writer.wait_closed()
    except OSError:
        return None
    # Most machines have no Ollama: only now is a client worth its import.
    import httpx

    try:
        async with httpx.AsyncClient(timeout=LIST_DEADLINE.total_seconds(), trust_env=False) as client:
            reply = await client.get(f"{url.geturl()}/models")
            models = msgspec.json.decode(reply.raise_for_status().content, type=_Models).data or []
    except (httpx.HTTPError, msgspec.DecodeError):
        return None
    # Embedding models are listed too, and can't chat.
    return [model.id for model in models if "embed" not in model.id]
