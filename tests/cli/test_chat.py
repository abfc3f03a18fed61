"""`pilothouse chat` against a server that runs."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.cli.sessions import Session, at_terminal, run
from tests.page.background import Cable, Loop, Model
from tests.processes import ServerProcess, environment


def test_one_question_is_answered_on_standard_output_and_nothing_else(
    server: ServerProcess, model: Model, tmp_path: Path
) -> None:
    model.reply(tool="calculate", arguments={"expression": "17% of 2340"})
    model.reply("It is **397.8**.")
    ended = run("chat", "--url", server.url, "-m", "what is 17% of 2340?", folder=tmp_path)
    assert ended.returncode == 0
    assert ended.stdout == "It is **397.8**.\n"
    assert "assistant  scripted at 127.0.0.1" in ended.stderr
    assert 'calculate(expression="17% of 2340")' in ended.stderr
    assert "17% of 2340 = 397.8" in ended.stderr


def test_a_question_can_come_from_standard_input(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    model.reply("Read.")
    ended = run("chat", "--url", server.url, "-m", "-", folder=tmp_path, text="one\ntwo\n")
    assert ended.stdout == "Read.\n"
    assert model.questions == [["one\ntwo"]]


def test_without_a_person_each_line_is_a_question(
    server: ServerProcess, model: Model, tmp_path: Path
) -> None:
    model.reply("First.")
    model.reply("Second.")
    ended = run("chat", "--url", server.url, folder=tmp_path, text="one\ntwo\n")
    assert ended.returncode == 0
    assert ended.stdout == "First.\nSecond.\n"
    assert model.questions[-1] == ["one", "two"]


def test_a_run_that_fails_is_said_in_plain_words(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    model.fail(401, "no such key")
    ended = run("chat", "--url", server.url, "-m", "hello", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "refused access: no such key" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_answer_without_words_is_said(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    model.reply("")
    ended = run("chat", "--url", server.url, "-m", "hello", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "The agent ended without a word." in ended.stderr


def test_scripts_get_one_object_a_line(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    model.reply("Two words.")
    ended = run("chat", "--url", server.url, "-m", "hello", "--json", folder=tmp_path)
    frames = [json.loads(line) for line in ended.stdout.splitlines()]
    assert all(frame.keys() == {"event", "data", "id"} for frame in frames)
    assert frames[0]["event"] == "metadata"
    assert frames[-1]["event"] == "end"
    text = "".join(frame["data"][0]["content"] for frame in frames if frame["event"] == "messages")
    assert text == "Two words."
    assert ended.stderr == ""


def test_a_script_learns_of_a_failure(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    model.fail(401)
    ended = run("chat", "--url", server.url, "-m", "hello", "--json", folder=tmp_path)
    events = [json.loads(line)["event"] for line in ended.stdout.splitlines()]
    assert events[-2:] == ["error", "end"]
    assert ended.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("nobody", "-m", "hi"),
            "There is no agent 'nobody'. Agents that are served: assistant, frugal, asking, selling, broken.",
        ),
        (("broken", "-m", "hi"), "Agent broken can't be served: "),
        (("--thread", "00000000-0000-0000-0000-000000000000", "-m", "hi"), "There is no thread 00000000-"),
        (("--thread", "mine", "-m", "hi"), "Invalid thread id 'mine'"),
        (("-m", "  "), "The message is empty"),
    ],
)
def test_what_can_not_be_is_said(
    server: ServerProcess, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = run("chat", *arguments, "--url", server.url, folder=tmp_path)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1", "The server at http://127.0.0.1:1 can't be reached (Connection refused)."),
        ("ftp://somewhere", "is not the URL of a server"),
    ],
)
def test_a_server_that_is_not_there_is_said(tmp_path: Path, url: str, message: str) -> None:
    ended = run("chat", "--url", url, "-m", "hi", folder=tmp_path)
    assert ended.returncode != 0
    assert message in ended.stderr


def test_what_answers_and_is_no_pilothouse_is_said(model: Model, model_port: int, tmp_path: Path) -> None:
    ended = run("chat", "--url", f"http://127.0.0.1:{model_port}", "-m", "hi", folder=tmp_path)
    assert ended.returncode == 1
    assert f"http://127.0.0.1:{model_port} answered 404" in ended.stderr


def opened(session: Session) -> Session:
    session.expect("/help")
    session.expect("> ")
    return session


def test_the_answer_appears_while_it_is_written(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    go_on = model.reply_in_two("First the rest")
    with at_terminal("chat", "--url", server.url, folder=tmp_path) as session:
        opened(session).enter("hello")
        session.expect("First ")
        go_on()
        session.expect("the rest\n")
        session.expect("> ")
        session.press_ctrl("D")
        session.expect(f"pilothouse chat --url {server.url} --thread ")
        assert session.wait() == 0


def test_ctrl_c_stops_the_answer_and_the_thread_goes_on(
    server: ServerProcess, model: Model, tmp_path: Path
) -> None:
    model.reply_in_two("Endless words")
    with at_terminal("chat", "--url", server.url, folder=tmp_path) as session:
        opened(session).enter("talk")
        session.expect("Endless ")
        session.press_ctrl("C")
        session.expect("Stopped.")
        session.expect("> ")
        model.reply("Still here.")
        session.enter("are you there?")
        session.expect("Still here.")
        session.expect("> ")
        session.type("never mind")
        session.expect(
            "never mind"
        )  # so it listens: readline misses a signal that comes right with its prompt
        session.press_ctrl("C")
        assert session.wait() == 0
    assert model.questions[-1] == ["talk", "are you there?"]


def test_ctrl_c_ends_a_single_question_with_its_run(
    server: ServerProcess, model: Model, tmp_path: Path
) -> None:
    model.reply_in_two("Endless words")
    with at_terminal("chat", "--url", server.url, "-m", "talk", folder=tmp_path) as session:
        session.expect("Endless ")
        session.press_ctrl("C")
        session.expect("Stopped.")
        assert session.wait() == 130


def test_an_error_leaves_the_thread_usable(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    model.fail(401, "no such key")
    model.reply("Now it works.")
    with at_terminal("chat", "--url", server.url, folder=tmp_path) as session:
        opened(session).enter("hello")
        session.expect("no such key")
        session.expect("> ")
        session.enter("again")
        session.expect("Now it works.")


def test_an_agent_that_asks_is_answered(server: ServerProcess, tmp_path: Path) -> None:
    with at_terminal("chat", "asking", "--url", server.url, folder=tmp_path) as session:
        opened(session).enter("tell me of the year")
        session.expect("Which **year** do you mean?")
        session.expect("answer > ")
        session.enter("1969")
        session.expect("You mean 1969.")


def test_a_question_that_was_left_open_is_answered_later(server: ServerProcess, tmp_path: Path) -> None:
    asked = run("chat", "asking", "--url", server.url, "-m", "tell me", folder=tmp_path)
    assert asked.returncode == 1
    assert "Which **year** do you mean?" in asked.stderr
    thread = asked.stderr.partition("--thread ")[2].split()[0]
    answered = run("chat", "--url", server.url, "--thread", thread, "-m", "1969", folder=tmp_path)
    assert answered.returncode == 0
    assert answered.stdout == "You mean 1969.\n"


def test_threads_are_listed_left_and_taken_up_again(
    server: ServerProcess, model: Model, tmp_path: Path
) -> None:
    for answer in ("Noted.", "Who knows.", "Blue, you said."):
        model.reply(answer)
    with at_terminal("chat", "--url", server.url, folder=tmp_path) as session:
        opened(session).enter("my colour is blue")
        session.expect("Noted.")
        session.enter("/new")
        session.expect("A new thread.")
        session.enter("what is my colour?")
        session.expect("Who knows.")
        session.enter("/threads")
        session.expect("what is my colour?")
        session.expect("my colour is blue")
        session.enter("/threads 2")
        session.expect("> my colour is blue")
        session.expect("Noted.")
        session.enter("which one?")
        session.expect("Blue, you said.")
        session.enter("/quit")
        assert session.wait() == 0
    assert model.questions[-1] == ["my colour is blue", "which one?"]


def test_an_answer_can_not_steer_the_terminal(server: ServerProcess, model: Model, tmp_path: Path) -> None:
    model.reply("\x1b]0;owned\x07\x1b[2Jclean")
    with at_terminal("chat", "--url", server.url, "-m", "hello", folder=tmp_path) as session:
        assert session.wait() == 0
        assert "\x1b]0" not in session.raw
        assert "\x1b[2J" not in session.raw
        assert "]0;owned[2Jclean" in session.screen


def test_a_connection_that_breaks_leaves_no_gap(
    server: ServerProcess, model: Model, loop: Loop, tmp_path: Path
) -> None:
    go_on = model.reply_in_two("one two three four")
    with (
        Cable(loop, urlsplit(server.url).port or 0) as cable,
        at_terminal(
            "chat", "--url", f"http://127.0.0.1:{cable.port}", "-m", "count", folder=tmp_path
        ) as session,
    ):
        session.expect("one ")
        cable.cut()
        session.expect("The connection is lost")
        go_on()
        cable.mend()
        session.expect("The server is back.")
        session.expect("two three four\n")
        assert session.wait() == 0
        assert session.screen.count("one ") == 1


def test_what_takes_long_to_import_is_not_imported(server: ServerProcess, tmp_path: Path) -> None:
    """The first words are there at once."""
    script = (
        "import sys; from pilothouse.cli import main; main(sys.argv[1:]);"
        "print(*{'langgraph', 'langchain_core', 'starlette', 'uvicorn', 'httpx', 'redis'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, "chat", "nobody", "--url", server.url, "-m", "hi"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=30, check=True
    )
    assert "There is no agent" in ended.stderr
    assert ended.stdout.strip() == ""
