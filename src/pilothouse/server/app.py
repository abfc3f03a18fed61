"""The HTTP server: the Agent Protocol, and the page."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pilothouse.server.absent import absent_routes
from pilothouse.server.assistants import AssistantRoutes
from pilothouse.server.calls import Operation
from pilothouse.server.crons import CronRoutes
from pilothouse.server.errors import error_reply
from pilothouse.server.health import HealthRoutes
from pilothouse.server.items import ItemRoutes
from pilothouse.server.metrics import MetricsRoute
from pilothouse.server.openapi import description
from pilothouse.server.origins import Origins
from pilothouse.server.parts import Parts
from pilothouse.server.reports import ReportRoutes
from pilothouse.server.runs import RunRoutes
from pilothouse.server.sockets import socket_routes
from pilothouse.server.states import StateRoutes, States
from pilothouse.server.static import page_routes
from pilothouse.server.streaming_v2 import ThreadStreamRoutes
from pilothouse.server.threads import ThreadRoutes
from pilothouse.server.work import work_routes

__all__ = ["Parts", "create_app"]


def create_app(parts: Parts) -> Starlette:
    """The ASGI app over these parts. It opens and closes nothing: the parts live as long as their owner says."""
    health = HealthRoutes(parts)
    operations = api_operations(parts, health)
    routes = [
        *(operation.route(parts) for operation in operations),
        *socket_routes(parts),
        *health.open_routes(),
        *work_routes(parts),
        *MetricsRoute(parts).open_routes(),
        Route("/openapi.json", _Description(operations)),
        *page_routes(),
        *absent_routes(),
    ]
    middleware = [Middleware(Origins, parts.allowed_origins, parts.allowed_hosts)]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: no_such_route})
    app.router.redirect_slashes = False
    return app


def api_operations(parts: Parts, health: HealthRoutes) -> Sequence[Operation]:
    """Every operation of the API, in the order in which paths are matched: what each run needs comes first."""
    states = States(parts)
    threads, runs = ThreadRoutes(parts, states), RunRoutes(parts, states)
    return (
        *runs.hot_operations(),
        *threads.hot_operations(),
        *CronRoutes(parts).operations(),
        *runs.operations(),
        *threads.operations(),
        *StateRoutes(parts, states).operations(),
        *ThreadStreamRoutes(parts).operations(),
        *AssistantRoutes(parts).operations(),
        *ItemRoutes(parts).operations(),
        *ReportRoutes(parts).operations(),
        *health.operations(),
    )


async def no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        detail = f"{where} is not supported: the path is, with another method."
        return error_reply(405, "method_not_allowed", detail, error.headers)
    if error.status_code == 404:
        return error_reply(404, "not_found", f"There is no {where}: see /docs for what there is.")
    return error_reply(error.status_code, "http_error", str(error.detail), error.headers)


class _Description:
    """`/openapi.json`, made when it is first asked for."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._body = self._body or description(self._operations)
        await Response(self._body, media_type="application/json")(scope, receive, send)
