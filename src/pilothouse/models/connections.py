"""Broken connections, by the names that the HTTP libraries under the vendors' SDKs give them: httpx under Google's,
httpx2 under OpenAI's."""

import httpx
import httpx2

from pilothouse.models.failures import Advice, Failure, cut_off, silent, unreachable

NOT_MADE = (httpx.ConnectError, httpx.ConnectTimeout, httpx2.ConnectError, httpx2.ConnectTimeout)
TOO_SLOW = (httpx.TimeoutException, httpx2.TimeoutException, TimeoutError)
BROKEN = (httpx.TransportError, httpx2.TransportError, ConnectionError)


def explain_connection(error: BaseException, advice: Advice) -> Failure | None:
    """None if the error is about something else than the connection."""
    if isinstance(error, NOT_MADE):
        return unreachable(advice, retry=True)
    if isinstance(error, TOO_SLOW):
        return silent(advice)
    return cut_off(advice) if isinstance(error, BROKEN) else None
