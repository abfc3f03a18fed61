"""Clients of the event stream without an SDK: what is on the wire, event by event."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect

Event: TypeAlias = dict[str, Any]

ALL = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]
ENDS = ("completed", "failed", "interrupted")


def new_thread() -> str:
    """An id that a client mints."""
    return str(uuid4())


async def command(http: httpx.AsyncClient, thread: str, method: str, **params: Any) -> dict[str, Any]:
    body = {"id": 7, "method": method, "params": params}
    reply = await http.post(f"/threads/{thread}/commands", json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    assert answer["id"] == 7
    return answer


async def start(http: httpx.AsyncClient, thread: str, agent: str, text: str = "hi") -> dict[str, Any]:
    """Start a run in which a person says this."""
    said = {"messages": [{"role": "user", "content": text}]}
    answer = await command(http, thread, "run.start", assistant_id=agent, input=said)
    assert answer["type"] == "success", answer
    return answer


@asynccontextmanager
async def events_of(
    http: httpx.AsyncClient,
    thread: str,
    channels: Sequence[str] = ALL,
    headers: Mapping[str, str] | None = None,
    **wanted: Any,
) -> AsyncGenerator[AsyncIterator[Event]]:
    """The events of a thread by server-sent events."""
    path, body = f"/threads/{thread}/stream/events", {"channels": list(channels), **wanted}
    async with http.stream("POST", path, json=body, headers=headers) as reply:
        assert reply.status_code == 200, await reply.aread()
        assert reply.headers["content-type"].startswith("text/event-stream")
        yield _decoded(reply)


async def _decoded(reply: httpx.Response) -> AsyncGenerator[Event]:
    fields: dict[str, str] = {}
    async for line in reply.aiter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif "data" in fields:
            event: Event = json.loads(fields["data"])
            assert (fields["id"], fields["event"]) == (str(event["seq"]), event["method"])
            yield event
            fields = {}


async def until_end(events: AsyncIterator[Event], runs: int = 1) -> list[Event]:
    """The events up to the end of so many runs."""
    seen: list[Event] = []
    async for event in events:
        seen.append(event)
        runs -= is_end(event)
        if runs == 0:
            return seen
    raise AssertionError(f"the stream ended after {len(seen)} events")


def is_end(event: Event) -> bool:
    ended = event["method"] == "lifecycle" and event["params"]["data"]["event"] in ENDS
    return ended and not event["params"]["namespace"]


def of(events: Sequence[Event], method: str, namespace: Sequence[str] | None = None) -> list[Any]:
    """The data of the events of one kind."""
    return [
        event["params"]["data"]
        for event in events
        if event["method"] == method and namespace in (None, event["params"]["namespace"])
    ]


def text_of(events: Sequence[Event]) -> str:
    """What the messages' deltas add up to."""
    deltas = [data["delta"] for data in of(events, "messages") if data["event"] == "content-block-delta"]
    return "".join(delta.get("text", "") for delta in deltas)


class Socket:
    """A WebSocket of a thread."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[Event] = []
        """Those that came while an answer was waited for."""
        self._last_id = 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._last_id += 1
        await self.connection.send(json.dumps({"id": self._last_id, "method": method, "params": params}))
        while True:
            message = json.loads(await self.connection.recv())
            if message["type"] == "event":
                self.events.append(message)
                continue
            assert message["id"] == self._last_id
            return message

    async def __aiter__(self) -> AsyncGenerator[Event]:
        while True:
            while self.events:
                yield self.events.pop(0)
            message = json.loads(await self.connection.recv())
            assert message["type"] == "event", message
            yield message


@asynccontextmanager
async def socket_of(
    url: str, thread: str, headers: Mapping[str, str] | None = None
) -> AsyncGenerator[Socket]:
    address = f"{url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    async with connect(address, additional_headers=headers) as connection:
        yield Socket(connection)
