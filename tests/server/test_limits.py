"""What a run may spend: it stops before it would spend more, asks, and goes on when it may."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.server.serving import Served, says

from pilothouse.errors import ConfigurationError
from pilothouse.settings import LimitSettings, load

Run = Callable[..., None]


async def stopped_by(served: Served, agent: str, text: str = "hello") -> tuple[str, dict[str, Any]]:
    """The thread, and what the run asks that was stopped."""
    thread = await served.thread()
    result = await served.sdk.runs.wait(thread, agent, input=says(text))
    (asked,) = result["__interrupt__"]
    assert asked["id"] == "budget"
    assert asked["value"]["type"] == "budget_exceeded"
    state = await served.sdk.threads.get(thread)
    assert state["status"] == "interrupted"
    whole: Any = await served.sdk.threads.get_state(thread)
    assert [one["id"] for one in whole["interrupts"]] == ["budget"]
    (run,) = await served.sdk.runs.list(thread)
    assert run["status"] == "interrupted"
    return thread, asked["value"]


async def answers(served: Served, thread: str) -> list[str]:
    state: Any = await served.sdk.threads.get_state(thread)
    return [message["content"] for message in state["values"]["messages"] if message["type"] == "ai"]


def test_a_run_that_has_called_its_models_often_enough_asks_and_goes_on_where_it_was(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread, asked = await stopped_by(served, "loops")
        assert (asked["limit"], asked["allowed"]) == ("model_calls", 2)
        assert await answers(served, thread) == ["1", "2"]
        await served.sdk.runs.wait(thread, "loops", command={"resume": True})
        assert await answers(served, thread) == ["1", "2", "3", "4"]
        last = await served.sdk.runs.wait(thread, "loops", command={"resume": True})
        assert "__interrupt__" not in last
        assert await answers(served, thread) == ["1", "2", "3", "4", "5"]
        assert (await served.sdk.threads.get(thread))["status"] == "idle"

    run(scenario, {"limits": LimitSettings(model_calls=2)})


def test_the_answer_that_goes_over_the_tokens_is_kept(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread, asked = await stopped_by(served, "loops")
        assert asked["limit"] == "tokens"
        assert await answers(served, thread) == ["1", "2"]

    run(scenario, {"limits": LimitSettings(tokens=20)})


def test_a_tool_is_not_called_once_too_often(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread, asked = await stopped_by(served, "adds_twice")
        assert asked["limit"] == "tool_calls"
        state: Any = await served.sdk.threads.get_state(thread)
        results = [message for message in state["values"]["messages"] if message["type"] == "tool"]
        assert len(results) == 1

    run(scenario, {"limits": LimitSettings(tool_calls=1)})


def test_a_run_that_takes_too_long_stops_in_the_middle_of_a_model_call(run: Run) -> None:
    async def scenario(served: Served) -> None:
        async with served.gate() as gate:
            thread, asked = await stopped_by(served, "echo", f"before {gate.word} after")
            assert asked["limit"] == "run_seconds"
            gate.open()
            await served.sdk.runs.wait(thread, "echo", command={"resume": True})
            assert await answers(served, thread) == ["before after "]

    run(scenario, {"limits": LimitSettings(run_seconds=0.5)})


def test_a_stopped_thread_takes_a_new_question_instead(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread, _ = await stopped_by(served, "loops")
        await served.sdk.runs.wait(thread, "loops", input=says("another"))
        assert (await answers(served, thread))[:3] == ["1", "2", "4"]

    run(scenario, {"limits": LimitSettings(model_calls=2)})


def test_an_agents_own_limits_count_before_the_general_ones(tmp_path: Any) -> None:
    (tmp_path / "pilothouse.toml").write_text(
        "[limits]\nmodel_calls = 50\ntokens = 100\n[agents.assistant.limits]\nmodel_calls = 10\n"
    )
    settings = load(tmp_path, environ={})
    assert settings.run_limits("assistant").model_calls == 10
    assert settings.run_limits("assistant").tokens == 100
    assert settings.run_limits("other").model_calls == 50


def test_a_limit_that_is_none_is_refused_by_name(tmp_path: Any) -> None:
    (tmp_path / "pilothouse.toml").write_text("[limits]\nmodel_calls = 0\n")
    with pytest.raises(ConfigurationError, match="model_calls"):
        load(tmp_path, environ={})
