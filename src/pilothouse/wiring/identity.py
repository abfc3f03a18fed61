"""Who is calling: OpenID Connect ID tokens, verified against the issuer's public keys (Google, IAP, any other issuer)."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pilothouse.errors import Unauthenticated
from pilothouse.ports.principals import LOCAL, Principal, UserId
from pilothouse.settings import AuthSettings

Authenticate = Callable[[Mapping[str, str]], Awaitable[Principal]]

_ALGORITHMS = ["RS256", "ES256"]
_KEYS_LIVE_SECONDS = 3600
_TIMEOUT_SECONDS = 10
_LEEWAY_SECONDS = 30
_STRIPPED = ".SIGNATURE_REMOVED_BY_GOOGLE"
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+-]")
_LONGEST_USER = 128


async def local_user(_: Mapping[str, str]) -> Principal:
    """Everybody who can reach a loopback address of this machine is its user."""
    return LOCAL


class TokenVerifier:
    """Takes the principal from a verified ID token: its `email` if that is verified, else its subject."""

    def __init__(self, settings: AuthSettings) -> None:
        from jwt import PyJWKClient

        self._settings = settings
        self._keys = PyJWKClient(
            settings.jwks_url, cache_keys=True, lifespan=_KEYS_LIVE_SECONDS, timeout=_TIMEOUT_SECONDS
        )

    async def __call__(self, headers: Mapping[str, str]) -> Principal:
        """Raises `Unauthenticated`."""
        value = headers.get(self._settings.header.lower(), "")
        scheme, _, token = value.rpartition(" ")
        if not token or scheme.lower() not in {"", "bearer"}:
            raise Unauthenticated(
                f"Send an ID token of {self._settings.issuer} in the header {self._settings.header}."
            )
        if token.endswith(_STRIPPED):
            raise Unauthenticated(
                "Cloud Run has removed the ID token's signature, as it does where it checks callers itself: switch that "
                "off (--no-invoker-iam-check). This server checks them."
            )
        return Principal(_user_of(await asyncio.to_thread(self._claims, token)))

    def _claims(self, token: str) -> Mapping[str, Any]:
        import jwt

        try:
            key = self._keys.get_signing_key_from_jwt(token)
            return jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"The ID token is not valid: {error}.") from error


def _user_of(claims: Mapping[str, Any]) -> UserId:
    verified = claims.get("email") if claims.get("email_verified", False) else None
    name = str(verified or claims["sub"])
    if _UNSAFE.search(name) or len(name) > _LONGEST_USER:
        raise Unauthenticated(f"The token's user id {name[:40]!r} has characters that an id can't have here.")
    return UserId(name)


def authenticator(settings: AuthSettings | None) -> Authenticate:
    return TokenVerifier(settings) if settings else local_user
