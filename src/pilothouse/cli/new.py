"""`pilothouse new`: a small project that runs."""

import argparse
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

from pilothouse.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What an agent may be called: the agent has the folder's name."""
_ASSISTANT = {
    "pilothouse.toml": "pilothouse.toml",
    "tools.py.txt": "tools.py",
    "README.md": "README.md",
    "gitignore": ".gitignore",
}
_GRAPH = {
    "langgraph.json": "langgraph.json",
    "agent.py.txt": "agent.py",
    "README.md": "README.md",
    "gitignore": ".gitignore",
}


def run(options: argparse.Namespace) -> int:
    folder = Path(options.name)
    template, names = ("graph", _GRAPH) if options.graph else ("assistant", _ASSISTANT)
    _make(folder)
    for source, name in names.items():
        text = (files("pilothouse.cli") / "templates" / template / source).read_text()
        (folder / name).write_text(Template(text).substitute(name=folder.resolve().name))
    sys.stdout.write(
        f"Made {folder} with {', '.join(names.values())}.\n\n"
        f"  cd {folder}\n"
        "  pilothouse serve    # the API and a page: http://127.0.0.1:8123\n"
        "  pilothouse chat     # in the terminal\n"
    )
    return 0


def _make(folder: Path) -> None:
    """Raises `ConfigurationError` where the name can't be an agent's, or there is something already."""
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"“{name}” can't be the name of an agent: use letters, digits, “-” and “_”, at most 64, "
            "and begin with a letter or a digit."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{folder} can't be made: {error.strerror}.") from error
    if not is_empty:
        raise ConfigurationError(f"{folder} is there already and not empty: choose another name.")
