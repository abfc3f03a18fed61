"""`pilothouse runs`, as a person and as a script use it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.cli.sessions import at_terminal, run
from tests.page.background import Model
from tests.processes import ServerProcess


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as http:
        yield http


def new_thread(http: httpx.Client) -> str:
    return str(http.post("/threads", json={}).json()["thread_id"])


def ask(http: httpx.Client, thread: str, text: str, agent: str = "assistant", how: str = "/wait") -> str:
    """Start a run, and wait for its end unless told otherwise; returns its id."""
    body = {"assistant_id": agent, "input": {"messages": [{"role": "user", "content": text}]}}
    reply = http.post(f"/threads/{thread}/runs{how}", json=body)
    return reply.headers["content-location"].rpartition("/")[2]


def runs(server: ServerProcess, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("runs", *arguments, "--url", server.url, folder=folder)


def facts(text: str) -> dict[str, str]:
    return {line[:13].strip(): line[13:].strip() for line in text.splitlines()}


def test_show_tells_how_a_run_went(
    server: ServerProcess, http: httpx.Client, model: Model, tmp_path: Path
) -> None:
    model.reply(tool="calculate", arguments={"expression": "6*7"})
    model.reply("Forty two.")
    thread = new_thread(http)
    run_id = ask(http, thread, "six times seven?")

    shown = runs(server, tmp_path, "show", run_id)

    assert shown.returncode == 0, shown.stderr
    said = facts(shown.stdout)
    assert (said["run"], said["thread"], said["agent"]) == (run_id, thread, "assistant")
    assert said["status"] == "success"
    assert said["model calls"] == "2"
    assert said["tool calls"] == "1 (calculate 1)"
    assert said["tokens"] == "not reported by the model"
    for moment in ("begun", "first token", "ended"):
        assert re.fullmatch(r"\d\d \w{3} \d\d:\d\d:\d\d  \(after [\d.]+ m?s\)", said[moment])
    assert "six times" not in shown.stdout

    report = json.loads(runs(server, tmp_path, "show", run_id, "--json").stdout)
    assert report["trace_id"] == run_id.replace("-", "")
    assert [each["attempt"] for each in report["attempts"]] == [1]
    times = [
        report["created_at"],
        report["attempts"][0]["begun_at"],
        report["first_token_at"],
        report["ended_at"],
    ]
    assert times == sorted(times)


def test_show_tells_why_a_run_failed_and_what_it_waits_for(
    server: ServerProcess, http: httpx.Client, model: Model, tmp_path: Path
) -> None:
    model.fail(401, "Incorrect key.")
    failed = ask(http, new_thread(http), "hello")
    asking = ask(http, new_thread(http), "hello", "asking")

    assert "error (model_key_invalid: " in facts(runs(server, tmp_path, "show", failed).stdout)["status"]
    waiting = facts(runs(server, tmp_path, "show", asking).stdout)
    assert (waiting["status"], waiting["tool calls"]) == ("waits for 1 answer", "0")


def test_list_has_the_newest_first_of_all_threads_or_of_one(
    server: ServerProcess, http: httpx.Client, model: Model, tmp_path: Path
) -> None:
    model.reply("One.")
    model.fail(401, "Incorrect key.")
    model.reply("Three.")
    thread, other = new_thread(http), new_thread(http)
    ids = [ask(http, thread, "one"), ask(http, other, "two"), ask(http, thread, "three")]

    def listed(*options: str) -> list[dict[str, Any]]:
        return json.loads(runs(server, tmp_path, "list", "--json", *options).stdout)

    assert [each["run_id"] for each in listed("--limit", "3")] == ids[::-1]
    assert [each["run_id"] for each in listed("--thread", thread)] == [ids[2], ids[0]]
    assert listed("--status", "error", "--limit", "1")[0]["run_id"] == ids[1]
    assert not [each for each in listed() if "input" in str(each)]
    headings, first, *_ = runs(server, tmp_path, "list").stdout.splitlines()
    assert headings.split() == ["RUN", "AGENT", "STATUS", "TRY", "MADE", "TOOK"]
    assert first.split()[:4] == [ids[2], "assistant", "success", "1"]
    assert re.search(r"\d (ms|s)$", first)


def test_follow_prints_what_a_run_said_and_goes_on_to_say(
    server: ServerProcess, http: httpx.Client, model: Model, tmp_path: Path
) -> None:
    go_on = model.reply_in_two("Hello from the harbour.")
    run_id = ask(http, new_thread(http), "hello", how="")

    with at_terminal("runs", "follow", run_id, "--url", server.url, folder=tmp_path) as session:
        session.expect("Hello")
        go_on()
        session.expect("from the harbour.")
        session.expect("ended: success.")
        assert session.wait() == 0

    again = runs(server, tmp_path, "follow", run_id, "--json")
    frames = [json.loads(line) for line in again.stdout.splitlines()]
    assert (frames[0]["event"], frames[-1]["event"]) == ("metadata", "end")
    assert "".join(frame["data"][0]["content"] for frame in frames if frame["event"] == "messages") == (
        "Hello from the harbour."
    )


def test_a_follower_that_leaves_is_told_that_the_run_goes_on_and_cancel_ends_it(
    server: ServerProcess, http: httpx.Client, model: Model, tmp_path: Path
) -> None:
    model.reply_in_two("Hello for ever.")
    run_id = ask(http, new_thread(http), "hello", how="")
    with at_terminal("runs", "follow", run_id, "--url", server.url, folder=tmp_path) as session:
        session.expect("Hello")
        session.press_ctrl("c")
        session.expect(f"pilothouse runs cancel {run_id}")
        assert session.wait() == 130

    cancelled = runs(server, tmp_path, "cancel", run_id)
    again = runs(server, tmp_path, "cancel", run_id)

    assert (cancelled.returncode, cancelled.stdout) == (0, f"Run {run_id} ended: cancelled.\n")
    assert again.stdout == f"Run {run_id} ended already, and there is nothing to cancel: cancelled.\n"
    assert runs(server, tmp_path, "follow", run_id).returncode == 1


@pytest.mark.parametrize("action", ["show", "follow", "cancel"])
@pytest.mark.parametrize("wrong", [str(uuid4()), "nonsense"])
def test_a_wrong_id_is_said_with_what_to_do(
    server: ServerProcess, tmp_path: Path, action: str, wrong: str
) -> None:
    refused = runs(server, tmp_path, action, wrong)

    assert refused.returncode == 1
    assert f"There is no run {wrong} at {server.url}: pilothouse runs list shows" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_a_server_it_is_said_how_to_get_one(tmp_path: Path, free_port: int) -> None:
    here = run("runs", "list", folder=tmp_path, env={"PORT": str(free_port)})
    there = run("runs", "list", "--url", f"http://127.0.0.1:{free_port}", folder=tmp_path)

    assert (here.returncode, there.returncode) == (1, 1)
    assert "start one with pilothouse serve, or name one with --url" in here.stderr
    assert "can't be reached" in there.stderr
