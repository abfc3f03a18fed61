"""The command line: `pilothouse COMMAND`. Each command is a module of its own, imported when it is asked for."""

import argparse
import math
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from pilothouse import __version__
from pilothouse.errors import PilothouseError

USAGE_ERROR = 2
FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 where it failed, 2 where its use or the configuration is wrong."""
    options = _parser().parse_args(arguments)
    try:
        return import_module(f"pilothouse.cli.{options.command}").run(options)
    except PilothouseError as error:
        print(f"pilothouse: {error}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR if error.code == "configuration" else FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pilothouse",
        description="Hosts AI agents: a streaming API with durable runs around the agent you bring.",
        epilog="Example: pilothouse serve, then open http://127.0.0.1:8123",
    )
    parser.add_argument("--version", action="version", version=f"pilothouse {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, example, add_options) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"Example: {example}",
        )
        add_options(command)
    return parser


def _serving_options(parser: argparse.ArgumentParser) -> None:
    _work_options(parser)
    parser.add_argument("--host", help="the address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on (default 8123; PORT sets it too)")


def _work_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="PATH",
        help="a folder with pilothouse.toml or langgraph.json, or such a file (default: this folder)",
    )
    parser.add_argument("--data", help="where the embedded servers keep their data")
    parser.add_argument("--model", help="the built-in assistant's model, such as gemini/NAME or embedded")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"])


def _chat_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", nargs="?", metavar="AGENT", help="which agent (default: the first)")
    parser.add_argument(
        "-m", "--message", help="ask this one thing and exit (- reads it from standard input)"
    )
    parser.add_argument("--thread", help="go on with this thread")
    parser.add_argument("--url", help="a server that runs already (default: the one here, else a new one)")
    parser.add_argument("--data", help="where the embedded servers keep their data")
    parser.add_argument("--json", action="store_true", help="print each event as a line of JSON, for scripts")


def _new_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the folder to make")
    parser.add_argument(
        "--graph", action="store_true", help="start from a LangGraph graph instead of configuration"
    )


def _simulate_options(parser: argparse.ArgumentParser) -> None:
    _work_options(parser)
    parser.add_argument("--port", type=int, default=8080, help="the front door's port (default 8080)")
    parser.add_argument(
        "--instances",
        type=_instances,
        default="2",
        metavar="N",
        help="how many: 3, or 0-4 for as many as are needed (default 2)",
    )
    parser.add_argument(
        "--concurrency",
        type=_count,
        default=80,
        help="requests that an instance is given at once (default 80)",
    )
    parser.add_argument(
        "--timeout", type=_seconds, default=300, help="the request timeout in seconds (default 300)"
    )
    parser.add_argument(
        "--idle",
        type=_seconds,
        default=900,
        help="stop an instance that is not needed after so many seconds (default 900)",
    )
    parser.add_argument(
        "--cpu",
        choices=["always", "request"],
        default="always",
        help="request: freeze instances that have no request (default always)",
    )
    parser.add_argument(
        "--session-affinity", action="store_true", help="keep a client on its instance, by a cookie"
    )
    parser.add_argument(
        "--chaos",
        type=_seconds,
        metavar="SECONDS",
        help="so often kill, stop, freeze or cut off an instance",
    )


def _instances(text: str) -> tuple[int, int]:
    """The least and the most: `3` is always three, `0-4` as many as are needed."""
    least, dash, most = text.partition("-")
    if least.isdecimal() and (most.isdecimal() or not dash):
        numbers = int(least), int(most or least)
        if numbers[1] >= max(numbers[0], 1):
            return numbers
    raise argparse.ArgumentTypeError(
        f"{text} is no number of instances: write 3, or 0-4 for as many as are needed"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number


def _runs_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in _RUN_ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == "list":
            action.add_argument("--thread", help="of this thread alone")
            action.add_argument("--status", choices=_STATUSES, help="in this state alone")
            action.add_argument("--limit", type=int, default=20, help="how many at most (default 20)")
        else:
            action.add_argument("run", metavar="RUN", help="the run's id")
        action.add_argument("--url", help="the server (default: the one that runs here)")
        action.add_argument("--json", action="store_true", help="print JSON, for scripts")


_STATUSES = ("pending", "running", "success", "error", "timeout", "interrupted")
_RUN_ACTIONS = {
    "list": "list runs, the newest first",
    "show": "tell how a run went: attempts, times, calls, tokens, error",
    "follow": "print what a run says, from its beginning and as it goes on",
    "cancel": "end a run, wherever it is",
}

_COMMANDS = {
    "serve": (
        "serve agents: the API and the page",
        "pilothouse serve ./my-agent --port 8080",
        _serving_options,
    ),
    "work": ("execute runs, with no API", "pilothouse work ./my-agent", _work_options),
    "chat": ("talk to an agent in the terminal", 'pilothouse chat -m "what is 17% of 2340?"', _chat_options),
    "runs": (
        "list, show, follow and cancel runs",
        "pilothouse runs list --status error",
        _runs_options,
    ),
    "doctor": ("check every part and say how to fix it", "pilothouse doctor", _serving_options),
    "simulate": (
        "serve agents on a simulated Cloud Run: several instances behind a front door",
        "pilothouse simulate ./my-agent --instances 3 --chaos 20",
        _simulate_options,
    ),
    "new": (
        "make a small project to start from",
        "pilothouse new harbour && pilothouse serve harbour",
        _new_options,
    ),
}
