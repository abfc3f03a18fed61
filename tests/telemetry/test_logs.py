"""What a server writes to its log."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.conftest import a_free_port
from tests.page.background import Loop, Model
from tests.processes import serving

AGENTS = """
model = "openai/scripted@http://127.0.0.1:{port}/v1"
[agents.assistant]
tools = ["calculate", "./functions.py:remember"]
[agents.talkative]
function = "./functions.py:talkative"
"""
FUNCTIONS = '''
import logging
from pilothouse.tools import tool

async def talkative(messages):
    logging.getLogger("mine").warning("thinking", extra={"step": 1})
    return "done"

@tool(examples=[("remember a", {"what": "a"}), ("remember b", {"what": "b"}), ("note c", {"what": "c"})])
async def remember(what: str) -> str:
    """Remember something."""
    return f"The password to {what} is Swordfish."
'''
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAID = ("Quetzalcoatl", "Xochimilco", "Swordfish", "Zanzibar", "sk-verysecretkey", "verysecretheader")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "functions.py").write_text(FUNCTIONS)
    return folder


def entries(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_a_line_of_json_has_the_fields_of_cloud_logging(
    project: Path, tmp_path: Path, free_port: int
) -> None:
    (project / "pilothouse.toml").write_text(AGENTS.format(port=a_free_port()))
    env = {
        "PILOTHOUSE_LOG_FORMAT": "json",
        "GOOGLE_CLOUD_PROJECT": "harbour",
        "PILOTHOUSE_MODEL_API_KEY": "key",
    }
    with serving(project, port=free_port, data=tmp_path / "data", env=env) as server:
        body = {"assistant_id": "talkative", "input": {"messages": []}, "if_not_exists": "create"}
        thread = "0a0a0a0a-0000-4000-8000-000000000001"
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        url = f"{server.url}/threads/{thread}/runs/wait"
        reply = httpx.post(url, json=body, headers=headers, timeout=30)
        httpx.post(f"{server.url}/runs/wait", json=body, timeout=30)
        written = entries(server.output())

    run = reply.headers["content-location"].rpartition("/")[2]
    line, without = [entry for entry in written if entry["message"] == "thinking"]
    assert (line["severity"], line["logger"], line["step"]) == ("WARNING", "mine", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["logging.googleapis.com/trace"] == f"projects/harbour/traces/{TRACE}"
    assert line["logging.googleapis.com/spanId"] == SPAN
    assert line["logging.googleapis.com/trace_sampled"] is True
    assert line["logging.googleapis.com/labels"] == {"run_id": run, "thread_id": thread}
    assert (line["run_id"], line["thread_id"]) == (run, thread)
    assert line["logging.googleapis.com/sourceLocation"]["function"] == "talkative"
    # A run that was asked for outside of any trace has one of its own.
    own_trace = without["run_id"].replace("-", "")
    assert without["logging.googleapis.com/trace"] == f"projects/harbour/traces/{own_trace}"
    assert "logging.googleapis.com/spanId" not in without


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_that_was_said_and_no_secret_is_in_the_log_at_any_level(
    project: Path, tmp_path: Path, free_port: int, form: str
) -> None:
    with Loop() as loop, Model(loop, model_port := a_free_port()) as model:
        (project / "pilothouse.toml").write_text(AGENTS.format(port=model_port))
        model.reply(tool="remember", arguments={"what": "Xochimilco"})
        model.reply("Its capital is Zanzibar.")
        model.fail(401, "Incorrect API key provided: sk-verysecretkey.")
        env = {
            "PILOTHOUSE_LOG_FORMAT": form,
            "PILOTHOUSE_LOG_LEVEL": "debug",
            "PILOTHOUSE_MODEL_API_KEY": "sk-verysecretkey",
        }
        with (
            serving(project, port=free_port, data=tmp_path / "data", env=env) as server,
            httpx.Client(base_url=server.url, timeout=30) as http,
        ):
            thread = http.post("/threads", json={}).json()["thread_id"]
            question = {"messages": [{"role": "user", "content": "Tell me of Quetzalcoatl"}]}
            body = {"assistant_id": "assistant", "input": question}
            headers = {"authorization": "Bearer verysecretheader"}
            answer = http.post(f"/threads/{thread}/runs/wait", json=body, headers=headers).text
            refused = http.post(f"/threads/{thread}/runs/wait", json=body).text
            server.terminate()
            output = server.output()

    assert "Swordfish" in answer
    assert "Zanzibar" in answer
    assert "model_key_invalid" in refused
    assert "run failed" in output
    assert not [word for word in SAID if word in output], output
