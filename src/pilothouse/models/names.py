"""A model is named by one string."""

import re
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from pilothouse.errors import ConfigurationError

FORMS = """\
  gemini/NAME            Gemini, with a key or a Google Cloud project
  openai/NAME            OpenAI, with a key
  openai/NAME@URL        any server that speaks OpenAI's API: vLLM, llama.cpp, a GPU service on Cloud Run
  ollama/NAME or ollama  Ollama; alone, its first model
  embedded               the small model that runs on this machine
  auto                   the first of these that is configured"""


class Gemini(msgspec.Struct, frozen=True, tag=True):
    """A Gemini model, with an API key or on Vertex AI."""

    model: str


class OpenAI(msgspec.Struct, frozen=True, tag=True):
    """A model of a server that speaks OpenAI's API; without a URL, OpenAI itself or the server in the settings."""

    model: str
    url: str | None = None


class Ollama(msgspec.Struct, frozen=True, tag=True):
    """A model of an Ollama server."""

    model: str


class AnyOllama(msgspec.Struct, frozen=True, tag=True):
    """The first model of an Ollama server."""


class Embedded(msgspec.Struct, frozen=True, tag=True):
    """The small model that runs on this machine."""


class Auto(msgspec.Struct, frozen=True, tag=True):
    """The first that is configured."""


Choice: TypeAlias = Gemini | OpenAI | Ollama | Embedded
"""A name that says it all."""

ModelName: TypeAlias = Choice | AnyOllama | Auto


def parse(text: str) -> ModelName:
    """The model that a string names. Raises `ConfigurationError`, whose message says what is wrong and lists the forms."""
    provider, slash, name = text.strip().partition("/")
    if any(character.isspace() or not character.isprintable() for character in name):
        raise _wrong(text, "a name has no spaces")
    match provider, bool(slash), name:
        case "auto", False, _:
            return Auto()
        case "embedded", False, _:
            return Embedded()
        case "ollama", False, _:
            return AnyOllama()
        case (("gemini" | "openai" | "ollama"), _, ""):
            raise _wrong(text, f"a name is missing after “{provider}/”")
        case "ollama", True, _:
            return Ollama(name)
        case "gemini", True, _:
            return _gemini(text, name)
        case "openai", True, _:
            return _openai(text, name)
        case _:
            raise _wrong(text, f"“{provider}” is no provider" if slash else "it names no provider")


def _gemini(text: str, name: str) -> Gemini:
    if not re.fullmatch(r"[\w.-]+", name, re.ASCII):
        raise _wrong(text, "a Gemini model's name is like gemini-3.5-flash")
    return Gemini(name)


def _openai(text: str, name: str) -> OpenAI:
    model, at, url = name.partition("@")
    if not model:
        raise _wrong(text, "a name is missing before “@”")
    if not at:
        return OpenAI(model)
    if "://" not in url:
        raise _wrong(text, "what follows “@” must be a URL that begins with http:// or https://")
    try:
        return OpenAI(model, server_url(url))
    except ConfigurationError as error:
        raise _wrong(f"openai/{model}@…", str(error)) from None


def server_url(url: str) -> str:
    """The base URL of a server that speaks OpenAI's API, with `/v1` where it has no path.

    Raises `ConfigurationError`, also for a password in it: logs would show it.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise ConfigurationError("the URL is not valid") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError("the URL may hold no user, password or query: a key is a setting of its own")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"the URL “{url}” must begin with http:// or https:// and name a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/') or '/v1'}"


def _wrong(text: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"The model “{text}” can't be used: {reason}. A model is one of\n{FORMS}")
