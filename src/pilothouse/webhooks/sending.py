"""One attempt at a delivery: a POST to an address that was checked. Redirects are not followed, the reply is not read."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from ssl import SSLContext
from typing import TYPE_CHECKING

from pilothouse.errors import InvalidRequest
from pilothouse.webhooks.addresses import Target, WebhookAddresses, WebhookFailed, WebhookRefused
from pilothouse.webhooks.signing import signed_headers

if TYPE_CHECKING:
    from httpx import AsyncClient

_DEADLINE = timedelta(seconds=10)
_CONNECT_SECONDS = 3
_GONE = 410


class Sender:
    """`tls` is what connections are verified against; without it, the usual authorities."""

    def __init__(
        self,
        addresses: WebhookAddresses,
        secrets: Sequence[bytes],
        deadline: timedelta = _DEADLINE,
        tls: SSLContext | None = None,
    ) -> None:
        self._addresses = addresses
        self._secrets = secrets
        self._deadline = deadline
        self._tls = tls

    def check(self, url: str) -> Target:
        """What the URL says, as far as it may be called. Raises `InvalidRequest`."""
        if not self._secrets:
            raise InvalidRequest(
                "This server signs no webhooks yet: set webhook_secret (see docs/schedules.md), and give it to the receiver."
            )
        return self._addresses.check(url)

    async def send(self, url: str, message_id: str, body: bytes) -> None:
        """Returns when the receiver has taken the message. Raises `WebhookRefused`, `WebhookFailed`."""
        try:
            target = self.check(url)
        except InvalidRequest as error:
            raise WebhookRefused(str(error)) from error
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                status = await self._post(target, message_id, body)
        except TimeoutError as error:
            raise WebhookFailed(
                f"{target.host} did not answer within {self._deadline.total_seconds():g} s."
            ) from error
        if status == _GONE:
            raise WebhookRefused(f"{target.host} answered {status}: it wants no more.")
        if not 200 <= status < 300:
            raise WebhookFailed(f"{target.host} answered {status}.")

    async def _post(self, target: Target, message_id: str, body: bytes) -> int:
        import httpx

        addresses = await self._addresses.resolve(target)
        self._tls = self._tls or httpx.create_ssl_context(trust_env=False)
        # Without proxies, which would look the name up again; and no connection serves two hosts that share an address.
        client = httpx.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        failure: Exception | None = None
        async with client:
            for address in addresses:
                try:
                    return await self._post_to(client, address, target, message_id, body)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    failure = error
                except httpx.HTTPError as error:
                    raise WebhookFailed(f"{target.host} broke off: {type(error).__name__}.") from error
        raise WebhookFailed(f"{target.host} can't be reached: {failure}") from failure

    async def _post_to(
        self, client: "AsyncClient", address: str, target: Target, message_id: str, body: bytes
    ) -> int:
        import httpx

        url = httpx.URL(scheme=target.scheme, host=address, port=target.port, raw_path=target.path.encode())
        headers = {
            "host": target.authority,
            "content-type": "application/json",
            "user-agent": f"pilothouse/{version('pilothouse')}",
            **signed_headers(self._secrets, message_id, int(time.time()), body),
        }
        extensions = {"sni_hostname": target.host}
        request = client.build_request("POST", url, content=body, headers=headers, extensions=extensions)
        reply = await client.send(request, stream=True)
        await reply.aclose()
        return reply.status_code
