"""The WebSocket of a thread: commands in, their answers and events out.

Each subscription has its own filter and its own place in the thread's events. One follower serves all of a connection:
it starts where the subscription that is furthest behind stands, and sends each event once, to whomever it is due. A
subscription ends with its connection; a client that comes back subscribes again, `since` the last event that it has.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from uuid import uuid4

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from pilothouse.errors import InvalidRequest, PilothouseError, ServerStopping
from pilothouse.events import ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.tracing import enter_request
from pilothouse.server.commands import Commands, answered
from pilothouse.server.errors import status_of
from pilothouse.server.following import Following
from pilothouse.server.parts import Parts
from pilothouse.wire import decoding
from pilothouse.wire.streaming_v2 import Event
from pilothouse.wire.streaming_v2_commands import (
    Command,
    EventFilter,
    Reconnect,
    Unsubscribe,
    decode_command,
    refusal,
    success,
)

logger = logging.getLogger(__name__)

_MAX_SUBSCRIPTIONS = 100
_REASON_BYTES = 123
_APPLICATION_CODES = 4000
"""A browser can't read the status of a refused upgrade, so a refusal closes with 4000 and the status; SDKs know this."""
_FAILED = 1011
_RESTARTING = 1012


def socket_routes(parts: Parts) -> Sequence[BaseRoute]:
    return [WebSocketRoute("/threads/{thread_id}/stream/events", _ThreadSockets(parts))]


class _ThreadSockets:
    def __init__(self, parts: Parts) -> None:
        self._authenticate = parts.authenticate
        self._telemetry = parts.telemetry
        self._commands = Commands(parts)
        self._following = Following(parts)
        self._push = parts.push

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        enter_request(socket.headers.get)
        await socket.accept()
        try:
            principal = await self._authenticate(socket.headers)
            thread_id = decoding.thread_id(socket.path_params["thread_id"])
        except PilothouseError as error:
            await _close(socket, _APPLICATION_CODES + status_of(error), str(error))
            return
        connection = _Connection(socket, self._commands, self._following, principal, thread_id)
        try:
            with self._telemetry.stream():
                await connection.run()
        except* (_Gone, WebSocketDisconnect):
            if self._push is not None:  # runs that it started may go on
                await self._push.ask()
        except* ServerStopping as stopping:
            await _close(socket, _RESTARTING, str(stopping.exceptions[0]))
        except* Exception:
            logger.exception("websocket failed", extra={"thread_id": thread_id})
            await _close(socket, _FAILED, "Something went wrong; the cause is in the server's log.")


class _Gone(Exception):
    """The client closed its connection."""


@dataclass(slots=True)
class _Subscription:
    filter: EventFilter
    start: int
    seen: int
    """All events up to this one have been sent, where the filter wants them."""

    def has(self, event: Event) -> bool:
        return self.start < event.seq <= self.seen and self.filter.wants(event)

    def needs(self, event: Event) -> bool:
        return event.seq > self.seen and self.filter.wants(event)


class _Connection:
    def __init__(
        self,
        socket: WebSocket,
        commands: Commands,
        following: Following,
        principal: Principal,
        thread_id: ThreadId,
    ) -> None:
        self._socket = socket
        self._commands = commands
        self._following = following
        self._principal = principal
        self._thread_id = thread_id
        self._subscriptions: dict[str, _Subscription] = {}
        self._added: dict[str, _Subscription] = {}
        """Those whose answer is to be sent first: the follower does not know them yet."""
        self._follower: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answer commands until the client goes, which is `_Gone`."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    raise _Gone
                await self._handle(_body(message), tasks)

    async def _handle(self, body: bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            command = decode_command(body)
        except InvalidRequest as error:
            await self._send(refusal(None, "invalid_argument", str(error)))
            return
        await self._send(await self._answer(command))
        if self._added:
            self._follow(tasks)

    async def _answer(self, command: Command) -> bytes:
        match command.method:
            case "subscription.subscribe":
                return await answered(command, lambda: self._subscribe(command))
            case "subscription.unsubscribe":
                return await answered(command, lambda: self._unsubscribe(command))
            case "subscription.reconnect":
                return await answered(command, lambda: self._reconnect(command))
            case _:
                return await self._commands.answer(self._principal, self._thread_id, command)

    # Subscriptions.

    async def _subscribe(self, command: Command) -> bytes:
        return success(
            command.id, {"subscription_id": await self._add(command.parameters(EventFilter), None)}
        )

    async def _unsubscribe(self, command: Command) -> bytes:
        id_ = command.parameters(Unsubscribe).subscription_id
        if self._subscriptions.pop(id_, None) is None:
            message = f"There is no subscription {id_[:100]!r} on this connection."
            return refusal(command.id, "no_such_subscription", message)
        return success(command.id, {})

    async def _reconnect(self, command: Command) -> bytes:
        """Subscribe again. A subscription that belonged to another connection can't be restored by its id alone."""
        reconnect = command.parameters(Reconnect)
        wanted = reconnect.filter()
        if wanted is None:
            here = bool(reconnect.subscriptions) and self._subscriptions.keys() >= set(
                reconnect.subscriptions
            )
            return success(command.id, {"restored": here})
        id_ = await self._add(wanted, reconnect.subscription_id)
        return success(command.id, {"restored": True, "subscription_id": id_})

    async def _add(self, wanted: EventFilter, id_: str | None) -> str:
        wanted.check()
        if len(self._subscriptions) >= _MAX_SUBSCRIPTIONS:
            raise InvalidRequest(f"A connection has at most {_MAX_SUBSCRIPTIONS} subscriptions.")
        start = wanted.since
        if start is None:
            start = await self._following.now(self._principal, self._thread_id)
        id_ = id_ or str(uuid4())
        self._added[id_] = _Subscription(wanted, start, start)
        return id_

    # Events.

    def _follow(self, tasks: asyncio.TaskGroup) -> None:
        """Follow from where the subscription stands that is furthest behind."""
        if self._follower is not None:
            self._follower.cancel()
        self._subscriptions |= self._added
        self._added = {}
        since = min(subscription.seen for subscription in self._subscriptions.values())
        self._follower = tasks.create_task(self._send_events(since))

    async def _send_events(self, since: int) -> None:
        batches = self._following.events(self._principal, self._thread_id, since)
        async with aclosing(batches) as closing:
            async for events in closing:
                for event in events:
                    await self._deliver(event)

    async def _deliver(self, event: Event) -> None:
        """Send the event if it is due to a subscription, and was not sent for another before."""
        subscriptions = self._subscriptions.values()
        if any(s.needs(event) for s in subscriptions) and not any(s.has(event) for s in subscriptions):
            await self._send(event.encode())
        for subscription in subscriptions:
            subscription.seen = max(subscription.seen, event.seq)

    async def _send(self, body: bytes) -> None:
        await self._socket.send({"type": "websocket.send", "text": body.decode()})


def _body(message: Message) -> bytes:
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text.encode()


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        await socket.close(code, reason.encode()[:_REASON_BYTES].decode(errors="ignore"))
    except (RuntimeError, OSError):  # it is closed already
        logger.info("websocket was closed already")
