"""What a user reads when a model can't answer."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from langchain_core.language_models import BaseChatModel
from tests.models.model_providers import KEY, NAMES, each_provider, no_embedded_model, open_model

from pilothouse.errors import (
    ConfigurationError,
    ModelError,
    ModelKeyInvalid,
    ModelQuotaExceeded,
    ModelUnavailable,
    ModelUnknown,
)
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.failures import sentence
from pilothouse.models.names import parse
from pilothouse.models.opening import open_chat_model
from pilothouse.models.policies import RetryPolicy
from pilothouse.testing.model_servers import ModelServer

ONCE = RetryPolicy(tries=1)


async def ask(model: BaseChatModel, *, stream: bool = True) -> str:
    if not stream:
        return (await model.ainvoke("Hello")).text
    return "".join([chunk.text async for chunk in model.astream("Hello")])


def error_from(provider: str, server: ModelServer, *, key: str = KEY, stream: bool = True) -> ModelError:
    async def scenario() -> ModelError:
        async with server, open_model(provider, server, key=key, policy=ONCE) as model:
            with pytest.raises(ModelError) as caught:
                await ask(model, stream=stream)
            return caught.value

    return asyncio.run(scenario())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("provider", "setting"), [("gemini", "GEMINI_API_KEY"), ("openai", "OPENAI_API_KEY")]
)
def test_a_wrong_key_is_told_with_the_setting_to_look_at_and_without_the_key(
    provider: str, setting: str, stream: bool
) -> None:
    error = error_from(provider, ModelServer(keys=["another"]), stream=stream)
    assert type(error) is ModelKeyInvalid
    assert setting in str(error)
    assert KEY not in str(error)


@each_provider
def test_a_name_that_the_provider_does_not_know_is_told_with_the_name(provider: str) -> None:
    error = error_from(provider, ModelServer(models=["another"]))
    assert type(error) is ModelUnknown
    assert NAMES[provider].partition("/")[2] in str(error)
    assert "setting `model`" in str(error)


def test_ollama_says_how_to_get_a_model_that_is_not_there() -> None:
    error = error_from("ollama", ModelServer(models=["another"]))
    assert type(error) is ModelUnknown
    assert "ollama pull test-model" in str(error)


@each_provider
def test_a_spent_quota_is_told_with_the_providers_delay(provider: str) -> None:
    server = ModelServer()
    server.fail(429, "You exceeded your current quota.", retry_after=41.5)
    error = error_from(provider, server)
    assert type(error) is ModelQuotaExceeded
    assert error.retry_after == timedelta(seconds=41.5)
    assert "You exceeded your current quota. Try again in 42 seconds" in str(error)


def script_day(server: ModelServer) -> None:
    server.fail(429, retry_after=0.1, quota_id="GenerateRequestsPerDayPerProjectPerModel-FreeTier")


def script_money(server: ModelServer) -> None:
    server.fail(429, code="insufficient_quota", retry_after=0.1)


@pytest.mark.parametrize(("provider", "script"), [("gemini", script_day), ("openai", script_money)])
def test_a_quota_that_no_waiting_brings_back_is_not_asked_again(
    provider: str, script: Callable[[ModelServer], None]
) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            script(server)
            server.reply("too late")
            with pytest.raises(ModelQuotaExceeded, match="the quota is spent") as caught:
                await ask(model)
            assert "choose another model" in str(caught.value)
            assert len(server.requests) == 1

    asyncio.run(scenario())


@each_provider
@pytest.mark.parametrize("status", [500, 503, 504])
def test_an_overloaded_provider_is_unavailable_in_its_own_words(provider: str, status: int) -> None:
    server = ModelServer()
    server.fail(status, "The model is overloaded")
    error = error_from(provider, server)
    assert type(error) is ModelUnavailable
    assert "The model is overloaded. Try again in a moment." in str(error)


@each_provider
def test_a_server_that_does_not_answer_is_unavailable(provider: str, free_port: int) -> None:
    async def scenario() -> None:
        url = f"http://127.0.0.1:{free_port}"
        credentials = ModelCredentials(
            gemini_api_key=KEY, gemini_base_url=url, openai_api_key=KEY, openai_base_url=url
        )
        name = parse(NAMES[provider])
        async with open_chat_model(name, credentials, embedded=no_embedded_model, policy=ONCE) as chat:
            with pytest.raises(ModelUnavailable, match="can't be reached") as caught:
                await ask(chat.model)
            assert "Check" in str(caught.value)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("provider", "message", "code"),
    [
        (
            "gemini",
            "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
            None,
        ),
        ("openai", "This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
    ],
)
def test_a_conversation_that_is_too_long_is_told_as_that(
    provider: str, message: str, code: str | None
) -> None:
    server = ModelServer()
    server.fail(400, message, code=code)
    error = error_from(provider, server)
    assert error.code == "model_error"
    assert "too long for the model" in str(error)
    assert message in str(error)


@each_provider
def test_a_request_that_the_provider_refuses_is_told_in_its_words_on_one_line(provider: str) -> None:
    server = ModelServer()
    server.fail(400, "tools[0] is not valid:\n  no name")
    error = error_from(provider, server)
    assert error.code == "model_error"
    assert "tools[0] is not valid: no name." in str(error)


PAGE = (
    "<html><head><title>502 Bad Gateway</title><style>b { x }</style></head><body><b>nginx</b></body></html>"
)


def test_a_proxys_page_is_told_as_its_text() -> None:
    assert sentence(PAGE, ()) == "502 Bad Gateway nginx."


@each_provider
def test_a_connection_that_breaks_during_the_answer_is_told_after_the_text_that_came(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.reply("Once upon a time", cut_after=2)
            server.reply("not wanted")
            read: list[str] = []

            async def listen() -> None:
                async for chunk in model.astream("Hello"):
                    read.append(chunk.text)  # noqa: PERF401 - what came before the error counts

            with pytest.raises(ModelUnavailable, match="broke"):
                await listen()
            assert "".join(read) == "Once upon "
            assert len(server.requests) == 1

    asyncio.run(scenario())


@each_provider
def test_an_error_that_comes_as_an_event_of_the_stream_counts_like_any_other(provider: str) -> None:
    server = ModelServer()
    server.fail(503, "The model is overloaded.", in_stream=True)
    assert type(error_from(provider, server)) is ModelUnavailable


@each_provider
def test_a_model_works_again_after_an_error(provider: str) -> None:
    async def scenario() -> None:
        async with ModelServer() as server, open_model(provider, server) as model:
            server.fail(400)
            server.reply("Hello")
            with pytest.raises(ModelError):
                await ask(model)
            assert await ask(model) == "Hello"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "setting"),
    [("gemini/gemini-3-test", "GEMINI_API_KEY"), ("openai/gpt-test", "OPENAI_API_KEY")],
)
def test_a_provider_without_a_key_is_a_wrong_configuration(name: str, setting: str) -> None:
    async def scenario() -> None:
        opening = open_chat_model(parse(name), ModelCredentials(), embedded=no_embedded_model)
        with pytest.raises(ConfigurationError, match=setting):
            await opening.__aenter__()

    asyncio.run(scenario())


def test_the_representation_of_credentials_and_models_shows_no_key() -> None:
    async def scenario() -> None:
        async with ModelServer() as server:
            for provider in ("gemini", "openai"):
                async with open_model(provider, server) as model:
                    assert KEY not in repr(model)
        assert KEY not in repr(ModelCredentials(gemini_api_key=KEY, openai_api_key=KEY, model_api_key=KEY))

    asyncio.run(scenario())
