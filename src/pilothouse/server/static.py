"""The page at `/` and the API's description at `/docs`, from files of the package: nothing is loaded from elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FILES = StaticFiles(directory=Path(__file__).parent / "page")

_ONLY_SELF = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_DOCS = _ONLY_SELF + "; style-src 'self' 'unsafe-inline'"
"""The viewer of the API's description writes style attributes."""


def page_routes() -> Sequence[BaseRoute]:
    return (
        Route("/", _Guarded(_File("index.html"), _ONLY_SELF), methods=["GET"]),
        Route("/docs", _Guarded(_File("docs.html"), _DOCS), methods=["GET"]),
        Mount("/page", _Guarded(_FILES, _ONLY_SELF)),
    )


class _File:
    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await _FILES.get_response(self._name, scope)
        await response(scope, receive, send)


class _Guarded:
    """Adds to the files of an app what keeps a browser from doing more with them than the page needs.

    Files have no version in their names, so browsers ask each time whether theirs is still good, by its ETag.
    """

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = {
            "cache-control": "no-cache",
            "content-security-policy": policy,
            "cross-origin-opener-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=[*message["headers"]])
                headers.update(self._headers)
                message = {**message, "headers": headers.raw}
            await send(message)

        await self._app(scope, receive, send_with_headers)
