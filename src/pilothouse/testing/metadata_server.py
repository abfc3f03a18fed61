"""Google Cloud's metadata server for tests: where a workload gets its service account's tokens from.

Source: https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

import base64
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pilothouse.testing.loopback import LoopbackServer

EMAIL = "agent@test-project.iam.gserviceaccount.com"


class MetadataServer:
    """Gives `access_token`, and an ID token for any audience.

    Google's library reads where the server is when it is imported: start the client in a child process with
    `environment`. Its OAuth token endpoint (`token_url`) serves a service account's key file as well, in any process.
    """

    def __init__(self, *, life_seconds: int = 3600) -> None:
        self.access_token = f"access-for-{EMAIL}"
        self.life_seconds = life_seconds
        self.audiences: list[str] = []
        """The audiences that ID tokens were asked for, in order."""
        self._server = LoopbackServer(Starlette(routes=self._routes()))

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a child process needs to find it."""
        address = f"127.0.0.1:{self._server.port}"
        return {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address, "GCE_METADATA_ROOT": address}

    @property
    def token_url(self) -> str:
        """An OAuth token endpoint, for the `token_uri` of a service account's key file."""
        return f"{self._server.url}/token"

    def id_token(self, audience: str) -> str:
        """The ID token for an audience, good for `life_seconds` from now; its signature is none."""
        claims = {"aud": audience, "email": EMAIL, "exp": int(time.time()) + self.life_seconds}
        return f"{_segment({'alg': 'none'})}.{_segment(claims)}.{_segment({})}"

    def _routes(self) -> list[Route]:
        account = "/computeMetadata/v1/instance/service-accounts/{account}"
        return [
            Route("/", self._ping),
            Route("/computeMetadata/v1/project/project-id", self._project),
            Route(f"{account}/", self._account),
            Route(f"{account}/token", self._token),
            Route(f"{account}/identity", self._identity),
            Route("/token", self._exchange, methods=["POST"]),
        ]

    async def _ping(self, request: Request) -> Response:
        return _flavoured(PlainTextResponse("computeMetadata/\n"))

    async def _project(self, request: Request) -> Response:
        return _flavoured(PlainTextResponse("test-project"))

    async def _account(self, request: Request) -> Response:
        return _flavoured(JSONResponse({"email": EMAIL, "aliases": ["default"], "scopes": []}))

    async def _token(self, request: Request) -> Response:
        return _flavoured(JSONResponse(self._grant()))

    async def _identity(self, request: Request) -> Response:
        return _flavoured(PlainTextResponse(self._issue(request.query_params["audience"])))

    async def _exchange(self, request: Request) -> Response:
        (assertion,) = parse_qs((await request.body()).decode())["assertion"]
        claims = json.loads(base64.urlsafe_b64decode(assertion.split(".")[1] + "=="))
        if audience := claims.get("target_audience"):
            return JSONResponse({"id_token": self._issue(audience)})
        return JSONResponse(self._grant())

    def _grant(self) -> dict[str, Any]:
        return {
            "access_token": self.access_token,
            "expires_in": self.life_seconds,
            "token_type": "Bearer",
        }

    def _issue(self, audience: str) -> str:
        self.audiences.append(audience)
        return self.id_token(audience)


def _flavoured(response: Response) -> Response:
    response.headers["Metadata-Flavor"] = "Google"
    return response


def _segment(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
