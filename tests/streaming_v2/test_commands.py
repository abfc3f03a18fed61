"""Commands over HTTP, and what is said to wrong ones."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.server.serving import Served, says
from tests.streaming_v2.clients import command, events_of, new_thread, of, start, text_of, until_end

Run = Callable[..., None]


async def asked(served: Served, thread: str, agent: str) -> dict[str, str]:
    """What a new run on the thread asks: interrupts by what they ask."""
    begun = await command(served.http, thread, "run.start", assistant_id=agent, input=says("hi"))
    since = begun["meta"]["applied_through_seq"]
    async with events_of(served.http, thread, ["input", "lifecycle"], since=since) as events:
        seen = await until_end(events)
    assert seen[-1]["params"]["data"]["event"] == "interrupted"
    requests = of(seen, "input.requested")
    assert all(request["payload"] == request["value"] for request in requests)
    return {str(request["value"]): request["interrupt_id"] for request in requests}


async def output(served: Served, thread: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The values at the end of the run that this answer started."""
    assert answer["type"] == "success", answer
    since = answer["meta"]["applied_through_seq"]
    async with events_of(served.http, thread, ["lifecycle"], since=since) as events:
        ended = (await until_end(events))[-1]
    assert ended["params"]["data"]["event"] == "completed"
    assert answer["result"]["run_id"] in ended["event_id"]
    values: dict[str, Any] = (await served.sdk.threads.get_state(thread))["values"]
    return values


def test_a_question_of_a_subgraph_names_its_namespace_and_is_answered(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "asks_below")
        async with events_of(served.http, thread) as events:
            seen = await until_end(events)
        (request,) = [event["params"] for event in seen if event["method"] == "input.requested"]
        assert [part.partition(":")[0] for part in request["namespace"]] == ["inner"]
        ends = [(data["graph_name"], data["event"]) for data in of(seen, "lifecycle")[-2:]]
        assert ends == [("inner", "interrupted"), ("asks_below", "interrupted")]
        assert not any("__interrupt__" in values for values in of(seen, "values"))

        answer = {"interrupt_id": request["data"]["interrupt_id"], "namespace": request["namespace"]}
        replied = await command(served.http, thread, "input.respond", **answer, response="yes")
        assert (await output(served, thread, replied))["messages"][-1]["content"] == "you said yes"

    run(scenario)


