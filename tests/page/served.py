"""What the page's tests serve."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.processes import ServerProcess, serving

PROJECT = """
model = "openai/scripted@http://127.0.0.1:{port}/v1"

[agents.assistant]
description = "Calculates, and knows every time zone."

[agents.asking]
description = "Asks back."
graph = "./asking.py:graph"

[agents.broken]
graph = "./broken.py:graph"
"""

ASKING = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


def ask(state):
    return {"messages": [AIMessage(f"You mean {interrupt('Which **year** do you mean?')}.")]}


graph = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile()
"""


def write_project(folder: Path, model_port: int) -> Path:
    """A folder to serve: three agents, of which one does not load."""
    folder.mkdir()
    (folder / "pilothouse.toml").write_text(PROJECT.format(port=model_port))
    (folder / "asking.py").write_text(ASKING)
    (folder / "broken.py").write_text("import a_module_that_nobody_has\n")
    return folder


@contextmanager
def serving_agents(project: Path, *, port: int, data: Path) -> Iterator[ServerProcess]:
    """The server, when its agents are loaded."""
    with serving(project, port=port, data=data) as server:
        deadline = time.monotonic() + 45
        while not _loaded(server):
            assert time.monotonic() < deadline, server.output()
            time.sleep(0.05)
        yield server


def _loaded(server: ServerProcess) -> bool:
    agents: list[dict[str, Any]] = httpx.get(f"{server.url}/info", timeout=10).json()["agents"]
    return bool(agents[0]["model"] and agents[-1]["problem"])
