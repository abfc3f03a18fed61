"""The embedded model's HTTP API: OpenAI's `/v1/chat/completions`, `/v1/models` and `/v1/embeddings`, and two of its own.

`GET /ready` answers when the model is loaded. `POST /warm` with `{"tools": […]}` has the model read the tools' examples ahead
of their first use. The header `x-withheld-tools` of an answer names the tools that were not offered to the model, for lack
of examples.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pilothouse.errors import InvalidRequest
from pilothouse.models.embedded import filling, wire
from pilothouse.models.embedded.llama import CONTEXT_TOKENS, Llama, LlamaFailed
from pilothouse.models.embedded.opinions import opinion_prefix
from pilothouse.models.embedded.sentences import SentenceEncoder
from pilothouse.models.embedded.turns import CallTool, Say, Talk, Turn, Turns, offered, withheld
from pilothouse.models.embedded.wire import Answer, ChatRequest, Message, Usage

_ANSWER_TOKENS = 512
_JSON = "application/json"


class _Embed(msgspec.Struct, frozen=True):
    input: str | list[str]


class _Key:
    """Admits requests that carry the bearer key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                refusal = Response(
                    wire.error("The key is not valid.", "invalid_api_key"), 401, media_type=_JSON
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Api:
    """The routes, over one loaded model."""

    def __init__(self, llama: Llama, encoder: SentenceEncoder, *, model: str, label: str) -> None:
        self._llama = llama
        self._encoder = encoder
        self._model = model
        self._turns = Turns(llama, encoder, label)

    def app(self, key: str) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/embeddings", self._embeddings, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/ready", self._models),
            Route("/warm", self._warm, methods=["POST"]),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(_Key, key=key)],
            exception_handlers={InvalidRequest: _refused, LlamaFailed: _failed},
        )

    async def _models(self, _request: Request) -> Response:
        entry = {"id": self._model, "object": "model", "created": 0, "owned_by": "pilothouse"}
        return _json({"object": "list", "data": [entry]})

    async def _embeddings(self, request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=_Embed)
        except msgspec.MsgspecError as error:
            raise InvalidRequest(f"The request is not an embeddings request: {error}.") from error
        sentences = [asked.input] if isinstance(asked.input, str) else asked.input
        if not sentences:
            raise InvalidRequest("`input` is empty.")
        vectors = await asyncio.to_thread(self._encoder.encode, sentences)
        data = [
            {"object": "embedding", "index": index, "embedding": vector.tolist()}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return _json({"object": "list", "model": "all-minilm-l6-v2", "data": data, "usage": usage})

    async def _warm(self, request: Request) -> Response:
        tools = offered(wire.decode_tools(await request.body()))
        for prefix in [*map(filling.prefix, tools), opinion_prefix(tools)]:
            await self._llama.warm(prefix)
        return Response(status_code=204)

    async def _chat(self, request: Request) -> Response:
        asked = wire.decode(await request.body())
        answer = Answer(self._model, int(time.time()))
        headers = {"x-withheld-tools": ",".join(names)} if (names := withheld(asked.tools)) else None
        turn = await self._turns.next(asked)
        if asked.stream:
            stream = self._streamed(answer, asked, turn)
            return StreamingResponse(stream, headers=headers, media_type="text/event-stream")
        return Response(await self._whole(answer, asked, turn), headers=headers, media_type=_JSON)

    async def _streamed(self, answer: Answer, asked: ChatRequest, turn: Turn) -> AsyncIterator[bytes]:
        usage = Usage()
        finish = "stop"
        yield answer.chunk({"role": "assistant", "content": ""})
        match turn:
            case CallTool():
                usage, finish = turn.usage, "tool_calls"
                call = wire.new_call(turn.name, turn.arguments)
                yield answer.chunk({"tool_calls": [{"index": 0, **msgspec.to_builtins(call)}]})
            case Say():
                yield answer.chunk({"content": turn.text})
            case Talk():
                try:
                    async for piece in self._llama.chat(await self._fitted(asked, turn)):
                        if piece.text:
                            yield answer.chunk({"content": piece.text})
                        finish = piece.finish_reason or finish
                        usage = usage + Usage(piece.prompt_tokens, piece.completion_tokens)
                except LlamaFailed as failure:
                    yield wire.error_event(str(failure), "model_error")
                    return
        yield answer.chunk({}, finish)
        if asked.include_usage:
            yield answer.usage(usage)
        yield b"data: [DONE]\n\n"

    async def _whole(self, answer: Answer, asked: ChatRequest, turn: Turn) -> bytes:
        match turn:
            case CallTool():
                return answer.whole("", wire.new_call(turn.name, turn.arguments), "tool_calls", turn.usage)
            case Say():
                return answer.whole(turn.text, None, "stop", Usage())
            case Talk():
                text, finish, usage = "", "stop", Usage()
                async for piece in self._llama.chat(await self._fitted(asked, turn)):
                    text += piece.text
                    finish = piece.finish_reason or finish
                    usage = usage + Usage(piece.prompt_tokens, piece.completion_tokens)
                return answer.whole(text, None, finish, usage)

    async def _fitted(self, asked: ChatRequest, turn: Talk) -> Mapping[str, Any]:
        """The request to llama.cpp, with the oldest messages left out until it fits the context."""
        limit = min(asked.options.get("max_tokens", _ANSWER_TOKENS), CONTEXT_TOKENS // 2)
        kept = [message for message in turn.messages if message.role == "system"]
        room = CONTEXT_TOKENS - limit - 64
        for message in kept:
            room -= await self._cost(message)
        recent: list[Message] = []
        for message in reversed([message for message in turn.messages if message.role != "system"]):
            room -= await self._cost(message)
            if room < 0 and recent:
                break
            recent.insert(0, message)
        body = {"temperature": 0.3, **asked.options, "max_tokens": limit}
        body["messages"] = [_plain(message, room) for message in kept + recent]
        return body | ({"grammar": turn.grammar} if turn.grammar else {})

    async def _cost(self, message: Message) -> int:
        return 8 + await self._llama.count(message.content)


def _plain(message: Message, room: int) -> dict[str, str]:
    """A message as the model's own template knows it: tools' results come from the user, and calls are left out."""
    content = message.content
    if room < 0:
        content = content[: max(len(content) + 3 * room, 200)]
    if message.role == "tool":
        return {
            "role": "user",
            "content": f"Result:\n{content}\n\nAnswer my question from this result, briefly.",
        }
    return {"role": message.role, "content": content or "(calls a tool)"}


def _json(data: Any) -> Response:
    return Response(msgspec.json.encode(data), media_type=_JSON)


def _refused(_request: Request, error: Exception) -> Response:
    return Response(wire.error(str(error), "invalid_request"), 400, media_type=_JSON)


def _failed(_request: Request, error: Exception) -> Response:
    return Response(wire.error(f"The model could not answer: {error}", "model_error"), 500, media_type=_JSON)
