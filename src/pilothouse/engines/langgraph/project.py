"""What a project made for LangGraph's server says of itself: `langgraph.json`. Imports nothing of LangGraph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from pilothouse.errors import ConfigurationError
from pilothouse.events import AgentId


class GraphSpec(msgspec.Struct, frozen=True):
    """Where an agent's graph is: an attribute of a file, or of a module that can be imported."""

    agent_id: AgentId
    root: Path
    """The folder that the configuration is in: the agent's code may import from here."""
    variable: str
    file: Path | None = None
    module: str | None = None
    description: str | None = None
    import_from: tuple[Path, ...] = ()
    """Further folders that the agent's code may import from."""


class Project(msgspec.Struct, frozen=True):
    """A `langgraph.json`. Setting `env` is up to the caller."""

    graphs: tuple[GraphSpec, ...]
    env: Mapping[str, str]


def read_project(path: Path) -> Project:
    """The project whose `langgraph.json` is at `path`. Raises `ConfigurationError` that says what is wrong in it."""
    try:
        content: Any = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}.") from error
    project = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    graphs: Any = project.get("graphs")
    if not isinstance(graphs, dict) or not graphs:
        raise ConfigurationError(
            f'{path} has no "graphs": name at least one, as in {{"agent": "./agent.py:graph"}}.'
        )
    root = path.resolve().parent
    folders = _dependency_folders(project.get("dependencies"), root)
    specs = (
        _graph_spec(name, entry, path, root, folders)
        for name, entry in cast("dict[str, Any]", graphs).items()
    )
    return Project(tuple(specs), _env(project.get("env"), root))


def graph_spec(
    agent_id: AgentId,
    location: str,
    root: Path,
    *,
    description: str | None = None,
    import_from: tuple[Path, ...] = (),
) -> GraphSpec:
    """The spec for `./file.py:name` (relative to `root`) or `package.module:name`.

    Raises `ConfigurationError` if `location` is neither.
    """
    place, colon, variable = location.rpartition(":")
    if not colon or not place or not variable.isidentifier():
        raise ConfigurationError(
            f"Agent {agent_id!r} is at {location!r}, which names no graph: write it as ./file.py:name."
        )
    if place.endswith(".py") or "/" in place:
        file = (root / place).resolve()
        return GraphSpec(agent_id, root, variable, file, None, description, import_from)
    return GraphSpec(agent_id, root, variable, None, place, description, import_from)


def _graph_spec(name: str, entry: Any, path: Path, root: Path, folders: tuple[Path, ...]) -> GraphSpec:
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {"path": entry}
    location, description = fields.get("path"), fields.get("description")
    if not isinstance(location, str):
        raise ConfigurationError(f"{path}: graph {name!r} has no path such as ./agent.py:graph.")
    shown = description if isinstance(description, str) else None
    return graph_spec(AgentId(name), location, root, description=shown, import_from=folders)


def _dependency_folders(dependencies: Any, root: Path) -> tuple[Path, ...]:
    """Local folders among the dependencies. The others are packages, which are to be installed."""
    folders: list[Path] = []
    for each in cast("list[Any]", dependencies) if isinstance(dependencies, list) else []:
        if isinstance(each, str) and each.startswith("."):
            folder = (root / each).resolve()
            folders += [candidate for candidate in (folder, folder / "src") if candidate.is_dir()]
    return tuple(folders)


def _env(env: Any, root: Path) -> Mapping[str, str]:
    if isinstance(env, dict):
        return {str(key): str(value) for key, value in cast("dict[str, Any]", env).items()}
    if not isinstance(env, str):
        return {}
    try:
        lines = (root / env).read_text().splitlines()
    except OSError as error:
        raise ConfigurationError(f"The env file {root / env} can't be read: {error.strerror}.") from error
    return dict(pair for line in lines if (pair := _assignment(line)) is not None)


def _assignment(line: str) -> tuple[str, str] | None:
    """`KEY=value` of an env file: quotes are taken off, and a comment after an unquoted value."""
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name or name.startswith("#"):
        return None
    if value[:1] in {"'", '"'} and (end := value.find(value[0], 1)) > 0:
        return name, value[1:end]
    return name, value.split(" #")[0].rstrip()
