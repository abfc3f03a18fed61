from collections.abc import Callable
from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError
from tests.server.serving import Served, says

Run = Callable[..., None]


def test_agents_are_listed_counted_and_found_by_either_id(run: Run) -> None:
    async def scenario(served: Served) -> None:
        assistants = served.sdk.assistants
        listed = await assistants.search()
        assert [one["graph_id"] for one in listed] == [
            "echo",
            "asks",
            "adds",
            "loops",
            "adds_twice",
            "nested",
            "broken",
        ]
        assert await assistants.count(graph_id="echo") == 1

        (echo,) = await assistants.search(graph_id="echo")
        assert await assistants.get("echo") == echo
        assert await assistants.get(echo["assistant_id"]) == echo
        assert await assistants.get_versions("echo") == [echo]

    run(scenario)


def test_a_search_of_agents_tells_where_it_goes_on(run: Run) -> None:
    async def scenario(served: Served) -> None:
        page: Any = await served.sdk.assistants.search(limit=2, offset=1, response_format="object")

        assert [one["graph_id"] for one in page["assistants"]] == ["asks", "adds"]
        assert page["next"] == "3"

    run(scenario)


def test_an_agent_has_schemas_a_graph_and_subgraphs(run: Run) -> None:
    async def scenario(served: Served) -> None:
        schemas = await served.sdk.assistants.get_schemas("echo")
        assert schemas["graph_id"] == "echo"
        assert "messages" in (schemas["input_schema"] or {})["properties"]

        graph = await served.sdk.assistants.get_graph("echo")
        assert {node["id"] for node in graph["nodes"]} == {"__start__", "say", "__end__"}

        assert "inner" in await served.sdk.assistants.get_subgraphs("nested")

    run(scenario)


def test_an_unknown_agent_is_refused_with_those_that_there_are(run: Run) -> None:
    async def scenario(served: Served) -> None:
        with pytest.raises(
            NotFoundError, match=r"no agent 'ecko'.*echo, asks, adds, loops, adds_twice, nested, broken"
        ):
            await served.sdk.runs.create(await served.thread(), "ecko", input=says("hi"))

    run(scenario)


def test_an_agent_that_does_not_load_says_why_and_the_others_are_served(run: Run) -> None:
    async def scenario(served: Served) -> None:
        with pytest.raises(ConflictError, match="this file is broken"):
            await served.sdk.assistants.get_schemas("broken")

        with pytest.raises(ConflictError, match="this file is broken"):
            await served.sdk.runs.create(await served.thread(), "broken", input=says("hi"))
        info = (await served.http.get("/info")).json()
        problems = {agent["agent_id"]: agent["problem"] for agent in info["agents"]}
        assert "this file is broken" in problems["broken"]
        assert problems["echo"] is None

    run(scenario)
