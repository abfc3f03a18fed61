"""The wire of OpenAI's Chat Completions, which many servers speak.

Source: the API reference, https://platform.openai.com/docs/api-reference/chat
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilothouse.testing.model_script import Answer, Failure

WRONG_KEY = Failure(401, "Incorrect API key provided: {key}.", code="invalid_api_key")


def unknown_model(model: str) -> Failure:
    return Failure(404, f"The model `{model}` does not exist", code="model_not_found")


def chunks(answer: Answer, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The stream's events, without the closing `[DONE]`: a token each, then each call's head and arguments."""
    yield _chunk(body, {"role": "assistant", "content": ""})
    for token in answer.tokens:
        yield _chunk(body, {"content": token})
    for place, call in enumerate(answer.calls):
        head = {"index": place, "id": call.id, "type": "function"}
        yield _chunk(body, {"tool_calls": [head | {"function": {"name": call.name, "arguments": ""}}]})
        arguments = json.dumps(dict(call.arguments))
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            yield _chunk(body, {"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
    yield _chunk(body, {}, finish=_finish(answer))
    if body.get("stream_options") == {"include_usage": True}:
        yield _chunk(body, None) | {"usage": _usage(answer)}


def whole(answer: Answer, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments))},
            }
            for call in answer.calls
        ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(answer)}],
        "usage": _usage(answer),
    }


def models(names: list[str]) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0} for name in names]}


def error(failure: Failure) -> dict[str, Any]:
    return {
        "error": {
            "message": failure.message,
            "type": "error",
            "param": None,
            "code": failure.code or (failure.status if failure.in_stream else None),
        }
    }


def error_headers(failure: Failure) -> dict[str, str]:
    if failure.retry_after_seconds is None:
        return {}
    return {"retry-after-ms": str(round(failure.retry_after_seconds * 1000))}


def _chunk(
    body: Mapping[str, Any], delta: Mapping[str, Any] | None, finish: str | None = None
) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": body.get("model"),
        "choices": choices,
    }


def _finish(answer: Answer) -> str:
    return "tool_calls" if answer.calls else "stop"


def _usage(answer: Answer) -> dict[str, int]:
    output = len(answer.tokens) or 1
    return {"prompt_tokens": 10, "completion_tokens": output, "total_tokens": 10 + output}
