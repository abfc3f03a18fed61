"""Whole servers, on real sockets, that share a Redis."""

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from langgraph_sdk import get_client
from starlette.responses import JSONResponse
from tests.server.conftest import Silent
from tests.server.serving import Served

from pilothouse.settings import AuthSettings, load
from pilothouse.testing.loopback import LoopbackServer
from pilothouse.wiring import open_app

ISSUER, AUDIENCE = "https://issuer.example", "pilothouse"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@asynccontextmanager
async def instance(
    redis_url: str,
    folder: Path,
    *,
    auth: AuthSettings | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[Served]:
    """A server, and clients that send these headers."""
    environ = {"PILOTHOUSE_REDIS": redis_url, "PILOTHOUSE_DATA": str(folder / "data")}
    settings = msgspec.structs.replace(load(Path(__file__).parent / "agents", environ=environ), auth=auth)
    async with (
        open_app(settings, Silent()) as app,
        LoopbackServer(app.asgi) as server,
        httpx.AsyncClient(base_url=server.url, timeout=20, headers=headers) as http,
        get_client(url=server.url, api_key=None, headers=headers) as sdk,
    ):
        yield Served(server.url, http, sdk, folder)


@asynccontextmanager
async def accounts() -> AsyncGenerator[AuthSettings]:
    """Authentication by tokens as `token_of` makes them."""
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    keys = JSONResponse({"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]})
    async with LoopbackServer(keys) as issuer:
        yield AuthSettings(ISSUER, AUDIENCE, issuer.url)


def token_of(user: str) -> dict[str, str]:
    """The headers of a user."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + 60}
    token = jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "one"})
    return {"authorization": f"Bearer {token}"}
