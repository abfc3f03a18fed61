"""Commands of the Agent Protocol's event stream (version 2): over HTTP and over a WebSocket alike."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from pilothouse.errors import Conflict, InvalidRequest, NotFound, PilothouseError
from pilothouse.events import ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.push import CpuPush
from pilothouse.ports.runs import NewRun
from pilothouse.ports.threads import Thread
from pilothouse.server.following import Following
from pilothouse.server.parts import Parts
from pilothouse.server.runs import agent_to_run
from pilothouse.wire import decoding
from pilothouse.wire.streaming_v2 import before_run
from pilothouse.wire.streaming_v2_commands import (
    NOT_SUPPORTED,
    Command,
    ErrorCode,
    InputRespond,
    RunStart,
    TreeOf,
    refusal,
    success,
)

logger = logging.getLogger(__name__)

CommandHandler = Callable[[Principal, ThreadId, Command], Awaitable[bytes]]


class Commands:
    """What can be asked of a thread on any connection. Every command is answered, whatever happens."""

    def __init__(self, parts: Parts, push: CpuPush | None = None) -> None:
        """With `push`, each run that is started asks for CPU: where no connection lasts as long as the run."""
        self._push = push
        self._agents = parts.agents
        self._threads = parts.threads
        self._runs = parts.runs
        self._following = Following(parts)
        self._handlers: Mapping[str, CommandHandler] = {
            "run.start": self._start,
            "input.respond": self._respond,
            "agent.getTree": self._tree,
        }

    async def answer(self, principal: Principal, thread_id: ThreadId, command: Command) -> bytes:
        handler = self._handlers.get(command.method)
        if handler is None:
            return _unknown(command)
        return await answered(command, lambda: handler(principal, thread_id, command))

    async def _start(self, principal: Principal, thread_id: ThreadId, command: Command) -> bytes:
        start = command.parameters(RunStart)
        agent_id = agent_to_run(self._agents, start.assistant_id)
        thread = await self._thread(principal, thread_id)
        asked = thread.interrupts if thread is not None and thread.status == "interrupted" else ()
        return await self._create(principal, thread, command, start.new_run(agent_id, thread_id, asked))

    async def _respond(self, principal: Principal, thread_id: ThreadId, command: Command) -> bytes:
        respond = command.parameters(InputRespond)
        thread = await self._thread(principal, thread_id)
        asked = thread.interrupts if thread is not None and thread.status == "interrupted" else ()
        known = {interrupt.id for interrupt in asked}
        if unknown := respond.answers().keys() - known:
            waits = f"it waits for {', '.join(sorted(known))}" if known else "it waits for nothing"
            message = f"Thread {thread_id} does not ask for {min(unknown)[:100]!r}: {waits}."
            return refusal(command.id, "no_such_interrupt", message)
        assert thread is not None, "a thread that asks exists"
        agent_id = agent_to_run(self._agents, thread.graph_id or "")
        return await self._create(principal, thread, command, respond.new_run(agent_id, thread_id, asked))

    async def _create(
        self, principal: Principal, thread: Thread | None, command: Command, new: NewRun
    ) -> bytes:
        run = await self._runs.create(principal, new)
        if self._push is not None:
            await self._push.ask()
        begun = 0 if thread is None else thread.runs_begun
        return success(command.id, {"run_id": run.run_id}, before_run(begun + 1))

    async def _tree(self, principal: Principal, thread_id: ThreadId, command: Command) -> bytes:
        run_id = command.parameters(TreeOf).run_id
        try:
            tree = await self._following.tree(
                principal, thread_id, decoding.run_id(run_id) if run_id else None
            )
        except NotFound as error:
            return refusal(command.id, "no_such_run", str(error))
        return success(command.id, {"tree": tree})

    async def _thread(self, principal: Principal, thread_id: ThreadId) -> Thread | None:
        """None if it does not exist yet: the first run makes it."""
        try:
            return await self._threads.get(principal, thread_id)
        except NotFound:
            return None


async def answered(command: Command, handle: Callable[[], Awaitable[bytes]]) -> bytes:
    """The answer, or a refusal that says what was wrong."""
    try:
        return await handle()
    except PilothouseError as error:
        return refusal(command.id, _code(error), str(error))
    except Exception:
        logger.exception("command failed", extra={"method": command.method})
        return refusal(command.id, "unknown_error", "Something went wrong; the cause is in the server's log.")


def _code(error: PilothouseError) -> ErrorCode:
    return "invalid_argument" if isinstance(error, InvalidRequest | NotFound | Conflict) else "unknown_error"


def _unknown(command: Command) -> bytes:
    name = command.method[:100]
    if name in NOT_SUPPORTED:
        return refusal(command.id, "not_supported", f"{name} is not supported. {NOT_SUPPORTED[name]}")
    if name.startswith("subscription."):
        message = f"{name} is for WebSockets: over HTTP each POST to stream/events is a subscription."
        return refusal(command.id, "not_supported", message)
    return refusal(command.id, "unknown_command", f"There is no command {name!r}.")
