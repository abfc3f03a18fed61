"""Tools that a human approves, and calls of which nobody knows whether they happened."""

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import ToolException, tool
from langgraph.graph import MessagesState
from langgraph.types import interrupt
from tests.engines.graphs import json_of, one_node_graph, read, tool_graph
from tests.tool_calls.places import CallingModel, Place, on

from pilothouse.engines.assistant import build_assistant
from pilothouse.errors import InvalidRequest

SELL = [("sell", {"ship": "Aurora"})]
UNCLEAR = "Resume with true, false, or"


def selling(sold: list[str], **metadata: object) -> Any:
    @tool
    async def sell(ship: str) -> str:
        """Sell a ship."""
        sold.append(ship)
        return f"sold {ship}"

    sell.metadata = {"replay": "ask", **metadata}
    return sell


def decision(kind: str, **fields: object) -> dict[str, Any]:
    return {"decisions": [{"type": kind, **fields}]}


def edited(name: str = "sell", **arguments: object) -> dict[str, Any]:
    return decision("edit", edited_action={"name": name, "args": arguments})


@pytest.mark.parametrize(
    ("answer", "sold", "result"),
    [
        (decision("approve"), ["Aurora"], "sold Aurora"),
        (True, ["Aurora"], "sold Aurora"),
        (edited(ship="Marie"), ["Marie"], "Note: a human replaced the arguments"),
        (False, [], "User rejected the tool call for `sell`. The tool was not executed."),
        (decision("reject", message="too dear"), [], "with reason: too dear"),
        (decision("respond", message="Sold it myself."), [], "Sold it myself."),
    ],
)
def test_a_tool_that_asks_does_what_the_answer_says(
    redis_url: str, answer: object, sold: list[str], result: str
) -> None:
    async def scenario(place: Place) -> None:
        done: list[str] = []
        engine = place.engine(tool_graph(CallingModel(wanted=SELL), [selling(done)]))
        (asked,) = await place.drive(engine)
        assert asked == {
            "action_requests": [
                {"name": "sell", "args": {"ship": "Aurora"}, "description": "The agent wants to call sell."}
            ],
            "review_configs": [
                {"action_name": "sell", "allowed_decisions": ["approve", "edit", "reject", "respond"]}
            ],
        }
        assert done == []
        assert await place.resume(engine, answer) == []
        assert done == sold
        message = (await place.messages(engine))[2]
        assert result in message["content"]
        assert message["status"] == ("error" if "rejected" in message["content"] else "success")

    on(redis_url, scenario)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("yes please", UNCLEAR),
        ({"decisions": []}, "give one decision, not 0"),
        ({"decisions": [{"type": "approve"}, {"type": "approve"}]}, "give one decision, not 2"),
        (decision("perhaps"), UNCLEAR),
        (decision("respond"), "needs a `message`"),
        (decision("edit"), "needs `edited_action`"),
        (edited("scuttle", ship="Aurora"), "not call another tool"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_can_be_given_again(
    valkey_url: str, answer: object, message: str
) -> None:
    async def scenario(place: Place) -> None:
        sold: list[str] = []
        engine = place.engine(tool_graph(CallingModel(wanted=SELL), [selling(sold)]))
        await place.drive(engine)
        with pytest.raises(InvalidRequest, match=message):
            await place.resume(engine, answer)
        assert sold == []
        assert len(read(await engine.state(place.principal, place.thread_id))["interrupts"]) == 1
        assert await place.resume(engine, True) == []
        assert sold == ["Aurora"]

    on(valkey_url, scenario)


def test_a_question_is_asked_again_where_a_run_goes_on_without_an_answer(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        sold: list[str] = []
        engine = place.engine(tool_graph(CallingModel(wanted=SELL), [selling(sold)]))
        (asked,) = await place.drive(engine)
        assert await place.drive(engine, input=None) == [asked]
        assert await place.resume(engine, True) == []
        assert sold == ["Aurora"]

    on(redis_url, scenario)


@pytest.mark.parametrize("together", [True, False])
def test_several_calls_that_ask_are_answered_one_by_one_or_each_by_its_id(
    redis_url: str, together: bool
) -> None:
    """The assistant makes each call in a task of its own, a plain tool node all of them in one."""

    async def scenario(place: Place) -> None:
        sold: list[str] = []
        wanted: Any = [("sell", {"ship": ship}) for ship in ("Aurora", "Marie", "Nordlys")]
        model, tools = CallingModel(wanted=wanted), [selling(sold)]
        if together:
            engine = place.engine(build_assistant("a", model, None, tools))
            await place.drive(engine)
            asked = read(await engine.state(place.principal, place.thread_id))["interrupts"]
            ships = {each["id"]: each["value"]["action_requests"][0]["args"]["ship"] for each in asked}
            assert await place.resume(engine, {key: ship != "Marie" for key, ship in ships.items()}) == []
        else:
            engine = place.engine(tool_graph(model, tools))
            asked = await place.drive(engine)
            while asked:
                ship = asked[0]["action_requests"][0]["args"]["ship"]
                asked = await place.resume(engine, ship != "Marie")
        assert sorted(sold) == ["Aurora", "Nordlys"]
        results = [message["content"] for message in await place.messages(engine)][2:5]
        assert results[0] == "sold Aurora"
        assert "rejected" in results[1]
        assert results[2] == "sold Nordlys"

    on(redis_url, scenario)


@pytest.mark.parametrize("answer", [True, edited(ship="Marie")])
def test_what_the_tool_itself_asks_gets_its_own_answer(redis_url: str, answer: object) -> None:
    async def scenario(place: Place) -> None:
        said: list[str] = []

        @tool
        async def sell(ship: str) -> str:
            """Sell a ship."""
            said.append(f"{ship} for {interrupt('how much?')} to {interrupt('whom?')}")
            return said[-1]

        sell.metadata = {"replay": "ask"}
        engine = place.engine(tool_graph(CallingModel(wanted=SELL), [sell]))
        assert "action_requests" in (await place.drive(engine))[0]
        assert await place.resume(engine, answer) == ["how much?"]
        assert await place.resume(engine, "5") == ["whom?"]
        assert await place.resume(engine, "Ann") == []
        assert said == ["Aurora for 5 to Ann" if answer is True else "Marie for 5 to Ann"]

    on(redis_url, scenario)


def test_what_a_node_asked_before_does_not_count_as_an_answer(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        sold: list[str] = []
        sell = selling(sold)

        async def node(state: MessagesState) -> dict[str, Any]:
            first = interrupt("first?")
            said = await sell.ainvoke({"ship": "Aurora"})
            return {"messages": [AIMessage(f"{first} {said} {interrupt('last?')}")]}

        engine = place.engine(one_node_graph(node))
        assert await place.drive(engine) == ["first?"]
        assert "action_requests" in (await place.resume(engine, True))[0]
        assert sold == []
        assert await place.resume(engine, True) == ["last?"]
        assert await place.resume(engine, "end") == []
        assert sold == ["Aurora"]
        assert (await place.contents(engine))[-1] == "True sold Aurora end"

    on(redis_url, scenario)


def test_an_answer_outlives_a_crash_of_the_run_that_brought_it(redis_url: str) -> None:
    """And the next question of the same step does not take it for its own."""

    async def scenario(place: Place) -> None:
        begun, hangs, tries = asyncio.Event(), True, []

        @tool
        async def sell(ship: str) -> str:
            """Sell a ship."""
            answer = interrupt("how much?")
            tries.append(answer)
            begun.set()
            if hangs:
                await asyncio.Event().wait()
            return f"sold for {answer}"

        sell.metadata = {"replay": "ask"}
        engine = place.engine(tool_graph(CallingModel(wanted=SELL), [sell]))
        await place.drive(engine)
        assert await place.resume(engine, True) == ["how much?"]
        answering = json_of({"resume": True})
        run_id = await place.crash(engine, begun, command=answering)
        (asked,) = await place.resume(engine, True, run_id=run_id)
        assert "may or may not have happened" in asked["action_requests"][0]["description"]
        assert len(tries) == 1
        hangs = False
        assert await place.resume(engine, True) == []
        assert tries == [True, True]
        assert (await place.contents(engine))[-1] == "done: sold for True"

    on(redis_url, scenario)


def test_code_that_calls_a_tool_gets_an_exception_for_a_no(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        sold: list[str] = []
        sell = selling(sold)

        async def node(state: MessagesState) -> dict[str, Any]:
            try:
                return {"messages": [AIMessage(await sell.ainvoke({"ship": "Aurora"}))]}
            except ToolException as no:
                return {"messages": [AIMessage(f"no: {no}")]}

        engine = place.engine(one_node_graph(node))
        await place.drive(engine)
        assert await place.resume(engine, decision("reject", message="mine")) == []
        assert (await place.contents(engine))[-1].endswith("with reason: mine")
        assert sold == []

    on(redis_url, scenario)


def test_a_synchronous_tool_in_a_worker_thread_asks_too(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        @tool
        def sell(ship: str) -> str:
            """Sell a ship."""
            return f"sold {ship}"

        sell.metadata = {"replay": "ask"}

        def node(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(sell.invoke({"ship": "Aurora"}))]}

        engine = place.engine(one_node_graph(node))
        assert len(await place.drive(engine)) == 1
        assert await place.resume(engine, True) == []
        assert (await place.contents(engine))[-1] == "sold Aurora"

    on(redis_url, scenario)
