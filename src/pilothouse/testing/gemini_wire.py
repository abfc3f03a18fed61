"""Gemini's wire, as its API and Vertex AI answer it.

Source: the REST reference of `models.generateContent`, https://ai.google.dev/api/generate-content
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pilothouse.testing.model_script import Answer, Failure

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

WRONG_KEY = Failure(400, "API key not valid. Please pass a valid API key.", code="API_KEY_INVALID")
MISSING_SIGNATURE = Failure(
    400,
    "Function call is missing a thought_signature in functionCall parts. "
    "This is required for tools to work correctly.",
)


def unknown_model(model: str) -> Failure:
    return Failure(404, f"models/{model} is not found for API version v1beta, or is not supported")


def chunks(answer: Answer, model: str) -> Iterator[dict[str, Any]]:
    """The stream's events: a token each, then the calls, the last with the reason why it ends."""
    pieces: list[list[dict[str, Any]]] = [[{"text": token}] for token in answer.tokens]
    if answer.calls:
        pieces.append(_calls(answer))
    for place, parts in enumerate(pieces or [[{"text": ""}]]):
        last = place >= len(pieces) - 1
        yield _response(
            parts, model, output_tokens=place + 1, finish={"finishReason": "STOP"} if last else {}
        )


def whole(answer: Answer, model: str) -> dict[str, Any]:
    """The answer in one piece."""
    parts: list[dict[str, Any]] = [{"text": answer.text}] if answer.text else []
    parts += _calls(answer)
    return _response(parts, model, len(answer.tokens) or 1, {"finishReason": "STOP"})


def error(failure: Failure) -> dict[str, Any]:
    details: list[dict[str, Any]] = []
    if failure.code:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": failure.code,
                "domain": "googleapis.com",
            }
        )
    if failure.quota_id:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": failure.quota_id, "quotaValue": "20"}],
            }
        )
    if failure.retry_after_seconds is not None:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{failure.retry_after_seconds}s",
            }
        )
    status = STATUSES.get(failure.status, "UNKNOWN")
    return {
        "error": {"code": failure.status, "message": failure.message, "status": status, "details": details}
    }


def unsigned_call(body: Mapping[str, Any], signatures: Mapping[str, str]) -> bool:
    """Whether a call that was answered with a signature comes back without it."""
    parts = (part for content in body.get("contents", ()) for part in content.get("parts", ()))
    return any(
        part.get("thoughtSignature") != signatures[call["id"]]
        for part in parts
        if (call := part.get("functionCall")) and call.get("id") in signatures
    )


def _calls(answer: Answer) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"functionCall": {"id": call.id, "name": call.name, "args": dict(call.arguments)}}
        for call in answer.calls
    ]
    for first in parts[:1]:
        first["thoughtSignature"] = answer.calls[0].signature
    return parts


def _response(
    parts: list[dict[str, Any]], model: str, output_tokens: int, finish: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0, **finish}],
        "usageMetadata": {
            "promptTokenCount": 10,
            "candidatesTokenCount": output_tokens,
            "totalTokenCount": 10 + output_tokens,
        },
        "modelVersion": model,
        "responseId": "response-1",
    }
