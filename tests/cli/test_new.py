"""`pilothouse new`: what it makes runs as it is."""

from pathlib import Path

import pytest
from tests.cli.sessions import run
from tests.page.background import Model
from tests.processes import serving


def test_it_makes_an_assistant_with_a_tool_of_its_own_that_answers(
    model: Model, model_name: str, free_port: int, tmp_path: Path
) -> None:
    made = run("new", "harbour", folder=tmp_path)
    assert made.returncode == 0
    assert "pilothouse serve" in made.stdout
    folder = tmp_path / "harbour"
    assert {file.name for file in folder.iterdir()} == {
        "pilothouse.toml",
        "tools.py",
        "README.md",
        ".gitignore",
    }
    model.reply(tool="shipping_cost", arguments={"weight_kg": 3, "country": "Japan"})
    model.reply("That is 26.70 EUR.")
    env = {"PILOTHOUSE_MODEL": model_name}
    with serving(folder, port=free_port, data=tmp_path / "data", env=env) as server:
        ended = run("chat", "harbour", "--url", server.url, "-m", "3 kg to Japan?", folder=folder)
    assert ended.stdout == "That is 26.70 EUR.\n"
    assert "Sending 3 kg to Japan costs 26.70 EUR." in ended.stderr


def test_it_makes_a_graph_that_answers_without_a_model(free_port: int, tmp_path: Path) -> None:
    assert run("new", "orders", "--graph", folder=tmp_path).returncode == 0
    folder = tmp_path / "orders"
    with serving(folder, port=free_port, data=tmp_path / "data") as server:
        small = run("chat", "--url", server.url, "-m", "3 boxes", folder=folder)
        assert small.stdout == "Done: 3 boxes are on their way.\n", small.stderr
        large = run("chat", "--url", server.url, "-m", "30 boxes", folder=folder)
        assert "Do you approve it?" in large.stderr
        thread = large.stderr.partition("--thread ")[2].split()[0]
        no = run("chat", "--url", server.url, "--thread", thread, "-m", "no", folder=folder)
        assert no.stdout == "Then nothing was ordered.\n"


def test_what_the_readme_says_to_type_is_what_there_is(tmp_path: Path) -> None:
    run("new", "harbour", folder=tmp_path)
    readme = (tmp_path / "harbour" / "README.md").read_text()
    assert readme.startswith("# harbour\n")
    commands = [line.split() for line in readme.splitlines() if line.startswith("    pilothouse ")]
    assert [words[1] for words in commands] == ["serve", "chat"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tools.py").write_text("precious")
    ended = run("new", "mine", folder=tmp_path)
    assert ended.returncode == 2
    assert "mine is there already and not empty" in ended.stderr
    assert [file.read_text() for file in (tmp_path / "mine").iterdir()] == ["precious"]


def test_a_folder_that_is_empty_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    assert run("new", ".", folder=folder).returncode == 0
    assert "[agents.here]" in (folder / "pilothouse.toml").read_text()


@pytest.mark.parametrize("name", ["my agent", "-x-", "ärger", "a.b", "a" * 65])
def test_a_name_that_no_agent_can_have_is_refused(tmp_path: Path, name: str) -> None:
    ended = run("new", "--", name, folder=tmp_path)
    assert ended.returncode == 2
    assert f"“{name}” can't be the name of an agent" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_place_that_can_not_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run("new", "file/harbour", folder=tmp_path)
    assert ended.returncode == 2
    assert "file/harbour can't be made" in ended.stderr
