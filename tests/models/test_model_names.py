import pytest

from pilothouse.errors import ConfigurationError
from pilothouse.models.names import AnyOllama, Auto, Embedded, Gemini, Ollama, OpenAI, parse, server_url


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gemini/gemini-3.5-flash", Gemini("gemini-3.5-flash")),
        ("openai/gpt-5.4-mini", OpenAI("gpt-5.4-mini")),
        (
            "openai/Qwen/Qwen3-8B@http://localhost:8000/v1",
            OpenAI("Qwen/Qwen3-8B", "http://localhost:8000/v1"),
        ),
        ("openai/google/gemma-3@https://llm-1.run.app", OpenAI("google/gemma-3", "https://llm-1.run.app/v1")),
        ("openai/m@http://[::1]:8000", OpenAI("m", "http://[::1]:8000/v1")),
        ("ollama/hf.co/some/model:Q4_K_M", Ollama("hf.co/some/model:Q4_K_M")),
        ("ollama", AnyOllama()),
        ("embedded", Embedded()),
        (" auto\n", Auto()),
    ],
)
def test_a_string_names_a_model(text: str, name: object) -> None:
    assert parse(text) == name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it names no provider"),
        ("gpt-5", "it names no provider"),
        ("claude/opus", "“claude” is no provider"),
        ("embedded/qwen", "“embedded” is no provider"),
        ("gemini", "a name is missing after “gemini/”"),
        ("gemini/", "a name is missing after “gemini/”"),
        ("gemini/../admin", "a Gemini model's name is like gemini-3.5-flash"),
        ("openai/@http://localhost", "a name is missing before “@”"),
        ("openai/m@localhost:8000", "begins with http:// or https://"),
        ("openai/m@ftp://localhost", "must begin with http:// or https:// and name a host"),
        ("openai/m@http://localhost:99999", "the URL is not valid"),
        ("ollama/two words", "a name has no spaces"),
    ],
)
def test_a_wrong_name_is_refused_with_the_reason_and_the_forms(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert reason in str(caught.value)
    assert "openai/NAME@URL" in str(caught.value)
    assert "auto" in str(caught.value)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("openai/m@https://user:hunter2@example.org/v1")
    assert "a key is a setting of its own" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_server_without_a_path_gets_the_version_that_all_of_them_use() -> None:
    assert server_url("http://localhost:8000/") == "http://localhost:8000/v1"
    assert server_url("https://gateway.example.org/llm/") == "https://gateway.example.org/llm"
