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

[agents.frugal]
description = "May call its model once."

[agents.frugal.limits]
model_calls = 1

[agents.asking]
description = "Asks back."
graph = "./asking.py:graph"

[agents.selling]
description = "Sells ships."
graph = "./selling.py:graph"

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


SELLING = """
from langchain_core.messages import AIMessage
from langchain_core.tools import ToolException, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send


@tool
async def sell(ship: str) -> str:
    \"\"\"Sell a ship.\"\"\"
    return f"Sold {ship}."


sell.metadata = {"replay": "ask"}


async def offer(state):
    try:
        return {"messages": [AIMessage(await sell.ainvoke(state))]}
    except ToolException as no:
        return {"messages": [AIMessage(f"Kept {state['ship']}: {no}")]}


def ships(state):
    return [Send("offer", {"ship": ship}) for ship in state["messages"][-1].content.split()]


builder = StateGraph(MessagesState).add_node("offer", offer)
graph = builder.add_conditional_edges(START, ships, ["offer"]).compile()
"""


def write_project(folder: Path, model_port: int) -> Path:
    """A folder to serve: five agents, of which one does not load."""
    folder.mkdir()
    (folder / "pilothouse.toml").write_text(PROJECT.format(port=model_port))
    (folder / "asking.py").write_text(ASKING)
    (folder / "selling.py").write_text(SELLING)
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
