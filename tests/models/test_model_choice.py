"""Which model `auto` and `ollama` mean, and which key goes where."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from langchain_core.language_models import FakeListChatModel
from tests.models.model_providers import no_embedded_model

from pilothouse.errors import ModelUnavailable, ModelUnknown
from pilothouse.models.choosing import GEMINI_DEFAULT, OPENAI_DEFAULT, choose
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.endpoints import endpoint_of
from pilothouse.models.names import (
    AnyOllama,
    Auto,
    Choice,
    Embedded,
    Gemini,
    ModelName,
    Ollama,
    OpenAI,
    parse,
)
from pilothouse.models.ollama import url_of
from pilothouse.models.opening import ChatModel, open_chat_model
from pilothouse.testing.model_servers import ModelServer


def chosen(name: ModelName, credentials: ModelCredentials) -> Choice:
    async def scenario() -> Choice:
        async with asyncio.timeout(10):
            return await choose(name, credentials)

    return asyncio.run(scenario())


@pytest.fixture
def nowhere(free_port: int) -> str:
    return f"http://127.0.0.1:{free_port}"


def test_auto_takes_gemini_first_with_a_key_or_a_project(nowhere: str) -> None:
    keys = ModelCredentials(gemini_api_key="g", openai_api_key="o", ollama_host=nowhere)
    assert chosen(Auto(), keys) == Gemini(GEMINI_DEFAULT)
    project = ModelCredentials(google_cloud_project="p", openai_api_key="o", ollama_host=nowhere)
    assert chosen(Auto(), project) == Gemini(GEMINI_DEFAULT)


def test_auto_takes_the_first_model_of_the_openai_server_that_is_set() -> None:
    async def scenario() -> None:
        async with ModelServer(models=["llama", "other"], keys=["o"]) as server:
            credentials = ModelCredentials(
                openai_base_url=server.openai_url, openai_api_key="o", ollama_host=server.host
            )
            assert await choose(Auto(), credentials) == OpenAI("llama")

    asyncio.run(scenario())


def test_auto_takes_openai_itself_with_a_key_alone(nowhere: str) -> None:
    credentials = ModelCredentials(openai_api_key="o", ollama_host=nowhere)
    assert chosen(Auto(), credentials) == OpenAI(OPENAI_DEFAULT)


def test_auto_takes_the_first_chat_model_of_an_ollama_that_answers() -> None:
    async def scenario() -> None:
        async with ModelServer(models=["nomic-embed-text:latest", "gemma3:4b"]) as server:
            assert await choose(Auto(), ModelCredentials(ollama_host=server.host)) == Ollama("gemma3:4b")

    asyncio.run(scenario())


def test_auto_takes_the_embedded_model_when_nothing_is_configured(nowhere: str) -> None:
    assert chosen(Auto(), ModelCredentials(ollama_host=nowhere)) == Embedded()


def test_auto_is_not_held_up_by_something_on_ollamas_port_that_says_nothing() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            credentials = ModelCredentials(ollama_host=f"http://127.0.0.1:{port}")
            async with asyncio.timeout(10):
                assert await choose(Auto(), credentials) == Embedded()

    asyncio.run(scenario())


def test_ollama_alone_needs_an_ollama_that_has_a_model(nowhere: str) -> None:
    with pytest.raises(ModelUnavailable, match="ollama serve"):
        chosen(AnyOllama(), ModelCredentials(ollama_host=nowhere))

    async def scenario() -> None:
        async with ModelServer(models=["nomic-embed-text"]) as server:
            with pytest.raises(ModelUnknown, match="ollama pull"):
                await choose(AnyOllama(), ModelCredentials(ollama_host=server.host))

    asyncio.run(scenario())


def test_an_ollama_model_answers_through_the_openai_compatible_path() -> None:
    async def scenario() -> None:
        async with ModelServer(models=["gemma3:4b"]) as server:
            server.reply("Hello")
            credentials = ModelCredentials(openai_api_key="not-for-ollama", ollama_host=server.host)
            async with open_chat_model(parse("ollama"), credentials, embedded=no_embedded_model) as chat:
                assert chat.label == "gemma3:4b (Ollama)"
                assert (await chat.model.ainvoke("Hi")).text == "Hello"
            (request,) = server.requests
            assert request.path == "/v1/chat/completions"
            assert request.credential == "none"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("gpu-box", "http://gpu-box:11434/v1"),
        ("0.0.0.0:11500", "http://127.0.0.1:11500/v1"),
        ("https://ollama.example.org/", "https://ollama.example.org:443/v1"),
        ("http://[::1]:11434", "http://[::1]:11434/v1"),
        ("https://example.org:8443/ollama", "https://example.org:8443/ollama/v1"),
    ],
)
def test_ollamas_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert url_of(host) == url


def test_a_key_goes_to_the_server_it_was_given_for_and_to_no_other() -> None:
    credentials = ModelCredentials(
        openai_api_key="openais", openai_base_url="http://gateway.example.org", model_api_key="servers"
    )
    assert endpoint_of(OpenAI("m"), credentials).key == "openais"
    assert endpoint_of(OpenAI("m"), credentials).url == "http://gateway.example.org/v1"
    assert endpoint_of(OpenAI("m", "http://other.example.org/v1"), credentials).key == "servers"
    only_openai = ModelCredentials(openai_api_key="openais")
    assert endpoint_of(OpenAI("m", "http://other.example.org/v1"), only_openai).key is None


def test_the_embedded_model_is_opened_where_it_is_chosen_and_closed_at_the_end(nowhere: str) -> None:
    async def scenario() -> None:
        events: list[str] = []
        small = ChatModel(
            FakeListChatModel(responses=["Hello"]), "small local model", "A small model answers."
        )

        @asynccontextmanager
        async def embedded() -> AsyncGenerator[ChatModel]:
            events.append("opened")
            yield small
            events.append("closed")

        credentials = ModelCredentials(ollama_host=nowhere)
        async with open_chat_model(parse("auto"), credentials, embedded=embedded) as chat:
            assert chat is small
            assert events == ["opened"]
        assert events == ["opened", "closed"]

    asyncio.run(scenario())


def test_a_proxy_of_the_environment_is_not_used_for_a_server_on_this_machine(
    monkeypatch: pytest.MonkeyPatch, nowhere: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", nowhere)

    async def scenario() -> None:
        async with ModelServer(models=["gemma3:4b"]) as server:
            server.reply("Hello")
            credentials = ModelCredentials(ollama_host=server.host)
            async with open_chat_model(parse("ollama"), credentials, embedded=no_embedded_model) as chat:
                assert (await chat.model.ainvoke("Hi")).text == "Hello"

    asyncio.run(scenario())
