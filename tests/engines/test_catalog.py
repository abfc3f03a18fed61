"""The agents that are served are each loaded once, and one that can't be does not stop the others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.engines.graphs import ScriptedModel, chat_graph, engine_for, run

from pilothouse.engines.catalog import AgentDefinition, Catalog, ModelLabel
from pilothouse.errors import AgentUnavailable, ConfigurationError, NotFound, StoreUnavailable
from pilothouse.events import AgentId
from pilothouse.ports.engines import AgentInfo, Agents, Engine


class Loader:
    """Loads an engine, or fails, and counts."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def __call__(self) -> Engine:
        self.calls += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return engine_for(chat_graph(ScriptedModel(scripts=[["x"]])))


def definition(name: str, load: Callable[[], Awaitable[Engine]]) -> AgentDefinition:
    return AgentDefinition(AgentId(name), name.title(), load)


def test_agents_are_listed_in_order_with_what_is_told_of_their_model() -> None:
    label = ModelLabel("tiny", "a small model answers")
    built_in = AgentDefinition(AgentId("b"), "B", Loader(), "Helps", lambda: label)
    agents: Agents = Catalog([built_in, definition("a", Loader())])
    first, second = agents.list()
    assert first == AgentInfo(AgentId("b"), "B", "Helps", "tiny", "a small model answers")
    assert second == AgentInfo(AgentId("a"), "A")


def test_an_agent_is_loaded_once_for_all_who_ask_at_once() -> None:
    async def scenario() -> None:
        loader = Loader()
        catalog = Catalog([definition("a", loader)])
        engines = await asyncio.gather(*(catalog.engine(AgentId("a")) for _ in range(5)))
        assert len({id(engine) for engine in engines}) == 1
        assert loader.calls == 1

    run(scenario())


@pytest.mark.parametrize("failure", [AgentUnavailable("graph.py, line 3: boom"), KeyError("boom")])
def test_a_failure_is_remembered_and_told(failure: Exception) -> None:
    async def scenario() -> None:
        loader = Loader(failure)
        catalog = Catalog([definition("a", loader)])
        for _ in range(2):
            with pytest.raises(AgentUnavailable, match="boom"):
                await catalog.engine(AgentId("a"))
        assert loader.calls == 1
        (info,) = catalog.list()
        assert "boom" in str(info.problem)

    run(scenario())


def test_a_passing_failure_is_tried_again() -> None:
    async def scenario() -> None:
        catalog = Catalog([definition("a", Loader(StoreUnavailable()))])
        with pytest.raises(StoreUnavailable):
            await catalog.engine(AgentId("a"))
        assert await catalog.engine(AgentId("a"))
        assert catalog.list()[0].problem is None

    run(scenario())


def test_all_are_loaded_ahead_and_each_result_is_told() -> None:
    async def scenario() -> None:
        told: list[AgentInfo] = []
        catalog = Catalog([definition("bad", Loader(AgentUnavailable("why"))), definition("good", Loader())])
        await catalog.load_all(told.append)
        assert [(info.agent_id, info.problem) for info in told] == [("bad", "why"), ("good", None)]
        assert await catalog.engine(AgentId("good"))

    run(scenario())


def test_a_caller_that_gives_up_does_not_spoil_it_for_the_next() -> None:
    async def scenario() -> None:
        catalog = Catalog([definition("a", Loader())])
        impatient = asyncio.ensure_future(catalog.engine(AgentId("a")))
        await asyncio.sleep(0)
        impatient.cancel()
        assert await catalog.engine(AgentId("a"))

    run(scenario())


def test_an_unknown_agent_is_not_found() -> None:
    with pytest.raises(NotFound, match="no agent 'b': there is a"):
        run(Catalog([definition("a", Loader())]).engine(AgentId("b")))


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_no_agents_or_two_of_one_name_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        Catalog([definition(name, Loader()) for name in names])
