"""Errors as HTTP replies: the one table from the error tree to statuses."""

import logging
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from pilothouse import errors
from pilothouse.errors import PilothouseError

logger = logging.getLogger(__name__)

STATUS: dict[type[PilothouseError], int] = {
    errors.PayloadTooLarge: 413,
    errors.InvalidRequest: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.AgentUnavailable: 409,
    errors.LeaseLost: 409,
    errors.ModelQuotaExceeded: 429,
    errors.ModelUnavailable: 503,
    errors.ModelError: 502,
    errors.StoreUnavailable: 503,
    errors.ServerStopping: 503,
    errors.TooBusy: 429,
    PilothouseError: 500,
}
"""A class that is not here has the status of its nearest ancestor."""


class ErrorBody(msgspec.Struct, frozen=True):
    """What every error looks like: a sentence for people, and a stable code for programs."""

    detail: str
    code: str


def error_reply(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body = msgspec.json.encode(ErrorBody(detail, code))
    return Response(body, status, headers, "application/json")


def reply_to(error: Exception) -> Response:
    """The reply to a request that failed. What is not ours is logged, and the caller learns nothing of it."""
    if not isinstance(error, PilothouseError):
        logger.error("request failed", exc_info=error)
        return error_reply(
            500, PilothouseError.code, "Something went wrong; the cause is in the server's log."
        )
    status = status_of(error)
    if status >= 500:
        logger.error("request failed", exc_info=error)
    return error_reply(status, error.code, str(error), _advice(error, status))


def status_of(error: PilothouseError) -> int:
    return next(STATUS[ancestor] for ancestor in type(error).__mro__ if ancestor in STATUS)


def _advice(error: PilothouseError, status: int) -> dict[str, str]:
    if isinstance(error, errors.ModelQuotaExceeded) and error.retry_after:
        return {"retry-after": str(int(error.retry_after.total_seconds()) + 1)}
    if error.retryable:
        return {"retry-after": "1"}
    if status == 401:
        return {"www-authenticate": "Bearer"}
    return {"connection": "close"} if status == 413 else {}
