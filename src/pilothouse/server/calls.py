"""From a route to its handler and back: authenticate, decode, answer, and turn errors into replies."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pilothouse.errors import PayloadTooLarge
from pilothouse.events import RunId, ThreadId
from pilothouse.ports.principals import Principal
from pilothouse.ports.tracing import enter_request
from pilothouse.server.errors import reply_to
from pilothouse.server.parts import Parts
from pilothouse.server.streams import Streaming
from pilothouse.wire import decoding

T = TypeVar("T")
B = TypeVar("B")
_DRAINED = 4
"""A body is read, and dropped, up to this many times the limit: a client that is cut off while it sends sees no reply."""

Handler = Callable[["Call"], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, by a principal."""

    principal: Principal
    request: Request
    max_body_bytes: int

    @property
    def thread_id(self) -> ThreadId:
        return decoding.thread_id(self.path("thread_id"))

    @property
    def run_id(self) -> RunId:
        return decoding.run_id(self.path("run_id"))

    @property
    def idempotency_key(self) -> str | None:
        """A request that comes again with the same key does nothing twice."""
        return decoding.idempotency_key(self.header("idempotency-key"))

    def path(self, name: str) -> str:
        return self.request.path_params[name]

    def query(self, type_: type[T]) -> T:
        return decoding.decode_query(self.request.query_params.multi_items(), type_)

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)

    async def body(self) -> bytes:
        """Raises `PayloadTooLarge`."""
        limit, size = self.max_body_bytes, 0
        chunks: list[bytes] = []
        async for chunk in self.request.stream():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            elif size > _DRAINED * limit:
                break
        if size > limit:
            raise PayloadTooLarge(f"The body is over the limit of {limit} bytes: send less.")
        return b"".join(chunks)


@dataclass(frozen=True)
class Operation:
    """A route, what it does, and what the API's description says about it."""

    method: str
    path: str
    handle: Handler
    summary: str
    body: Any = None
    query: type[Any] | None = None
    reply: Any = None

    def route(self, parts: Parts) -> Route:
        return Route(self.path, _Endpoint(self.handle, parts), methods=[self.method])


def operation(
    method: str, path: str, handle: Handler, *, query: type[Any] | None = None, reply: Any = None
) -> Operation:
    """A route whose handler needs no body."""
    return Operation(method, path, handle, _summary(handle), None, query, reply)


def body_operation(
    method: str,
    path: str,
    body: type[B],
    handle: "Callable[[Call, B], Awaitable[ASGIApp]]",
    *,
    query: type[Any] | None = None,
    reply: Any = None,
) -> Operation:
    """A route whose handler gets the decoded body."""

    async def decode_and_handle(call: Call) -> ASGIApp:
        return await handle(call, decoding.decode_body(await call.body(), body))

    return Operation(method, path, decode_and_handle, _summary(handle), body, query, reply)


def _summary(handle: Callable[..., object]) -> str:
    return (handle.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def json_reply(value: object, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), 200, headers, "application/json")


def json_bytes(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, 200, headers, "application/json")


def pagination(total: int, offset: int, limit: int) -> dict[str, str]:
    """The headers that tell how much there is, and where the next page begins if there is one."""
    headers = {"x-pagination-total": str(total)}
    if offset + limit < total:
        headers["x-pagination-next"] = str(offset + limit)
    return headers


class _Endpoint:
    """A handler as an ASGI app."""

    def __init__(self, handle: Handler, parts: Parts) -> None:
        self._handle = handle
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        enter_request(request.headers.get)
        try:
            principal = await self._parts.authenticate(request.headers)
            reply = await self._handle(Call(principal, request, self._parts.max_body_bytes))
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the server's one broad handler
            reply = reply_to(error)
        if isinstance(reply, Streaming):
            with self._parts.telemetry.stream():
                await reply(scope, receive, send)
        else:
            await reply(scope, receive, send)