def test_several_questions_are_answered_in_one_run(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        ids = await asked(served, thread, "asks_two")
        responses = [
            {"interrupt_id": ids[question], "namespace": [], "response": question[0]}
            for question in ("right?", "left?")
        ]
        replied = await command(served.http, thread, "input.respond", responses=responses)
        assert await output(served, thread, replied) == {"answers": ["left l", "right r"]}

    run(scenario)


def test_a_question_that_was_not_answered_is_asked_again(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        ids = await asked(served, thread, "asks_two")
        first = {"interrupt_id": ids["left?"], "namespace": [], "response": "l"}
        replied = await command(served.http, thread, "input.respond", **first)
        since = replied["meta"]["applied_through_seq"]
        async with events_of(served.http, thread, since=since) as events:
            (request,) = of(await until_end(events), "input.requested")
        assert request["interrupt_id"] == ids["right?"]
        again = await command(served.http, thread, "input.respond", **first)
        assert (again["error"], ids["right?"] in again["message"]) == ("no_such_interrupt", True)

    run(scenario)


def test_an_answer_may_come_with_an_update_of_the_state(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        (interrupt_id,) = (await asked(served, thread, "asks")).values()
        note = {"messages": [{"role": "user", "content": "a note"}]}
        replied = await command(
            served.http,
            thread,
            "input.respond",
            interrupt_id=interrupt_id,
            namespace=[],
            response="yes",
            update=note,
        )
        messages = (await output(served, thread, replied))["messages"]
        assert {"a note", "you said yes"} <= {message["content"] for message in messages}

    run(scenario)


def test_the_input_of_a_new_run_answers_the_one_question_that_is_open(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await asked(served, thread, "asks")
        replied = await command(served.http, thread, "run.start", assistant_id="asks", input="sure")
        assert (await output(served, thread, replied))["messages"][-1]["content"] == "you said sure"

    run(scenario)


def test_the_input_of_a_new_run_answers_several_questions_by_their_ids_only(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        ids = await asked(served, thread, "asks_two")
        vague = await command(served.http, thread, "run.start", assistant_id="asks_two", input="yes")
        assert (vague["error"], "waits for 2 answers" in vague["message"]) == ("invalid_argument", True)
        answers = {ids["left?"]: "l", ids["right?"]: "r"}
        replied = await command(served.http, thread, "run.start", assistant_id="asks_two", input=answers)
        assert await output(served, thread, replied) == {"answers": ["left l", "right r"]}

    run(scenario)


def test_a_run_that_stopped_at_a_breakpoint_goes_on(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        await served.sdk.runs.wait(thread, "echo", input=says("hi"), interrupt_before=["say"])
        async with events_of(served.http, thread, ["input"]) as events:
            request = (await anext(events))["params"]["data"]
        answer = {"interrupt_id": request["interrupt_id"], "namespace": [], "response": None}
        replied = await command(served.http, thread, "input.respond", **answer)
        assert (await output(served, thread, replied))["messages"][-1]["content"] == "hi "

    run(scenario)


def test_a_run_may_begin_at_a_checkpoint(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        await start(served.http, thread, "echo", "one")
        async with events_of(served.http, thread, ["checkpoints", "lifecycle"]) as events:
            saved = of(await until_end(events), "checkpoints")
        await start(served.http, thread, "echo", "two")
        fork = {"configurable": {"checkpoint_id": saved[-1]["id"]}}
        replied = await command(
            served.http, thread, "run.start", assistant_id="echo", input=says("three"), config=fork
        )
        messages = (await output(served, thread, replied))["messages"]
        assert [message["content"] for message in messages] == ["one", "one ", "three", "three "]

    run(scenario)


def test_a_run_waits_for_the_one_before_it_or_is_rejected(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        async with served.gate() as gate:
            await start(served.http, thread, "echo", f"one {gate.word}")
            await gate.reached.wait()
            refused = await command(
                served.http,
                thread,
                "run.start",
                assistant_id="echo",
                input=says("no"),
                multitaskStrategy="reject",
            )
            assert (refused["error"], "busy" in refused["message"]) == ("invalid_argument", True)
            answer = await start(served.http, thread, "echo", "two")
            gate.open()
            async with events_of(served.http, thread, since=answer["meta"]["applied_through_seq"]) as events:
                assert text_of(await until_end(events)) == "two "

    run(scenario)


def test_the_tree_shows_the_agent_and_its_subgraphs(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = new_thread()
        async with served.gate() as gate:
            await start(served.http, thread, "nested", f"one {gate.word}")
            await gate.reached.wait()
            tree = (await command(served.http, thread, "agent.getTree"))["result"]["tree"]
            assert (tree["namespace"], tree["graph_name"], tree["status"]) == ([], "nested", "running")
            gate.open()
            async with events_of(served.http, thread) as events:
                await until_end(events)
        tree = (await command(served.http, thread, "agent.getTree"))["result"]["tree"]
        (child,) = tree["children"]
        assert (tree["status"], child["graph_name"], child["status"]) == ("completed", "inner", "completed")

    run(scenario)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{oops", "not valid JSON"),
        (b"[]", "expected `object`"),
        (b'{"method":"run.start"}', "missing required field `id`"),
        (b'{"id":"1","method":"run.start"}', "at `$.id`"),
        (b'{"id":1}', "missing required field `method`"),
        (b'{"id":1,"method":"\xff"}', "not UTF-8"),
    ],
)
def test_what_is_no_command_is_refused(run: Run, body: bytes, sentence: str) -> None:
    async def scenario(served: Served) -> None:
        reply = await served.http.post(f"/threads/{new_thread()}/commands", content=body)
        assert reply.status_code == 400
        told = reply.json()
        assert (told["type"], told["id"], told["error"]) == ("error", None, "invalid_argument")
        assert sentence in told["message"]

    run(scenario)


@pytest.mark.parametrize(
    ("method", "params", "error", "sentence"),
    [
        ("run.stop", {}, "unknown_command", "There is no command 'run.stop'"),
        ("state.get", {}, "not_supported", "GET /threads/{thread_id}/state"),
        ("input.inject", {}, "not_supported", "start another run"),
        ("subscription.subscribe", {"channels": ["values"]}, "not_supported", "WebSockets"),
        ("run.start", {}, "invalid_argument", "missing required field `assistant_id`"),
        ("run.start", {"assistant_id": "nobody"}, "invalid_argument", "Agents that are served: echo"),
        ("run.start", {"assistant_id": "echo", "config": 1}, "invalid_argument", "expected an object"),
        ("run.start", {"assistant_id": "echo", "metadata": []}, "invalid_argument", "expected an object"),
        ("run.start", {"assistant_id": "echo", "multitaskStrategy": "x"}, "invalid_argument", "'x'"),
        ("input.respond", {}, "invalid_argument", "needs an interrupt_id and a response"),
        ("input.respond", {"interrupt_id": "a", "response": 1}, "no_such_interrupt", "waits for nothing"),
        ("agent.getTree", {"run_id": "7"}, "invalid_argument", "Invalid run id '7'"),
        ("agent.getTree", {}, "no_such_run", "There is no thread"),
    ],
)
def test_a_wrong_command_is_answered_with_a_sentence(
    run: Run, method: str, params: dict[str, Any], error: str, sentence: str
) -> None:
    async def scenario(served: Served) -> None:
        answer = await command(served.http, new_thread(), method, **params)
        assert (answer["type"], answer["error"]) == ("error", error), answer
        assert sentence in answer["message"], answer

    run(scenario)
