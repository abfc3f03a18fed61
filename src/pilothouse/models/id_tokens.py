"""Who we are to other services on Google Cloud: OIDC ID tokens, without keys.

Source: https://cloud.google.com/run/docs/authenticating/service-to-service
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

EARLY = timedelta(minutes=5)
FETCH_DEADLINE = timedelta(seconds=30)


class IdTokens:
    """The ID token for one audience, from application-default credentials or the metadata server: fetched when it is
    first asked for, and again five minutes before it expires. Raises `ModelKeyInvalid` where no identity is found, and
    `ModelUnavailable`."""

    def __init__(self, audience: str) -> None:
        self.audience = audience
        self._token = ""
        self._stale_at = datetime.min.replace(tzinfo=UTC)
        self._lock = asyncio.Lock()

    async def __call__(self) -> str:
        async with self._lock, asyncio.timeout(FETCH_DEADLINE.total_seconds()):
            if datetime.now(UTC) >= self._stale_at:
                self._token, expiry = await asyncio.to_thread(_fetch, self.audience)
                self._stale_at = expiry - EARLY
        return self._token


def _fetch(audience: str) -> tuple[str, datetime]:
    import requests
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request
    from google.oauth2.id_token import (
        fetch_id_token_credentials,  # pyright: ignore[reportUnknownVariableType]  # untyped in google-auth
    )

    from pilothouse.models.google_auth import explain_identity

    with requests.Session() as session:
        request = Request(session)
        try:
            credentials: Any = fetch_id_token_credentials(audience, request)
            credentials.refresh(request)
        except GoogleAuthError as error:
            raise explain_identity(
                error, "or give the server's key, the setting model_api_key"
            ).error from error
        return credentials.token, credentials.expiry.replace(tzinfo=UTC)
