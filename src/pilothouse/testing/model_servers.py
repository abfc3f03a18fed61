"""A model provider for tests: an HTTP server that speaks the wires of Gemini, Vertex AI and OpenAI, by a script.

    async with ModelServer() as server:
        server.reply(tool="calculate", arguments={"expression": "2+2"})
        server.reply("Four.")
        … point a client at server.gemini_url or server.openai_url …
        assert server.requests[0].body["tools"]

Each request takes the next step of the script; a request that finds none is answered by `otherwise`, else with an
error that says so. As with a real provider, a wrong key, an unknown model, or a Gemini tool call that comes back
without its signature is refused, and takes no step.
"""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive

from pilothouse.testing import gemini_wire, openai_wire
from pilothouse.testing.loopback import LoopbackServer
from pilothouse.testing.model_script import Answer, Call, Failure, ModelRequest, Step

NOTHING_SCRIPTED = Failure(500, "the test's script has no further step")


class ModelServer:
    """The server and its script. `keys` and `models` are what it accepts; without them, anything."""

    def __init__(
        self,
        *,
        keys: Collection[str] | None = None,
        models: Sequence[str] | None = None,
        otherwise: Callable[[ModelRequest], Step] | None = None,
        port: int = 0,
    ) -> None:
        self.requests: list[ModelRequest] = []
        """Every request so far, in order."""
        self.otherwise = otherwise
        """Answers the requests that find no step."""
        self._keys = keys
        self._models = models
        self._script: deque[Step] = deque()
        self._call_numbers = itertools.count(1)
        self._signatures: dict[str, str] = {}
        self._arrival = asyncio.Condition()
        self._server = LoopbackServer(Starlette(routes=self._routes()), port)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def gemini_url(self) -> str:
        """The base URL for a Gemini client, with a key or on Vertex AI."""
        return self._server.url

    @property
    def openai_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self._server.url}/v1"

    @property
    def host(self) -> str:
        """The base URL of an Ollama server."""
        return self._server.url

    def reply(
        self,
        text: str = "",
        *,
        tool: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        calls: Sequence[Call] = (),
        delay_seconds: float = 0.0,
        hold: asyncio.Event | None = None,
        cut_after: int | None = None,
    ) -> None:
        """Add an answer to the script: text, one `tool` call, several `calls`, or text and calls."""
        if tool is not None:
            calls = (Call(tool, arguments or {}), *calls)
        self._script.append(Answer(text, calls, delay_seconds, hold, cut_after))

    def fail(
        self,
        status: int,
        message: str = "The model is overloaded.",
        *,
        code: str | None = None,
        retry_after: float | None = None,
        quota_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        in_stream: bool = False,
    ) -> None:
        """Add an error to the script; `retry_after` is in seconds. See `Failure`."""
        self._script.append(Failure(status, message, code, retry_after, quota_id, headers or {}, in_stream))

    async def wait_for_requests(self, count: int) -> None:
        """Return when so many requests have come in all. Bring a deadline."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.requests) >= count)

    def _routes(self) -> list[Route]:
        paths = (
            "/{version}/models/{model}:{verb}",
            "/{version}/projects/{project}/locations/{location}/publishers/google/models/{model}:{verb}",
        )
        return [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._list_models),
            *(Route(path, self._generate, methods=["POST"]) for path in paths),
        ]

    async def _list_models(self, request: Request) -> Response:
        if not self._accepts(request):
            return self._openai_error(openai_wire.WRONG_KEY)
        return JSONResponse(openai_wire.models(list(self._models or ["test-model"])))

    async def _complete(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        received = await self._record(request, body, str(body.get("model")))
        step = self._next(received, openai_wire.WRONG_KEY, openai_wire.unknown_model)
        if isinstance(step, Failure) and not step.in_stream:
            return self._openai_error(step)
        if isinstance(step, Failure):
            return _Stream(received, Answer(), [openai_wire.error(step)], done=False)
        answer = self._number_calls(step)
        await asyncio.sleep(answer.delay_seconds)
        if not body.get("stream"):
            return JSONResponse(openai_wire.whole(answer, body))
        return _Stream(received, answer, list(openai_wire.chunks(answer, body)), done=True)

    async def _generate(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        model = str(request.path_params["model"])
        received = await self._record(request, body, model)
        step = self._next(received, gemini_wire.WRONG_KEY, gemini_wire.unknown_model)
        if isinstance(step, Answer) and gemini_wire.unsigned_call(body, self._signatures):
            self._script.appendleft(step)
            step = gemini_wire.MISSING_SIGNATURE
        if isinstance(step, Failure):
            error = gemini_wire.error(step)
            if step.in_stream:
                return _Stream(received, Answer(), [error], done=False)
            return JSONResponse(error, step.status, dict(step.headers))
        answer = self._number_calls(step)
        await asyncio.sleep(answer.delay_seconds)
        self._signatures |= {call.id: call.signature for call in answer.calls[:1]}
        if request.path_params["verb"] == "generateContent":
            return JSONResponse(gemini_wire.whole(answer, model))
        return _Stream(received, answer, list(gemini_wire.chunks(answer, model)), done=False)

    async def _record(self, request: Request, body: Mapping[str, Any], model: str) -> ModelRequest:
        now = asyncio.get_running_loop().time()
        received = ModelRequest(request.url.path, dict(request.headers), body, model, now, asyncio.Event())
        async with self._arrival:
            self.requests.append(received)
            self._arrival.notify_all()
        return received

    def _next(
        self, received: ModelRequest, wrong_key: Failure, unknown_model: Callable[[str], Failure]
    ) -> Step:
        if self._keys is not None and received.credential not in self._keys:
            return _mention(wrong_key, received.credential)
        if self._models is not None and received.model not in self._models:
            return unknown_model(received.model)
        if self._script:
            return self._script.popleft()
        return self.otherwise(received) if self.otherwise else NOTHING_SCRIPTED

    def _number_calls(self, answer: Answer) -> Answer:
        calls = [
            msgspec.structs.replace(call, id=call.id or f"call_{next(self._call_numbers)}")
            for call in answer.calls
        ]
        return msgspec.structs.replace(answer, calls=calls)

    def _accepts(self, request: Request) -> bool:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._keys is None or key in self._keys

    def _openai_error(self, failure: Failure) -> JSONResponse:
        headers = {**openai_wire.error_headers(failure), **failure.headers}
        return JSONResponse(openai_wire.error(failure), failure.status, headers)


def _mention(failure: Failure, key: str) -> Failure:
    """OpenAI-compatible servers may repeat the key that they refuse."""
    return Failure(failure.status, failure.message.replace("{key}", key), failure.code)


class _Stream(StreamingResponse):
    """The events of an answer, with the script's pause or cut. Tells the request when its client has gone before the
    end."""

    def __init__(
        self, received: ModelRequest, answer: Answer, events: Sequence[Mapping[str, Any]], *, done: bool
    ) -> None:
        super().__init__(self._frames(answer, events, done=done), media_type="text/event-stream")
        self._gone = received.gone
        self._ended = False

    async def listen_for_disconnect(self, receive: Receive) -> None:
        await super().listen_for_disconnect(receive)
        if not self._ended:
            self._gone.set()

    async def _frames(
        self, answer: Answer, events: Sequence[Mapping[str, Any]], *, done: bool
    ) -> AsyncIterator[str]:
        first_token = 1 if done else 0  # OpenAI's first event announces the message and holds no token.
        cut_at = answer.cut_after + first_token if answer.cut_after else answer.cut_after
        for place, event in enumerate(events):
            if place == cut_at:
                raise ConnectionAbortedError("the test's script cuts the connection here")
            yield f"data: {json.dumps(event)}\r\n\r\n"
            if answer.hold is not None and place == first_token:
                await answer.hold.wait()
        if done:
            yield "data: [DONE]\n\n"
        self._ended = True
