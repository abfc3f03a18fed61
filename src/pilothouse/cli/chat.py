"""`pilothouse chat`: talk to an agent in the terminal."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Any

from pilothouse.cli.client import Agent, Client, Refused
from pilothouse.cli.following import Following
from pilothouse.cli.json_shapes import as_list, as_object
from pilothouse.cli.questions import lines_of, reply_to
from pilothouse.cli.servers import Place, server_for
from pilothouse.cli.terminal import Terminal
from pilothouse.cli.views import MODES, Conversation, Interrupt, Lines, Outcome, interrupts_of, text_of
from pilothouse.errors import AgentUnavailable, InvalidRequest, NotFound, PilothouseError

FAILED = 1
STOPPED = 130
LOAD_SECONDS = 180
_TITLE_LENGTH = 72
_THREADS_LISTED = 10
_HELP = """\
Ctrl-C stops an answer, and leaves where there is none. Ctrl-D leaves.
/new          begin a new thread
/threads      list the last threads; /threads 2 goes on with the second
/quit         leave"""


def run(options: argparse.Namespace) -> int:
    terminal = Terminal(for_programs=options.json)
    question = _question(options.message)
    try:
        with server_for(options, terminal) as place:
            chat = Chat(place, terminal, as_json=options.json)
            chat.open(options.agent, options.thread)
            return chat.converse() if question is None else chat.ask_once(question)
    except BrokenPipeError:  # who read us has gone; the interpreter is not to complain of it either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _question(message: str | None) -> str | None:
    if message is None:
        return None
    text = (sys.stdin.read() if message == "-" else message).strip()
    if not text:
        raise InvalidRequest("The message is empty: -m TEXT, or -m - to read it from standard input.")
    return text


class Chat:
    """A person, or a script, and an agent."""

    def __init__(self, place: Place, terminal: Terminal, *, as_json: bool) -> None:
        self._client: Client = place.client
        self._log = place.log
        self._options = place.options
        self._terminal = terminal
        self._as_json = as_json
        self._agent = ""
        self._thread: str | None = None
        self._open_questions: Sequence[Interrupt] = ()
        self._listed: Sequence[str] = ()

    def open(self, agent_id: str | None, thread_id: str | None) -> None:
        """Choose the agent and the thread; say who answers. Raises `PilothouseError` if they can't be had."""
        thread = self._get_thread(thread_id) if thread_id else as_object(None)
        of_thread = as_object(thread.get("metadata")).get("graph_id")
        agent = _choose(self._client.agents(), agent_id or of_thread)
        if not agent.model and not agent.problem:
            agent = self._load(agent)
        if agent.problem:
            raise AgentUnavailable(f"Agent {agent.agent_id} can't be served: {agent.problem}")
        self._agent = agent.agent_id
        self._introduce(agent)
        if thread:
            self._take_up(thread)

    def ask_once(self, text: str) -> int:
        """The exit status: 0 if the run succeeded."""
        outcome = self._ask(text)
        for interrupt in outcome.interrupts:
            self._show_question(interrupt)
        if outcome.interrupts:
            self._say_whole(f"Answer with: {self._command_line()} -m TEXT")
        if outcome.status == "success":
            return 0
        stopped = outcome.status == "interrupted" and not outcome.interrupts
        return STOPPED if stopped else FAILED

    def converse(self) -> int:
        """Until the person leaves."""
        try:
            while True:
                self._turn()
        except (EOFError, KeyboardInterrupt, _Left):
            pass
        if self._terminal.has_person:
            self._terminal.say()
        if self._thread:
            self._say_whole(f"Go on later with: {self._command_line()}")
        return 0

    def _turn(self) -> None:
        """A question with its answer, a command, or replies to what the agent asks."""
        try:
            if self._open_questions:
                self._answer_questions()
            else:
                text = self._terminal.ask("> ").strip()
                if not text:
                    return
                act = self._command if text.startswith("/") else self._ask
                act(text)
        except PilothouseError as error:
            self._terminal.complain(str(error))
        if self._terminal.has_person:
            self._terminal.say()

    def _command(self, text: str) -> None:
        command, _, rest = text.partition(" ")
        match command:
            case "/quit" | "/exit":
                raise _Left
            case "/new":
                self._thread, self._open_questions = None, ()
                self._say("A new thread.", "dim")
            case "/threads" if rest.strip().isdigit() and 0 < int(rest) <= len(self._listed):
                self._say()
                self._take_up(self._get_thread(self._listed[int(rest) - 1]))
            case "/threads":
                self._list_threads()
            case _:
                self._say(_HELP, "dim")

    # Runs.

    def _ask(self, text: str) -> Outcome:
        if self._open_questions:
            return self._reply({self._open_questions[0].id: reply_to(self._open_questions[0], text)})
        if self._thread is None:
            title = text.splitlines()[0][:_TITLE_LENGTH]
            metadata = {"title": title, "assistant_id": self._agent}
            self._thread = self._client.call("POST", "/threads", {"metadata": metadata})["thread_id"]
        return self._run({"input": {"messages": [{"role": "user", "content": text}]}})

    def _answer_questions(self) -> None:
        replies: dict[str, Any] = {}
        for interrupt in self._open_questions:
            self._show_question(interrupt)
            replies[interrupt.id] = reply_to(interrupt, self._terminal.ask("answer > ").strip())
        self._reply(replies)

    def _reply(self, replies: Mapping[str, Any]) -> Outcome:
        alone = len(self._open_questions) == 1
        return self._run({"command": {"resume": next(iter(replies.values())) if alone else replies}})

    def _run(self, body: Mapping[str, object]) -> Outcome:
        assert self._thread
        view = Lines() if self._as_json else Conversation(self._terminal)
        body = {"assistant_id": self._agent, "stream_mode": MODES, **body}
        following = Following(self._client, self._thread, body, self._tell_connection)
        outcome = Outcome()
        with _stops(following.cancel), self._terminal.waiting():
            for frame in following.frames():
                outcome.absorb(frame)
                view.show(frame)
        self._open_questions = outcome.interrupts
        self._conclude(outcome)
        return outcome

    def _conclude(self, outcome: Outcome) -> None:
        if outcome.status == "interrupted" and not outcome.interrupts:
            self._say("Stopped.", "dim")
        if outcome.error_code in ("run_failed", "internal") and self._log:
            self._say(f"The log is {self._log}", "dim")

    def _tell_connection(self, is_there: bool) -> None:
        self._say("The server is back." if is_there else "The connection is lost: trying again…", "dim")

    # Threads.

    def _get_thread(self, thread_id: str) -> Mapping[str, Any]:
        try:
            return self._client.call("GET", f"/threads/{thread_id}")
        except Refused as error:
            if error.status == 404:
                raise NotFound(f"There is no thread {thread_id}.") from error
            raise

    def _take_up(self, thread: Mapping[str, Any]) -> None:
        """Go on with a thread, from its last exchange."""
        self._thread = str(thread["thread_id"])
        self._open_questions = [
            interrupt for found in thread["interrupts"].values() for interrupt in interrupts_of(found)
        ]
        messages = [as_object(each) for each in as_list(as_object(thread["values"]).get("messages"))]
        spoken = [m for m in messages if m.get("type") in ("human", "ai") and text_of(m.get("content"))]
        questions = [place for place, message in enumerate(spoken) if message["type"] == "human"]
        for message in spoken[questions[-1] if questions else 0 :]:
            mark = "> " if message["type"] == "human" else ""
            self._say(f"{mark}{text_of(message['content'])}", "dim")
        self._say()

    def _list_threads(self) -> None:
        query = {
            "limit": _THREADS_LISTED,
            "metadata": {"graph_id": self._agent},
            "select": ["thread_id", "updated_at", "metadata"],
        }
        threads: list[Any] = self._client.call("POST", "/threads/search", query)
        self._listed = [thread["thread_id"] for thread in threads]
        for number, thread in enumerate(threads, 1):
            at = datetime.fromisoformat(thread["updated_at"]).astimezone()
            title = thread["metadata"].get("title") or thread["thread_id"]
            mark = "*" if thread["thread_id"] == self._thread else " "
            self._say(f"{number:2}{mark} {at:%d %b %H:%M}  {title}")
        self._say("/threads NUMBER goes on with one." if threads else "There is no thread yet.", "dim")

    # Agents.

    def _load(self, agent: Agent) -> Agent:
        """Wait until an agent is loaded; then it is known which model it has."""
        with self._terminal.waiting("Loading the agent…"):
            try:
                self._client.call("GET", f"/assistants/{agent.agent_id}/schemas", timeout=LOAD_SECONDS)
            except Refused as error:
                if error.status == 503:
                    raise AgentUnavailable(str(error)) from error
        return _choose(self._client.agents(), agent.agent_id)

    def _introduce(self, agent: Agent) -> None:
        if self._as_json:
            return
        model = f"  {agent.model}" if agent.model else ""
        where = "" if self._log else f"  at {self._client.url}"
        name = self._terminal.styled(self._agent, "bold")
        self._terminal.say_styled(f"{name}{self._terminal.styled(model + where, 'dim')}")
        if agent.notice:
            self._say(agent.notice, "dim")
        if self._terminal.has_person:
            self._say("/help says what else there is.", "dim")
            self._say()

    def _command_line(self) -> str:
        """How to come back to this thread."""
        return " ".join(["pilothouse", "chat", *self._options, "--thread", str(self._thread)])

    def _show_question(self, interrupt: Interrupt) -> None:
        for line in lines_of(interrupt):
            self._say(line, "yellow")

    def _say(self, line: str = "", *styles: str) -> None:
        if not self._as_json:
            self._terminal.say(line, *styles)

    def _say_whole(self, line: str) -> None:
        """Not broken: to be copied."""
        if not self._as_json:
            self._terminal.say_styled(self._terminal.styled(line, "dim"))


class _Left(Exception):
    """The person wants to leave."""


def _choose(agents: Sequence[Agent], name: str | None) -> Agent:
    """The agent of that name, else the first. Raises `NotFound`."""
    found = next((agent for agent in agents if name in (None, agent.agent_id)), None)
    if found is None:
        known = ", ".join(agent.agent_id for agent in agents)
        raise NotFound(f"There is no agent {name!r}. Agents that are served: {known}.")
    return found


@contextmanager
def _stops(cancel: Callable[[], None]) -> Generator[None]:
    """Within the block the first Ctrl-C calls `cancel`, and the second is a `KeyboardInterrupt`."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
