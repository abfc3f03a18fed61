"""An issuer of OpenID Connect ID tokens for tests, with its public keys on a socket: Google's, for one."""

import asyncio
import time
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pilothouse.testing.loopback import LoopbackServer

GOOGLE = "https://accounts.google.com"
_KEY_ID = "one"


class OidcIssuer:
    """`jwks_url` has the keys that `token` signs with (RS256)."""

    def __init__(self, issuer: str = GOOGLE) -> None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.issuer = issuer
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._server = LoopbackServer(Starlette(routes=[Route("/keys", self._keys)]))

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def jwks_url(self) -> str:
        return f"{self._server.url}/keys"

    def token(self, audience: str, email: str, /, **claims: object) -> str:
        """A service account's ID token, good for an hour, with these claims instead of the usual ones."""
        import jwt

        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": audience,
            "azp": "100000000000000000001",
            "sub": "100000000000000000001",
            "email": email,
            "email_verified": True,
            "iat": now,
            "exp": now + 3600,
        }
        return jwt.encode({**usual, **claims}, self._key, "RS256", {"kid": _KEY_ID})

    async def _keys(self, request: Request) -> Response:
        from jwt.algorithms import RSAAlgorithm

        public: dict[str, Any] = await asyncio.to_thread(RSAAlgorithm.to_jwk, self._key.public_key(), True)
        return JSONResponse({"keys": [public | {"kid": _KEY_ID, "use": "sig", "alg": "RS256"}]})
