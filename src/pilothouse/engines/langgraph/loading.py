"""Imports the modules that agents are in.

Rules:

- A file is imported under a name made from its path within the project: files of the same name in several folders do not
  collide, and a type that a checkpoint names by its module is found again by every process that serves the project.
- An agent's code may import its neighbours by their plain names. Where two agents have a neighbour of the same name,
  each gets its own while it is loaded.
- Imports happen in a thread, one agent at a time.
"""

import asyncio
import importlib
import importlib.util
import logging
import re
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from pilothouse.engines.langgraph.factories import GraphSource, source_of
from pilothouse.engines.langgraph.project import GraphSpec
from pilothouse.errors import AgentUnavailable

logger = logging.getLogger(__name__)

_importing = threading.Lock()
_imported: set[str] = set()
"""The names of the modules that were first imported for an agent."""
_REASON_LIMIT = 300


class _Exited(Exception):
    """The agent's module called `sys.exit`."""


async def load_graph(spec: GraphSpec) -> GraphSource:
    """The agent's graph, imported. Raises as `load_attribute` does."""
    value = await load_attribute(spec)
    with _explained(spec):
        return await source_of(value, spec.agent_id)


async def load_attribute(spec: GraphSpec) -> object:
    """What the agent's module has under the name. Raises `AgentUnavailable` with one line that says where and why it
    failed; the traceback goes to the log."""
    with _explained(spec):
        return await asyncio.to_thread(_attribute, spec)


@contextmanager
def _explained(spec: GraphSpec) -> Generator[None]:
    try:
        yield
    except AgentUnavailable:
        raise
    except Exception as error:
        logger.exception("agent could not be loaded", extra={"agent_id": spec.agent_id})
        raise AgentUnavailable(
            f"Agent {spec.agent_id!r} could not be loaded: {_reason(error, spec)}"
        ) from error


def _attribute(spec: GraphSpec) -> object:
    with _importing:
        before = set(sys.modules)
        try:
            module = _module(spec)
        except SystemExit as error:
            raise _Exited(f"the module called sys.exit({error.code})") from error
        finally:
            _imported.update(sys.modules.keys() - before)
    try:
        return getattr(module, spec.variable)
    except AttributeError:
        names = ", ".join(name for name in vars(module) if not name.startswith("_"))
        place = spec.file or spec.module
        raise AgentUnavailable(
            f"Agent {spec.agent_id!r}: {place} has no {spec.variable!r}. It has {names[:_REASON_LIMIT]}."
        ) from None


def _module(spec: GraphSpec) -> ModuleType:
    folders = [*([spec.file.parent] if spec.file else []), spec.root, *spec.import_from]
    _import_from_first(folders)
    if spec.file is None:
        assert spec.module is not None, "a spec has a file or a module"
        return importlib.import_module(spec.module)
    name = _module_name(spec.file, spec.root)
    if (loaded := sys.modules.get(name)) is not None:
        return loaded
    if not spec.file.is_file():
        raise AgentUnavailable(f"Agent {spec.agent_id!r}: there is no file {spec.file}.")
    _forget_namesakes(spec.file.parent)
    return _execute(name, spec.file)


def _execute(name: str, file: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, file)
    if found is None or found.loader is None:
        raise AgentUnavailable(f"{file} is not a Python file.")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(file: Path, root: Path) -> str:
    """The name for a file; another one if a file of another project has it."""
    shown = file.relative_to(root) if file.is_relative_to(root) else file
    name = "pilothouse_agent_" + re.sub(r"\W+", "_", str(shown.with_suffix("")))
    while (loaded := sys.modules.get(name)) is not None and loaded.__file__ != str(file):
        name += "_"
    return name


def _import_from_first(folders: list[Path]) -> None:
    wanted = list(dict.fromkeys(str(folder) for folder in folders))
    sys.path[:] = [*wanted, *(entry for entry in sys.path if entry not in wanted)]
    importlib.invalidate_caches()


def _forget_namesakes(folder: Path) -> None:
    """Forget modules of other agents that stand where this folder has a module of the same name."""
    for entry in folder.iterdir():
        loaded = sys.modules.get(entry.stem) if entry.stem in _imported else None
        place = getattr(loaded, "__file__", None) or ""
        if place and "site-packages" not in place and Path(place) not in (entry, entry / "__init__.py"):
            for name in [n for n in sys.modules if n == entry.stem or n.startswith(f"{entry.stem}.")]:
                del sys.modules[name]


def _reason(error: Exception, spec: GraphSpec) -> str:
    """One line: the agent's own place in the traceback, and the error."""
    said = " ".join(f"{type(error).__name__}: {error}".split())[:_REASON_LIMIT]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}, line {error.lineno}: SyntaxError: {error.msg}"
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(spec.root) and "site-packages" not in frame.filename
    ]
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}: {said}" if own else said
