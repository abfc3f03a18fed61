"""Which web pages may call the server.

A browser lets any page send requests to any server, ours on this machine included: it only keeps the page from reading
the reply, and that not when the page's own name was made to point here (DNS rebinding). So a server that trusts whoever
reaches it must ask in whose name a browser calls:

- A request must be for a host that is ours, where `allowed_hosts` says which are.
- A page of our own origin may do all.
- So may a page of an origin in `allowed_origins`, and when we are reached as this machine, a page of this machine, on
  any port: a front end under development. They get the CORS headers that let them read replies.
- Any other page may change nothing and open no WebSocket.

Programs other than browsers send no `Origin` and are not concerned.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilothouse.server.errors import error_reply

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_EXPOSED = "location, content-location, x-pagination-total, x-pagination-next"


class Origins:
    """The rules above, around an app."""

    def __init__(
        self, app: ASGIApp, allowed_origins: Iterable[str], allowed_hosts: frozenset[str] | None
    ) -> None:
        self._app = app
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", "").lower(), headers.get("origin", "").lower()
        if self._hosts is not None and _name(f"//{host}") not in self._hosts:
            detail = f"This server does not answer as {host[:200]!r}: use its own address."
            await _refuse("forbidden_host", detail, scope, receive, send)
        elif not origin or _place(origin) == host:
            await self._app(scope, receive, send)
        elif self._trusts(origin, host):
            await self._answer(headers, scope, receive, send)
        elif scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
        else:
            detail = f"Pages of {origin[:200]!r} may not call this server: allow that origin."
            await _refuse("forbidden_origin", detail, scope, receive, send)

    async def _answer(self, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer another origin's page, so that it can read the reply."""
        if scope.get("method") == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(headers)(scope, receive, send)
        else:
            await self._app(scope, receive, _readable(send, headers["origin"]))

    def _trusts(self, origin: str, host: str) -> bool:
        local = _name(origin) in LOOPBACK_HOSTS and _name(f"//{host}") in LOOPBACK_HOSTS
        return local or origin in self._allowed


def _place(origin: str) -> str:
    """`host[:port]` of an origin, as a browser writes it in `Host`."""
    return urlsplit(origin).netloc


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def _refuse(code: str, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": detail})
    else:
        await error_reply(403, code, detail)(scope, receive, send)


def _preflight(headers: Headers) -> Response:
    return Response(
        status_code=204,
        headers={
            "access-control-allow-origin": headers["origin"],
            "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
            "access-control-allow-headers": headers.get("access-control-request-headers", "*"),
            "access-control-max-age": "600",
            "vary": "origin",
        },
    )


def _readable(send: Send, origin: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=[*message["headers"]])
            headers["access-control-allow-origin"] = origin
            headers["access-control-expose-headers"] = _EXPOSED
            headers.add_vary_header("origin")
            message = {**message, "headers": headers.raw}
        await send(message)

    return send_with_headers
