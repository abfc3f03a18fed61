"""Agents as people have them on disk: files, projects, factories, and files that don't import."""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from tests.engines.graphs import THREAD, engine_for, events_of, json_of, read, request, run

from pilothouse.engines.langgraph.engine import LangGraphEngine
from pilothouse.engines.langgraph.loading import load_graph
from pilothouse.engines.langgraph.project import GraphSpec, graph_spec, read_project
from pilothouse.errors import AgentUnavailable, ConfigurationError
from pilothouse.events import AgentId
from pilothouse.ports.principals import LOCAL

GRAPH = """
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

def built(text):
    async def node(state: MessagesState):
        return {"messages": [AIMessage(text)]}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder
"""


@pytest.fixture(autouse=True)
def imports_as_they_were() -> Iterator[None]:
    """Loading changes `sys.path` and `sys.modules` for good, as a server wants it."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules:
        if not getattr(sys.modules[name], "__file__", None) or "site-packages" not in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(content))
    return folder


def spec(folder: Path, code: str, variable: str = "graph") -> GraphSpec:
    write(folder, {"graph.py": GRAPH + dedent(code)})
    return graph_spec(AgentId("agent"), f"./graph.py:{variable}", folder)


def answers(loaded: GraphSpec, **fields: Any) -> list[str]:
    async def scenario() -> list[str]:
        engine = engine_for(await load_graph(loaded))
        events = await events_of(engine, request(**fields))
        return [read(event.message)["content"] for event in events]

    answered: list[str] = run(scenario())
    return answered


@pytest.mark.parametrize(
    "code",
    [
        'graph = built("x").compile()',
        'graph = built("x")',
        'def graph(): return built("x")',
        'async def graph(): return built("x").compile()',
        'def graph(config): return built("x")',
        'async def graph(config): return built("x")',
        """
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def graph():
            yield built("x")
        """,
        """
        from langgraph_sdk.runtime import ServerRuntime

        def graph(runtime: ServerRuntime):
            return built("x")
        """,
        """
        from langgraph.checkpoint.memory import InMemorySaver

        graph = built("x").compile(checkpointer=InMemorySaver())
        """,
    ],
)
def test_each_form_of_a_graph_is_served(tmp_path: Path, code: str) -> None:
    assert answers(spec(tmp_path, code)) == ["x"]


def test_our_checkpoints_replace_the_graphs_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        code = 'from langgraph.checkpoint.memory import InMemorySaver\ngraph = built("x").compile(checkpointer=InMemorySaver())'
        saver = InMemorySaver()
        engine = engine_for(await load_graph(spec(tmp_path, code)), saver)
        await events_of(engine, request())
        assert await saver.aget_tuple({"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}})

    run(scenario())


def test_a_factory_gets_the_config_of_each_run(tmp_path: Path) -> None:
    loaded = spec(tmp_path, 'def graph(config): return built(config["configurable"]["text"])')

    async def scenario() -> None:
        engine = engine_for(await load_graph(loaded))
        for text in ("one", "two"):
            config = json_of({"configurable": {"text": text}})
            (event,) = await events_of(engine, request(text, config=config))
            assert read(event.message)["content"] == text
        with pytest.raises(AgentUnavailable, match="fails for an empty config"):
            engine.schemas()

    run(scenario())


def test_a_factory_gets_the_runtime_and_the_config_by_their_annotations(tmp_path: Path) -> None:
    code = """
    from langchain_core.runnables import RunnableConfig
    from langgraph_sdk.runtime import ServerRuntime

    async def graph(runtime: ServerRuntime[dict], config: RunnableConfig):
        running = runtime.execution_runtime is not None
        return built(f"{runtime.access_context} {running} {runtime.user and runtime.user.identity}")
    """
    assert answers(spec(tmp_path, code)) == ["threads.create_run True local"]


def test_a_context_managers_resource_lives_as_long_as_the_run(tmp_path: Path) -> None:
    code = """
    import asyncio
    from contextlib import asynccontextmanager

    log = []

    @asynccontextmanager
    async def graph(config):
        log.append("open")
        try:
            yield built("x")
        finally:
            log.append("closed")
    """
    loaded = spec(tmp_path, code)

    async def scenario() -> None:
        source = await load_graph(loaded)
        log = sys.modules["pilothouse_agent_graph"].log
        assert log == ["open", "closed"], "looked at once for its schemas"
        async with aclosing(engine_for(source).run(request())) as batches:
            await anext(batches)
            assert log[2:] == ["open"]
        assert log[2:] == ["open", "closed"]

    run(scenario())


def test_a_factory_with_odd_arguments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentUnavailable, match="factory with 3 arguments"):
        run(load_graph(spec(tmp_path, "def graph(a, b, c): ...")))


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentUnavailable, match="is a int, not a LangGraph graph"):
        run(load_graph(spec(tmp_path, "graph = 3")))


def test_a_missing_name_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(AgentUnavailable, match=r"has no 'grap'. It has .*graph"):
        run(load_graph(spec(tmp_path, 'graph = built("x")', "grap")))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import no_such_package",
            "graph.py, line 1: ModuleNotFoundError: No module named 'no_such_package'",
        ),
        ("x = 1\nraise KeyError('API_KEY')", "graph.py, line 2: KeyError: 'API_KEY'"),
        ("x = (", "graph.py, line 1: SyntaxError: '(' was never closed"),
        ("import sys\nsys.exit(3)", "the module called sys.exit(3)"),
        ("def broken():\n    1 / 0\ngraph = broken()", "graph.py, line 2: ZeroDivisionError"),
        ("def graph():\n    return 1 / 0", "graph.py, line 2: ZeroDivisionError"),
    ],
)
def test_a_failing_import_is_one_line_and_its_traceback_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str, reason: str
) -> None:
    write(tmp_path, {"graph.py": code})
    with caplog.at_level(logging.ERROR), pytest.raises(AgentUnavailable) as failed:
        run(load_graph(graph_spec(AgentId("agent"), "./graph.py:graph", tmp_path)))
    assert reason in str(failed.value)
    assert "\n" not in str(failed.value)
    assert any(record.exc_info for record in caplog.records)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentUnavailable, match=r"there is no file .*graph\.py"):
        run(load_graph(graph_spec(AgentId("agent"), "./graph.py:graph", tmp_path)))


def test_agents_with_files_and_neighbours_of_the_same_names_do_not_mix(tmp_path: Path) -> None:
    for name in ("a", "b"):
        code = GRAPH + f'from words import WORD\ngraph = built("{name}" + WORD)'
        write(tmp_path, {f"{name}/graph.py": code, f"{name}/words.py": f'WORD = " from {name}"'})

    async def scenario() -> None:
        specs = [graph_spec(AgentId(name), f"./{name}/graph.py:graph", tmp_path) for name in ("a", "b")]
        sources = await asyncio.gather(*(load_graph(each) for each in specs))
        for source, name in zip(sources, ("a", "b"), strict=True):
            (event,) = await events_of(engine_for(source), request())
            assert read(event.message)["content"] == f"{name} from {name}"

    run(scenario())


def test_two_agents_of_one_file_share_its_module(tmp_path: Path) -> None:
    code = 'from langgraph.graph import StateGraph\nshared = object()\na = built("a")\nb = built("b")\n'
    first, second = spec(tmp_path, code, "a"), spec(tmp_path, code, "b")
    assert (answers(first), answers(second)) == (["a"], ["b"])


def test_importing_does_not_block_the_event_loop(tmp_path: Path) -> None:
    loaded = spec(tmp_path, 'import time\ntime.sleep(0.5)\ngraph = built("x")')

    async def scenario() -> int:
        turns = 0
        loading = asyncio.ensure_future(load_graph(loaded))
        while not loading.done():
            await asyncio.sleep(0.01)
            turns += 1
        await loading
        return turns

    assert run(scenario()) > 10


def test_a_project_is_read_with_all_that_langgraph_json_may_say(tmp_path: Path) -> None:
    config = """
    {
      "dependencies": [".", "./lib", "langchain_openai"],
      "graphs": {
        "plain": "./src/agent/graph.py:graph",
        "told": {"path": "./other.py:make", "description": "Does things"},
        "installed": "package.module:graph"
      },
      "env": ".env"
    }
    """
    env = """
    # a comment
    export KEY="quoted # value"
    OTHER=plain # comment
    EMPTY=
    """
    write(tmp_path, {"langgraph.json": config, ".env": env, "lib/x.py": "", "src/agent/graph.py": ""})
    project = read_project(tmp_path / "langgraph.json")
    plain, told, installed = project.graphs
    assert (plain.agent_id, plain.file, plain.variable) == ("plain", tmp_path / "src/agent/graph.py", "graph")
    assert (told.description, told.variable) == ("Does things", "make")
    assert (installed.file, installed.module) == (None, "package.module")
    assert plain.import_from == (tmp_path, tmp_path / "src", tmp_path / "lib")
    assert project.env == {"KEY": "quoted # value", "OTHER": "plain", "EMPTY": ""}


def test_a_project_whose_code_is_a_package_imports_itself(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "langgraph.json": '{"dependencies": ["."], "graphs": {"a": "./src/pack/graph.py:graph"}, "env": {"A": "1"}}',
            "src/pack/__init__.py": "",
            "src/pack/parts.py": GRAPH,
            "src/pack/graph.py": 'from pack.parts import built\ngraph = built("x")',
        },
    )
    project = read_project(tmp_path / "langgraph.json")
    assert answers(project.graphs[0]) == ["x"]
    assert project.env == {"A": "1"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not valid JSON"),
        ("[]", 'has no "graphs"'),
        ('{"graphs": {}}', 'has no "graphs"'),
        ('{"graphs": {"a": 3}}', "graph 'a' has no path"),
        ('{"graphs": {"a": "./graph.py"}}', "which names no graph"),
        ('{"graphs": {"a": "./g.py:graph"}, "env": "missing.env"}', "missing.env can't be read"),
    ],
)
def test_a_wrong_project_is_refused_with_its_reason(tmp_path: Path, content: str, reason: str) -> None:
    write(tmp_path, {"langgraph.json": content})
    with pytest.raises(ConfigurationError) as refused:
        read_project(tmp_path / "langgraph.json")
    assert reason in str(refused.value)


def test_a_types_module_has_the_same_name_wherever_the_project_is(tmp_path: Path) -> None:
    """Checkpoints name the types of a state by their module."""
    names: list[str] = []
    for place in ("here", "there"):
        loaded = spec(
            write(tmp_path / place, {"x.py": ""}), "class Fact: ...\ngraph = built(Fact.__module__)"
        )
        names += answers(loaded)
        del sys.modules["pilothouse_agent_graph"]
    assert names == ["pilothouse_agent_graph"] * 2


def test_a_state_of_the_agents_own_types_survives(tmp_path: Path) -> None:
    code = """
    from dataclasses import dataclass
    from typing import TypedDict

    @dataclass
    class Fact:
        text: str

    class State(TypedDict):
        facts: list[Fact]

    async def note(state: State):
        return {"facts": [*state.get("facts", []), Fact("noted")]}

    builder = StateGraph(State)
    builder.add_node("note", note)
    builder.add_edge(START, "note")
    graph = builder
    """

    async def scenario() -> None:
        source = await load_graph(spec(tmp_path, code))
        saver = InMemorySaver()
        engine: LangGraphEngine = engine_for(source, saver)
        for n in range(2):
            await events_of(engine, request(f"run-{n}", input=json_of({})))
        state = read(await engine.state(LOCAL, THREAD))
        assert state["values"] == {"facts": [{"text": "noted"}] * 2}

    run(scenario())
