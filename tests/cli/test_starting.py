"""What a person reads when something is wrong at the start, and what survives a crash."""

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.processes import ServerProcess, serving, start

ECHO = """
async def echo(messages):
    yield "you said "
    yield messages[-1].content
"""


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A project with one agent, a function."""
    folder = tmp_path / "echo"
    folder.mkdir()
    (folder / "agent.py").write_text(ECHO)
    (folder / "pilothouse.toml").write_text('[agents.echo]\nfunction = "./agent.py:echo"\n')
    return folder


def call(server: ServerProcess, method: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        server.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read() or b"null")


def say(server: ServerProcess, thread: str, text: str) -> Any:
    body = {"assistant_id": "echo", "input": {"messages": [{"role": "user", "content": text}]}}
    return call(server, "POST", f"/threads/{thread}/runs/wait", body)


def test_a_port_in_use_is_said_at_once(echo: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = start("serve", echo, "--port", port, "--data", tmp_path / "data")
    assert ended.returncode == 2
    assert f"Port {port} is in use" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unknown_key_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pilothouse.toml").write_text("prot = 8080\n")
    ended = start("serve", tmp_path)
    assert ended.returncode == 2
    assert "prot is not a setting" in ended.stderr


def test_an_unknown_key_of_an_agent_is_named(tmp_path: Path) -> None:
    (tmp_path / "pilothouse.toml").write_text('[agents.one]\nmodle = "auto"\n')
    ended = start("serve", tmp_path)
    assert ended.returncode == 2
    assert "modle" in ended.stderr


def test_an_unknown_variable_is_named() -> None:
    ended = start("serve", env={"PILOTHOUSE_PROT": "8080"})
    assert ended.returncode == 2
    assert "PILOTHOUSE_PROT is not a setting" in ended.stderr
    assert "PILOTHOUSE_PORT" in ended.stderr


def test_a_host_that_others_reach_is_refused_without_authentication(echo: Path) -> None:
    for arguments, env in [(("--host", "0.0.0.0"), {}), ((), {"K_SERVICE": "agents", "PORT": "8080"})]:
        ended = start("serve", echo, *arguments, env=env)
        assert ended.returncode == 2
        assert "no authentication is configured" in ended.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = start("serve", tmp_path / "nowhere")
    assert ended.returncode == 2
    assert "nowhere" in ended.stderr


def test_a_redis_that_is_not_there_is_said(echo: Path, free_port: int) -> None:
    ended = start("serve", echo, "--port", free_port, env={"PILOTHOUSE_REDIS": "redis://127.0.0.1:1"})
    assert ended.returncode == 1
    assert "PILOTHOUSE_REDIS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_graph_that_does_not_import_leaves_the_others_served(echo: Path, free_port: int) -> None:
    (echo / "broken.py").write_text("import nothing_of_that_name\n")
    with (echo / "pilothouse.toml").open("a") as file:
        file.write('[agents.broken]\ngraph = "./broken.py:graph"\n')
    with serving(echo, port=free_port, data=echo / "data") as server:
        thread = call(server, "POST", "/threads", {})["thread_id"]
        assert say(server, thread, "hello")["messages"][-1]["content"] == "you said hello"
        deadline = time.monotonic() + 20
        while not (problem := _problem(server, "broken")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "broken.py, line 1" in problem
        assert "nothing_of_that_name" in problem
        assert "Traceback" in server.output()
        assert "agent broken can't be served" in server.output()


def _problem(server: ServerProcess, agent: str) -> str | None:
    agents = call(server, "GET", "/info")["agents"]
    return next(each["problem"] for each in agents if each["agent_id"] == agent)


def test_a_langgraph_projects_own_variables_are_set_for_its_code(tmp_path: Path, free_port: int) -> None:
    graph = """
