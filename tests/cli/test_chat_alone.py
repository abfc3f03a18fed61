"""`pilothouse chat` where no server is named: it finds one, or is one."""

import time
from pathlib import Path

from tests.cli.sessions import at_terminal, run
from tests.page.background import Model
from tests.processes import ServerProcess, serving


def test_it_starts_all_it_needs_and_nothing_outlives_it(
    model: Model, model_name: str, free_port: int, tmp_path: Path
) -> None:
    model.reply(tool="calculate", arguments={"expression": "2+2"})
    model.reply("Four.")
    data = tmp_path / "data"
    env = {"PILOTHOUSE_MODEL": model_name, "PORT": str(free_port)}
    ended = run("chat", "--data", data, "-m", "2+2?", folder=tmp_path, env=env)
    assert (ended.returncode, ended.stdout) == (0, "Four.\n"), ended.stderr
    assert "info" not in ended.stderr
    assert "agent assistant is ready" in (data / "chat.log").read_text()
    deadline = time.monotonic() + 10
    while _mention(str(data)):
        assert time.monotonic() < deadline, "an embedded server outlives its user"
        time.sleep(0.05)


def test_its_threads_are_there_the_next_time(
    model: Model, model_name: str, free_port: int, tmp_path: Path
) -> None:
    env = {"PILOTHOUSE_MODEL": model_name, "PORT": str(free_port)}
    model.reply("Noted.")
    first = run("chat", "--data", tmp_path / "data", folder=tmp_path, env=env, text="my colour is blue\n")
    thread = first.stderr.rpartition("--thread ")[2].split()[0]
    model.reply("Blue.")
    second = run(
        "chat", "--data", tmp_path / "data", "--thread", thread, "-m", "which?", folder=tmp_path, env=env
    )
    assert second.stdout == "Blue.\n"
    assert model.questions[-1] == ["my colour is blue", "which?"]


def test_ctrl_c_stops_the_answer_and_not_the_server(
    model: Model, model_name: str, free_port: int, tmp_path: Path
) -> None:
    model.reply_in_two("Endless words")
    env = {"PILOTHOUSE_MODEL": model_name, "PORT": str(free_port)}
    with at_terminal("chat", "--data", tmp_path / "data", folder=tmp_path, env=env) as session:
        session.expect("/help")
        session.expect("> ")
        session.enter("talk")
        session.expect("Endless ")
        session.press_ctrl("C")
        session.expect("Stopped.")
        model.reply("Still here.")
        session.enter("are you there?")
        session.expect("Still here.")
        session.enter("/quit")
        assert session.wait() == 0


def test_the_server_of_this_folder_is_found(server: ServerProcess, project: Path, model: Model) -> None:
    model.reply("Found.")
    ended = run("chat", "-m", "hello", folder=project, env={"PORT": _port_of(server)})
    assert ended.stdout == "Found.\n"
    assert f"at {server.url}" in ended.stderr


def test_a_server_of_other_agents_is_not_taken_for_this_folders(
    server: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "pilothouse.toml").write_text("[agents.mine]\n")
    ended = run("chat", "-m", "hello", folder=tmp_path, env={"PORT": _port_of(server)})
    assert ended.returncode == 2
    assert (
        "serves other agents (asking, assistant, broken, frugal, selling) than this folder's (mine)"
        in ended.stderr
    )
    assert f"--url {server.url}" in ended.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "pilothouse.toml").write_text("prot = 8080\n")
    ended = run("chat", "-m", "hello", folder=tmp_path)
    assert ended.returncode == 2
    assert "prot is not a setting" in ended.stderr


def test_an_error_of_the_agent_says_where_the_log_is(free_port: int, tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("async def bad(messages):\n    yield 'a'\n    raise KeyError('no')\n")
    (tmp_path / "pilothouse.toml").write_text('[agents.bad]\nfunction = "./agent.py:bad"\n')
    data = tmp_path / "data"
    ended = run("chat", "--data", data, "-m", "x", folder=tmp_path, env={"PORT": str(free_port)})
    assert ended.returncode == 1
    assert f"The log is {data / 'chat.log'}" in ended.stderr
    assert "KeyError" in (data / "chat.log").read_text()


def test_a_server_that_is_killed_in_the_middle_of_an_answer_is_waited_for(
    project: Path, model: Model, free_port: int, tmp_path: Path
) -> None:
    model.reply_in_two("one two")
    data = tmp_path / "data"
    with (
        serving(project, port=free_port, data=data) as first,
        at_terminal("chat", "--url", first.url, "-m", "count", folder=project) as session,
    ):
        session.expect("one ")
        first.kill()
        session.expect("The connection is lost")
        model.reply("one two")
        with serving(project, port=free_port, data=data):
            session.expect("another try begins")
            session.expect("one two\n")
            assert session.wait() == 0


def _port_of(server: ServerProcess) -> str:
    return server.url.rpartition(":")[2]


def _mention(text: str) -> bool:
    """Does the command of a running process mention it?"""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in file.read_bytes():
                return True
        except OSError:
            continue
    return False
