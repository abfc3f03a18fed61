"""Processes that die while a tool is at work: what the tool does happens once."""

import multiprocessing
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.tool_calls.agents import AGENTS
from tests.tool_calls.dying import attempt, nothing
from tests.tool_calls.places import APPROVE, Place, on

from pilothouse.events import RunId
from pilothouse.stores import keys

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.tool_calls.dying"])
DEADLINE_SECONDS = 30
DIED, ENDED = -9, 0


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> Iterator[None]:
    """It has imported everything, so a process of its takes milliseconds."""
    yield
    from multiprocessing import forkserver

    forkserver._forkserver._stop()  # it would outlive the tests otherwise


def run_attempt(*arguments: Any) -> int | None:
    """Its exit code."""
    process = CONTEXT.Process(target=attempt, args=arguments)
    process.start()
    process.join(DEADLINE_SECONDS)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


class Victim:
    """A run whose attempts are made by processes that come and go."""

    def __init__(self, url: str, agent: str, folder: Path) -> None:
        self.url, self.agent = url, agent
        self.thread_id = str(uuid4())
        self.file = folder / self.thread_id
        self.run_id = f"{uuid4().hex}{keys.partition_of_thread(self.thread_id):x}"

    def attempt(self, kill_after: float | None) -> int | None:
        return run_attempt(self.url, self.thread_id, self.run_id, self.agent, self.file, kill_after)

    def started(self) -> list[list[str]]:
        """Call id and idempotency key of each time that the tool was started."""
        return [line.split() for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def place(self, redis: Any) -> tuple[Place, Any]:
        place = Place(redis, self.thread_id)
        return place, place.engine(AGENTS[self.agent](self.file, nothing))


@pytest.mark.parametrize("agent", AGENTS)
def test_a_process_that_dies_in_a_tool_leaves_a_question_and_not_a_second_call(
    redis_url: str, agent: str, tmp_path: Path
) -> None:
    victim = Victim(redis_url, agent, tmp_path)
    assert victim.attempt(0) == DIED
    assert victim.attempt(0) == ENDED
    assert len(victim.started()) == 1

    async def scenario(place: Place) -> None:
        place, engine = victim.place(place.redis)
        (asked,) = [each.value for each in await engine.interrupts(place.principal, place.thread_id)]
        assert b"may or may not have happened" in bytes(asked)
        assert await place.resume(engine, APPROVE) == []
        (first, second) = victim.started()
        assert first[1] == second[1]
        assert "done: " in (await place.contents(engine))[-1]

    on(redis_url, scenario)


@pytest.mark.parametrize("agent", ["tool_node", "assistant", "subgraph", "functional"])
def test_the_call_that_was_started_is_the_one_in_the_conversation(
    valkey_url: str, agent: str, tmp_path: Path
) -> None:
    """The model gives other ids when it is asked again: it must not be."""

    def one() -> Victim:
        victim = Victim(valkey_url, agent, tmp_path)
        assert victim.attempt(0) == DIED
        assert victim.attempt(0) == ENDED
        return victim

    victims = [one() for _ in range(6)]

    async def scenario(place: Place) -> None:
        for victim in victims:
            place, engine = victim.place(place.redis)
            assert await place.resume(engine, APPROVE) == []
            (first, second) = victim.started()
            assert first == second
            calls = [
                call for message in await place.messages(engine) for call in message.get("tool_calls", ())
            ]
            assert [call["id"] for call in calls] == [first[0]]

    on(valkey_url, scenario)


@pytest.mark.parametrize("agent", ["tool_node", "assistant", "one_node"])
def test_a_process_that_dies_at_any_time_after_the_call_began_does_not_make_it_twice(
    valkey_url: str, agent: str, tmp_path: Path
) -> None:
    def one() -> Victim:
        victim = Victim(valkey_url, agent, tmp_path)
        if victim.attempt(random.uniform(0, 0.02)) == DIED:
            assert victim.attempt(None) == ENDED
        return victim

    victims = [one() for _ in range(6)]

    async def scenario(place: Place) -> None:
        for victim in victims:
            place, engine = victim.place(place.redis)
            assert len(victim.started()) == 1
            asked = await engine.interrupts(place.principal, RunId(place.thread_id))
            if not asked:
                assert "done: paid 5" in await place.contents(engine)

    on(valkey_url, scenario)