import os
from langgraph.graph import MessagesState, StateGraph
answer = os.environ["ANSWER"]
builder = StateGraph(MessagesState)
builder.add_node("say", lambda state: {"messages": [{"role": "assistant", "content": answer}]})
builder.set_entry_point("say")
graph = builder.compile()
"""
    (tmp_path / "graph.py").write_text(graph)
    (tmp_path / ".env").write_text("ANSWER=forty-two\n")
    project = {"dependencies": ["."], "graphs": {"echo": "./graph.py:graph"}, "env": ".env"}
    (tmp_path / "langgraph.json").write_text(json.dumps(project))
    with serving(tmp_path, port=free_port, data=tmp_path / "data") as server:
        thread = call(server, "POST", "/threads", {})["thread_id"]
        assert say(server, thread, "hello")["messages"][-1]["content"] == "forty-two"


def test_the_port_is_taken_from_the_variable_port(echo: Path, free_port: int, tmp_path: Path) -> None:
    env = {"PORT": str(free_port)}
    with serving(echo, port=free_port, data=tmp_path / "data", env=env) as server:
        assert call(server, "GET", "/livez") == {"ok": True}


def test_sigterm_ends_it_cleanly_within_ten_seconds(echo: Path, free_port: int, tmp_path: Path) -> None:
    with serving(echo, port=free_port, data=tmp_path / "data") as server:
        assert call(server, "GET", "/readyz") == {"ready": True}
        started = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - started < 10
        assert "Traceback" not in server.output()


def test_a_killed_server_leaves_nothing_running_and_finds_every_thread_again(
    echo: Path, free_port: int, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(echo, port=free_port, data=data) as server:
        threads = [call(server, "POST", "/threads", {})["thread_id"] for _ in range(5)]
        for number, thread in enumerate(threads):
            say(server, thread, f"number {number}")
        server.kill()
    deadline = time.monotonic() + 10
    while _mentioning(str(data)):
        assert time.monotonic() < deadline, "an embedded server outlives its user"
        time.sleep(0.05)
    with serving(echo, port=free_port, data=data) as server:
        assert {each["thread_id"] for each in call(server, "POST", "/threads/search", {})} == set(threads)
        for number, thread in enumerate(threads):
            messages = call(server, "GET", f"/threads/{thread}/state")["values"]["messages"]
            assert [each["content"] for each in messages] == [f"number {number}", f"you said number {number}"]


def _mentioning(text: str) -> list[str]:
    """The commands of running processes that mention a text."""
    commands: list[str] = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command:
            commands.append(command)
    return commands


PATIENT = """
import asyncio
from pathlib import Path

async def echo(messages):
    yield "one "
    while not Path(__file__).with_name("go").exists():
        await asyncio.sleep(0.02)
    yield "two"
"""


def test_sigterm_hands_a_run_over_and_ends_its_stream_quietly(
    echo: Path, free_port: int, tmp_path: Path
) -> None:
    (echo / "agent.py").write_text(PATIENT)
    data = tmp_path / "data"
    with serving(echo, port=free_port, data=data) as server:
        thread = call(server, "POST", "/threads", {})["thread_id"]
        body = {"assistant_id": "echo", "input": {"messages": []}, "stream_mode": "messages-tuple"}
        request = urllib.request.Request(
            f"{server.url}/threads/{thread}/runs/stream",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        events = urllib.request.Request(
            f"{server.url}/threads/{thread}/stream/events",
            data=b'{"channels": ["messages"]}',
            headers={"content-type": "application/json"},
        )
        with (
            urllib.request.urlopen(request, timeout=30) as stream,
            urllib.request.urlopen(events, timeout=30) as thread_stream,
        ):
            while b"one " not in stream.readline():
                pass
            started = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - started < 8
            assert b"event: end" not in stream.read()
            assert b"one " in thread_stream.read()
        assert "Traceback" not in server.output()
    (echo / "go").touch()
    with serving(echo, port=free_port, data=data) as server:
        run = call(server, "GET", f"/threads/{thread}/runs")[0]["run_id"]
        values = call(server, "GET", f"/threads/{thread}/runs/{run}/join")
        assert [message["content"] for message in values["messages"]] == ["one two"]
