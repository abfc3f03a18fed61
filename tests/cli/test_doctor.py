"""`pilothouse doctor`: one line for each part, and the fix for what fails."""

import re
import socket
import subprocess
from pathlib import Path

import pytest
from tests.cli.sessions import run
from tests.page.background import Model
from tests.processes import ServerProcess

NO_POSTGRES = {"PILOTHOUSE_POSTGRES": "postgresql://nobody@127.0.0.1:1/nothing"}
"""Refuses at once, where a test is about something else."""


def line_of(ended: "subprocess.CompletedProcess[str]", name: str) -> str:
    """The mark and the text of a finding, on one line."""
    found = re.search(rf"^  (\S) {name} +((?:.|\n {{8}})*)", ended.stdout, re.MULTILINE)
    assert found, ended.stdout + ended.stderr
    return f"{found[1]} {' '.join(found[2].split())}"


def test_all_is_well_where_everything_works(
    model: Model, model_name: str, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "pilothouse.toml").write_text(f'model = "{model_name}"\n[agents.clerk]\n')
    model.reply("ok")
    ended = run("doctor", "--data", tmp_path / "data", "--port", free_port, folder=tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert line_of(ended, "Python").startswith("✓ 3.")
    assert line_of(ended, "Settings") == f"✓ {tmp_path / 'pilothouse.toml'}: clerk"
    assert re.fullmatch(r"✓ .*/data, \d+ GB free", line_of(ended, "Data"))
    assert re.fullmatch(r"✓ Valkey [\d.]+, append-only file on \(embedded\)", line_of(ended, "Redis"))
    assert re.fullmatch(r"✓ PostgreSQL [\d.]+, pgvector [\d.]+ \(embedded\)", line_of(ended, "PostgreSQL"))
    assert line_of(ended, "Model") == "✓ scripted at 127.0.0.1 answers"
    assert line_of(ended, "Agent") == "✓ clerk loads, with scripted at 127.0.0.1"
    assert line_of(ended, "Port") == f"✓ {free_port} is free"
    assert line_of(ended, "Callers").startswith("✓ this machine's user")
    assert "Everything that is needed works." in ended.stdout
    assert ended.stderr == ""


def test_each_agent_that_does_not_load_is_named(
    model: Model, project: Path, free_port: int, tmp_path: Path
) -> None:
    model.reply("ok")
    ended = run(
        "doctor", project, "--data", tmp_path / "data", "--port", free_port, folder=tmp_path, env=NO_POSTGRES
    )
    assert ended.returncode == 1
    assert "✗ Agent       broken: " in ended.stdout
    assert "a_module_that_nobody_has" in ended.stdout
    assert "✓ Agent       asking loads" in ended.stdout
    assert "2 things are to be fixed." in ended.stdout
    assert "Traceback" not in ended.stderr


def test_what_is_wrong_with_a_server_or_a_key_is_said_with_its_fix(
    model: Model, model_name: str, tmp_path: Path
) -> None:
    model.fail(401, "no such key")
    env = {**NO_POSTGRES, "PILOTHOUSE_REDIS": "redis://127.0.0.1:1", "PILOTHOUSE_MODEL": model_name}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("doctor", "--data", tmp_path / "data", "--port", port, folder=tmp_path, env=env)
    assert ended.returncode == 1
    assert line_of(ended, "Redis").startswith("✗ The Redis server can't be reached")
    assert line_of(ended, "PostgreSQL").startswith("✗ ")
    assert "refused access: no such key" in line_of(ended, "Model")
    assert line_of(ended, "Agents") == "! Not looked at: they need Redis."
    assert f"✗ {port} is used by something else" in line_of(ended, "Port")
    assert "4 things are to be fixed." in ended.stdout


def test_a_pilothouse_at_the_port_is_recognised(
    server: ServerProcess, model: Model, model_name: str, tmp_path: Path
) -> None:
    model.reply("ok")
    port = server.url.rpartition(":")[2]
    env = {**NO_POSTGRES, "PILOTHOUSE_MODEL": model_name}
    ended = run("doctor", "--data", tmp_path / "data", "--port", port, folder=tmp_path, env=env)
    assert line_of(ended, "Port") == f"✓ Pilothouse answers at {port}"


def test_the_small_model_says_what_it_is_and_what_it_will_fetch(free_port: int, tmp_path: Path) -> None:
    env = {**NO_POSTGRES, "PILOTHOUSE_MODEL": "embedded"}
    ended = run("doctor", "--data", tmp_path / "data", "--port", free_port, folder=tmp_path, env=env)
    assert re.search(r"! Qwen.*small.* MB are fetched.*GEMINI_API_KEY", line_of(ended, "Model"))
    assert not list((tmp_path / "data").rglob("*.gguf"))


@pytest.mark.parametrize(
    ("model", "fix"),
    [("gemini/gemini-3.5-flash", "GEMINI_API_KEY"), ("ollama", "ollama serve"), ("gpt", "A model is one of")],
)
def test_a_model_that_can_not_be_had_says_what_is_missing(
    model: str, fix: str, free_port: int, tmp_path: Path
) -> None:
    redis = {"PILOTHOUSE_REDIS": "redis://127.0.0.1:1"}
    env = {**NO_POSTGRES, **redis, "PILOTHOUSE_MODEL": model, "OLLAMA_HOST": "127.0.0.1:1"}
    ended = run("doctor", "--data", tmp_path / "data", "--port", free_port, folder=tmp_path, env=env)
    assert ended.returncode == 1
    assert line_of(ended, "Model").startswith("✗")
    assert fix in line_of(ended, "Model")


def test_wrong_settings_are_named_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "pilothouse.toml").write_text("prot = 8080\n")
    ended = run("doctor", "--data", tmp_path / "data", folder=tmp_path)
    assert ended.returncode == 1
    assert "✗ pilothouse.toml: prot is not a setting" in line_of(ended, "Settings")
    assert not (tmp_path / "data").exists()


def test_a_folder_that_can_not_be_written_to_is_said(free_port: int, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    env = {**NO_POSTGRES, "PILOTHOUSE_REDIS": "redis://127.0.0.1:1", "PILOTHOUSE_MODEL": "gemini/x"}
    ended = run("doctor", "--data", tmp_path / "data", "--port", free_port, folder=tmp_path, env=env)
    assert line_of(ended, "Data").startswith("✗")
    assert "choose another folder with --data" in line_of(ended, "Data")
