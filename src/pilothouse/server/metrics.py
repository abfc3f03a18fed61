"""`/metrics`, for who operates the server."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilothouse.errors import PilothouseError
from pilothouse.server.errors import reply_to
from pilothouse.server.parts import Parts
from pilothouse.wire.decoding import decode_query

_TYPES = {"prometheus": "text/plain; version=0.0.4; charset=utf-8", "json": "application/json"}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")


class MetricsQuery(msgspec.Struct, frozen=True):
    """`json` is for people and scripts."""

    format: Literal["prometheus", "json"] = "prometheus"


class MetricsRoute:
    """A collector beside the server (the sidecar that Cloud Run scrapes with) has no token to show: who comes over loopback, and
    is no proxy that speaks for somebody else, needs none. All others authenticate."""

    def __init__(self, parts: Parts) -> None:
        self._metrics = parts.metrics
        self._authenticate = parts.authenticate

    def open_routes(self) -> Sequence[Route]:
        return (Route("/metrics", self.get),)

    async def get(self, request: Request) -> Response:
        try:
            if not _is_beside(request):
                await self._authenticate(request.headers)
            form = decode_query(request.query_params.multi_items(), MetricsQuery).format
        except PilothouseError as error:
            return reply_to(error)
        body = await self._metrics.render(form)
        return Response(body, headers={"cache-control": "no-store"}, media_type=_TYPES[form])


def _is_beside(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
