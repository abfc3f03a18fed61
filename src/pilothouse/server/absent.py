"""What the protocol has and this server has not: each answers with a sentence instead of a bare 404.

It is a 404 and no 501: the JavaScript SDK tries again, for half a minute, after any status of 500 and more.
"""

from collections.abc import Sequence

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pilothouse.server.errors import error_reply

_ABSENT = {
    "/assistants": "Agents come from the server's configuration: they can't be made over the API.",
    "/assistants/{assistant_id}": "Agents come from the server's configuration: they can't be changed over the API.",
    "/assistants/{assistant_id}/latest": "Agents have one version: the one that is served.",
    "/threads/{thread_id}/stream": "Follow a thread with POST /threads/{thread_id}/stream/events, or each run's stream.",
    "/threads/{thread_id}/storage": "The size of a thread's storage is not reported.",
    "/mcp": "The server does not speak MCP.",
    "/mcp/": "The server does not speak MCP.",
    "/a2a/{rest:path}": "The server does not speak A2A.",
    "/internal/work": "Nothing is pushed here: see [push] in the configuration.",
}


def absent_routes() -> Sequence[Route]:
    return [Route(path, _Absent(detail)) for path, detail in _ABSENT.items()]


class _Absent:
    def __init__(self, detail: str) -> None:
        self._detail = detail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await error_reply(404, "not_supported", self._detail)(scope, receive, send)
