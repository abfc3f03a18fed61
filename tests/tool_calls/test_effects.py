"""Tools that change something, in runs that are cut off, resumed and retried."""

import asyncio
from typing import Any

import msgspec
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import RetryPolicy, interrupt
from tests.engines.graphs import json_of, one_node_graph, read, tool_graph
from tests.tool_calls.places import APPROVE, CallingModel, Place, on

from pilothouse.engines.assistant import build_assistant
from pilothouse.engines.langchain_tools import as_langchain
from pilothouse.errors import ConfigurationError, LeaseLost, RunFailed
from pilothouse.events import ToolFinished, ToolStarted
from pilothouse.stores import keys
from pilothouse.tools import current_call
from pilothouse.tools import tool as our_tool


class Harbour:
    """Tools that remember what they did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun = asyncio.Event()
        self.hangs = False

        @tool
        async def moor(ship: str) -> str:
            """Moor a ship."""
            self.done.append(ship)
            self.begun.set()
            if self.hangs:
                await asyncio.Event().wait()
            return f"moored {ship}"

        self.moor: Any = moor


def calls_of(*names: str) -> CallingModel:
    return CallingModel(wanted=[("moor", {"ship": name}) for name in names])


def test_what_a_call_gave_is_given_again_and_the_log_says_so(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        harbour, late = Harbour(), asyncio.Event()

        async def node(state: MessagesState) -> dict[str, Any]:
            said = [await harbour.moor.ainvoke({"ship": ship}) for ship in ("Aurora", "Aurora", "Marie")]
            if not late.is_set():
                late.set()
                await asyncio.Event().wait()
            return {"messages": [AIMessage(", ".join(said))]}

        engine = place.engine(one_node_graph(node))
        run_id = await place.crash(engine, late)
        assert await place.drive(engine, run_id=run_id) == []
        assert harbour.done == ["Aurora", "Aurora", "Marie"]
        assert await place.contents(engine) == ["hi", "moored Aurora, moored Aurora, moored Marie"]
        results = [read(event.result) for event in place.events if isinstance(event, ToolFinished)]
        assert results == ["moored Aurora", "moored Aurora", "moored Marie"]
        assert sum(isinstance(event, ToolStarted) for event in place.events) == 3

    on(redis_url, scenario)


def test_a_safe_tool_runs_again_and_leaves_no_trace(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        harbour = Harbour()
        harbour.moor.metadata = {"replay": "safe"}
        harbour.hangs = True
        engine = place.engine(tool_graph(calls_of("Aurora"), [harbour.moor]))
        run_id = await place.crash(engine, harbour.begun)
        harbour.hangs = False
        assert await place.drive(engine, run_id=run_id) == []
        assert harbour.done == ["Aurora", "Aurora"]
        assert await place.redis.hgetall(keys.calls(place.principal, place.thread_id)) == {}

    on(redis_url, scenario)


@pytest.mark.parametrize("kind", ["ours", "agent"])
def test_our_tools_and_agents_of_langchain_get_it_without_a_change(redis_url: str, kind: str) -> None:
    async def scenario(place: Place) -> None:
        harbour = Harbour()
        harbour.hangs = True

        @our_tool()
        async def moor(ship: str) -> str:
            """Moor a ship."""
            return await harbour.moor.coroutine(ship)

        model = calls_of("Aurora")
        ours = build_assistant("assistant", model, None, [as_langchain(moor)])
        engine = place.engine(ours if kind == "ours" else create_agent(model, [harbour.moor]))
        run_id = await place.crash(engine, harbour.begun)
        (asked,) = await place.drive(engine, run_id=run_id)
        assert asked["action_requests"][0]["args"] == {"ship": "Aurora"}
        harbour.hangs = False
        assert await place.resume(engine, APPROVE) == []
        assert (await place.contents(engine))[-1] == "done: moored Aurora"

    on(redis_url, scenario)


def test_of_parallel_calls_the_one_that_ended_is_not_made_again_when_the_other_is_answered(
    redis_url: str,
) -> None:
    async def scenario(place: Place) -> None:
        harbour = Harbour()

        @tool
        async def confirm(ship: str) -> str:
            """Ask."""
            return f"{ship}: {interrupt('sure?')}"

        model = CallingModel(wanted=[("confirm", {"ship": "Marie"}), ("moor", {"ship": "Aurora"})])
        engine = place.engine(tool_graph(model, [confirm, harbour.moor]))
        assert await place.drive(engine) == ["sure?"]
        assert await place.resume(engine, "yes") == []
        assert harbour.done == ["Aurora"]
        assert (await place.contents(engine))[-1] == "done: Marie: yes, moored Aurora"

    on(redis_url, scenario)


def test_a_call_that_ends_after_another_one_asked_is_waited_for(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        asking, done = asyncio.Event(), []

        @tool
        async def confirm() -> str:
            """Ask."""
            asking.set()
            return str(interrupt("sure?"))

        @tool
        async def slow() -> str:
            """Take longer."""
            await asking.wait()
            for _ in range(20):
                await place.redis.ping()
            done.append(1)
            return "slow"

        engine = place.engine(
            tool_graph(CallingModel(wanted=[("confirm", {}), ("slow", {})]), [confirm, slow])
        )
        assert await place.drive(engine) == ["sure?"]
        assert await place.resume(engine, "yes") == []
        assert done == [1]

    on(redis_url, scenario)


def test_tools_that_call_tools_are_calls_of_their_own(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        harbour, seen = Harbour(), []

        @tool
        async def moor_twice(first: str, second: str) -> str:
            """Moor two ships."""
            seen.append(current_call())
            said = [await harbour.moor.ainvoke({"ship": ship}) for ship in (first, second)]
            return f"{', '.join(said)}: {interrupt('well?')}"

        wanted = [("moor_twice", {"first": "Aurora", "second": other}) for other in ("Marie", "Nordlys")]
        engine = place.engine(build_assistant("a", CallingModel(wanted=wanted), None, [moor_twice]))
        assert await place.drive(engine) == ["well?", "well?"]
        asked = read(await engine.state(place.principal, place.thread_id))["interrupts"]
        assert await place.resume(engine, {each["id"]: "well" for each in asked}) == []
        assert sorted(harbour.done) == ["Aurora", "Aurora", "Marie", "Nordlys"]
        assert len(seen) == 4
        assert len({call.idempotency_key for call in seen}) == 2

    on(redis_url, scenario)


@pytest.mark.parametrize("known", [True, False])
def test_a_failure_is_raised_again_and_its_call_not_made_again(redis_url: str, known: bool) -> None:
    async def scenario(place: Place) -> None:
        tries, late = [], asyncio.Event()

        class Odd(Exception):
            pass

        @tool
        async def sink() -> str:
            """Fail."""
            tries.append(1)
            raise ValueError("no water") if known else Odd("no water")

        async def node(state: MessagesState) -> dict[str, Any]:
            try:
                await sink.ainvoke({})
            except Exception as error:  # noqa: BLE001 - whatever it is becomes a message
                failure = f"{type(error).__name__}: {error}"
            if not late.is_set():
                late.set()
                await asyncio.Event().wait()
            return {"messages": [AIMessage(failure)]}

        engine = place.engine(one_node_graph(node))
        run_id = await place.crash(engine, late)
        await place.drive(engine, run_id=run_id)
        assert len(tries) == 1
        expected = "ValueError: no water" if known else "ToolException: no water"
        assert (await place.contents(engine))[-1] == expected

    on(redis_url, scenario)


@pytest.mark.parametrize("by", ["policy", "run"])
def test_who_retries_a_failed_step_gets_a_new_try(redis_url: str, by: str) -> None:
    async def scenario(place: Place) -> None:
        used: list[str] = []

        @tool
        async def flaky() -> str:
            """Fail at first."""
            call = current_call()
            assert call is not None
            used.append(call.idempotency_key)
            if len(used) == 1:
                raise ConnectionError("lost")
            return "ok"

        async def node(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(await flaky.ainvoke({}))]}

        policy = RetryPolicy(initial_interval=0, jitter=False) if by == "policy" else None
        builder = StateGraph(MessagesState).add_node("node", node, retry_policy=policy)
        engine = place.engine(builder.add_edge(START, "node").add_edge("node", END))
        if by == "policy":
            await place.drive(engine)
        else:
            with pytest.raises(ConnectionError):
                await place.drive(engine)
            await place.drive(engine, input=None)
        assert (await place.contents(engine))[-1] == "ok"
        assert len(used) == 2
        assert len(set(used)) == 1

    on(redis_url, scenario)


def test_a_result_that_is_too_large_to_keep_is_asked_about(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        made, late = [], asyncio.Event()

        @tool
        async def flood() -> str:
            """Say much."""
            made.append(1)
            return "x" * (1 << 21)

        async def node(state: MessagesState) -> dict[str, Any]:
            said = await flood.ainvoke({})
            if not late.is_set():
                late.set()
                await asyncio.Event().wait()
            return {"messages": [AIMessage(said[:5])]}

        engine = place.engine(one_node_graph(node))
        run_id = await place.crash(engine, late)
        (asked,) = await place.drive(engine, run_id=run_id)
        assert "has happened, but its result is lost" in asked["action_requests"][0]["description"]
        answer = {"decisions": [{"type": "respond", "message": "drops"}]}
        assert await place.resume(engine, answer) == []
        assert made == [1]
        assert (await place.contents(engine))[-1] == "drops"

    on(redis_url, scenario)


def test_a_worker_that_lost_the_run_starts_no_tool(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        harbour = Harbour()
        wake = asyncio.Event()

        async def node(state: MessagesState) -> dict[str, Any]:
            harbour.begun.set()
            await wake.wait()
            return {"messages": [AIMessage(await harbour.moor.ainvoke({"ship": "Aurora"}))]}

        engine = place.engine(one_node_graph(node))
        run_id, attempt = await place.begin()
        async with asyncio.TaskGroup() as tasks:
            old = tasks.create_task(failure(place.iterate(engine, place.request(run_id, attempt))))
            await harbour.begun.wait()
            await place.begin(run_id)
            wake.set()
        assert isinstance(old.result(), LeaseLost)
        assert harbour.done == []

    on(redis_url, scenario)


async def failure(work: Any) -> Exception | None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - the test looks at whatever it is
        return error
    return None


def test_a_handover_waits_for_the_end_of_a_call_and_its_record(redis_url: str) -> None:
    async def scenario(place: Place) -> None:
        harbour, finish = Harbour(), asyncio.Event()

        async def node(state: MessagesState) -> dict[str, Any]:
            said = await slow.ainvoke({})
            if not harbour.done:
                harbour.done.append(said)
                await asyncio.Event().wait()
            return {"messages": [AIMessage(said)]}

        @tool
        async def slow() -> str:
            """Take long."""
            assert not harbour.begun.is_set()
            harbour.begun.set()
            await finish.wait()
            return "done"

        engine = place.engine(one_node_graph(node))
        run_id, attempt = await place.begin()
        async with asyncio.TaskGroup() as tasks:
            driving = tasks.create_task(place.iterate(engine, place.request(run_id, attempt)))
            with place.stop.bind(driving):
                await harbour.begun.wait()
                place.stop.set("handover")
                assert place.stop.reason is None
                finish.set()
                await asyncio.wait([driving])
        assert place.stop.reason == "handover"
        assert await place.drive(engine, run_id=run_id) == []
        assert (await place.contents(engine))[-1] == "done"

    on(redis_url, scenario)


class NoMore:
    """A meter that lets no tool start."""

    def tool_call(self) -> None:
        raise asyncio.CancelledError

    def model_call(self) -> None:
        pass

    def spent(self, input_tokens: int, output_tokens: int, cost: float) -> None:
        pass


@pytest.mark.parametrize("replay", ["safe", "once"])
def test_a_call_that_the_budget_forbids_was_not_begun(redis_url: str, replay: str) -> None:
    async def scenario(place: Place) -> None:
        harbour = Harbour()
        harbour.moor.metadata = {"replay": replay}
        engine = place.engine(tool_graph(calls_of("Aurora"), [harbour.moor]))
        run_id, attempt = await place.begin()
        forbidden = msgspec.structs.replace(place.request(run_id, attempt), meter=NoMore())
        await asyncio.wait([asyncio.ensure_future(failure(place.iterate(engine, forbidden)))])
        await place.end(run_id)
        assert harbour.done == []
        command = json_of({"resume": True})
        assert await place.drive(engine, command=command, after="budget_exceeded") == []
        assert harbour.done == ["Aurora"]

    on(redis_url, scenario)


@pytest.mark.parametrize("declared", [False, True])
def test_a_synchronous_call_in_async_code_is_not_recorded_and_refused_if_it_was_to_be(
    valkey_url: str, caplog: pytest.LogCaptureFixture, declared: bool
) -> None:
    async def scenario(place: Place) -> None:
        @tool
        def blow() -> str:
            """Blow the horn."""
            assert current_call() is None
            return "tooot"

        if declared:
            blow.metadata = {"replay": "once"}

        async def node(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(blow.invoke({}))]}

        engine = place.engine(one_node_graph(node))
        if declared:
            with pytest.raises(RunFailed, match=r"await blow.ainvoke"):
                await place.drive(engine)
        else:
            await place.drive(engine)
            assert (await place.contents(engine))[-1] == "tooot"
            assert "tool is called synchronously in async code: no record is kept" in caplog.text

    on(valkey_url, scenario)


def test_a_replay_that_does_not_exist_is_refused_by_name(valkey_url: str) -> None:
    async def scenario(place: Place) -> None:
        harbour = Harbour()
        harbour.moor.metadata = {"replay": "twice"}
        engine = place.engine(tool_graph(calls_of("Aurora"), [harbour.moor]))
        with pytest.raises(ConfigurationError, match="moor: replay is safe, once or ask, not 'twice'"):
            await place.drive(engine)

    on(valkey_url, scenario)


def test_a_tool_of_an_mcp_server_that_only_reads_is_safe(valkey_url: str) -> None:
    async def scenario(place: Place) -> None:
        harbour = Harbour()
        harbour.moor.metadata = {"readOnlyHint": True}
        await place.drive(place.engine(tool_graph(calls_of("Aurora"), [harbour.moor])))
        assert await place.redis.hgetall(keys.calls(place.principal, place.thread_id)) == {}

    on(valkey_url, scenario)


def test_outside_of_a_run_a_tool_is_as_it_was() -> None:
    harbour = Harbour()
    assert asyncio.run(harbour.moor.ainvoke({"ship": "Aurora"})) == "moored Aurora"
    assert current_call() is None
