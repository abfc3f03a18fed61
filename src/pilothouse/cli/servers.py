"""Which server a command talks to: the one that is named, the one that runs here, or one of its own."""

import argparse
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from pilothouse.cli import logs
from pilothouse.cli.client import Client, Refused, Unreachable
from pilothouse.cli.progress import PassingProgress
from pilothouse.cli.terminal import Terminal
from pilothouse.errors import ConfigurationError
from pilothouse.settings import Settings, load

_PROBE_SECONDS = 2


class Place(msgspec.Struct, frozen=True):
    """A server to talk to."""

    client: Client
    options: tuple[str, ...] = ()
    """Of the command line that leads here again."""
    log: Path | None = None
    """Of a server of our own."""


@contextmanager
def server_for(options: argparse.Namespace, terminal: Terminal) -> Generator[Place]:
    """The server at `--url`, else the one that serves this folder's agents on the configured port, else a new one
    inside this process. Raises `ConfigurationError`, and what opening a server raises."""
    if options.url:
        yield Place(Client(options.url), ("--url", options.url))
        return
    settings = load(Path(), overrides={"data": options.data})
    if client := _running(settings, takes_others=options.data is None):
        yield Place(client)
        return
    with _own(settings, terminal) as (client, log):
        data = ("--data", options.data) if options.data else ()
        yield Place(client, data, log)


def running_server(url: str | None) -> Client:
    """The server at this URL, else the one that runs here. Raises `Unreachable` if there is none, and `ConfigurationError`."""
    if url:
        return Client(url)
    if client := _running(load(Path()), takes_others=True):
        return client
    raise Unreachable("No server runs here: start one with pilothouse serve, or name one with --url.")


def _running(settings: Settings, *, takes_others: bool) -> Client | None:
    """A server that answers on the configured port. One that serves other agents than this folder's is refused: it could
    be another project's, and a second server on its data would get its runs."""
    host = settings.host if settings.is_loopback else "127.0.0.1"
    client = Client(f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}")
    try:
        served = [agent.agent_id for agent in client.agents(_PROBE_SECONDS)]
    except Unreachable:
        return None
    except Refused as error:
        return client if error.status == 401 else None
    wanted = _agents_of(settings)
    if not wanted or set(wanted) == set(served):
        return client
    if not takes_others:
        return None
    raise ConfigurationError(
        f"Pilothouse at {client.url} serves other agents ({_listed(served)}) than this folder's ({_listed(wanted)}). To talk "
        f"to it: --url {client.url}. To start this folder's beside it: --data FOLDER, with data of its own."
    )


def _agents_of(settings: Settings) -> list[str]:
    graphs = settings.project.graphs if settings.project else ()
    return [*settings.agents, *(str(graph.agent_id) for graph in graphs)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


@contextmanager
def _own(settings: Settings, terminal: Terminal) -> Generator[tuple[Client, Path]]:
    log = settings.data_dir / "chat.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    logs.configure(settings, "text", log)
    with ExitStack() as stack:
        with terminal.waiting("Starting Pilothouse…"):
            # Only now: it imports all that a server needs.
            from pilothouse.cli.background import background_server

            progress = PassingProgress(lambda: terminal.is_waiting)
            url = stack.enter_context(background_server(settings, progress))
        yield Client(url), log
