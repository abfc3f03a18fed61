"""Routes about the server itself."""

from collections.abc import Sequence
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilothouse.server.calls import Call, Operation, json_reply, operation
from pilothouse.server.errors import error_reply
from pilothouse.server.parts import Parts

_FLAGS = {"assistants": True, "crons": True, "langsmith": False}
"""What clients may try here: LangGraph's names."""


class HealthRoutes:
    def __init__(self, parts: Parts) -> None:
        self._agents = parts.agents
        self._status = parts.status

    def operations(self) -> Sequence[Operation]:
        return (operation("GET", "/info", self.info),)

    def open_routes(self) -> Sequence[Route]:
        """What needs no credential: platforms probe them."""
        return (
            Route("/ok", self.alive),
            Route("/livez", self.alive),
            Route("/readyz", self.ready),
        )

    async def info(self, call: Call) -> Response:
        """Tell version, abilities, agents and state of the server."""
        about = {"version": version("pilothouse"), "flags": _FLAGS, "agents": self._agents.list()}
        return json_reply({**about, "user": call.principal.user, **self._status()})

    async def alive(self, request: Request) -> Response:
        """Answer while the process serves."""
        return json_reply({"ok": True})

    async def ready(self, request: Request) -> Response:
        """Answer 200 while requests can be served, else 503."""
        status = self._status()
        if status.get("ready", True):
            return json_reply({"ready": True})
        return error_reply(503, "not_ready", str(status.get("reason") or "The server is not ready yet."))
