"""What gets webhooks in these tests: an HTTP server that answers by a script, and keeps what it got."""

import asyncio
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from standardwebhooks.webhooks import Webhook
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pilothouse.testing.loopback import LoopbackServer

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = f"whsec_{b64encode(KEY).decode()}"

Answer = int | Response | Callable[[], Awaitable[int]]


@dataclass(frozen=True)
class Message:
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str = SECRET) -> Any:
        """What the message says. Raises if it is not signed with the secret."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Answers each POST with the next of `answers`, and 200 after the last of them."""

    def __init__(self, *answers: Answer) -> None:
        self.messages: list[Message] = []
        self._answers = deque(answers)
        self._arrival = asyncio.Condition()
        self._server = LoopbackServer(self)

    @property
    def url(self) -> str:
        return f"{self._server.url}/hook?token=1"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    @property
    def port(self) -> int:
        return self._server.port

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def got(self, count: int = 1) -> Sequence[Message]:
        """All messages, as soon as there are that many."""
        async with asyncio.timeout(15), self._arrival:
            await self._arrival.wait_for(lambda: len(self.messages) >= count)
        return self.messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        message = Message(dict(request.headers), await request.body())
        answer = self._answers.popleft() if self._answers else 200
        async with self._arrival:
            self.messages.append(message)
            self._arrival.notify_all()
        if callable(answer) and not isinstance(answer, Response):
            answer = await answer()
        reply = Response(status_code=answer) if isinstance(answer, int) else answer
        await reply(scope, receive, send)


async def never() -> int:
    """The answer of a receiver that hangs."""
    await asyncio.Event().wait()
    raise AssertionError
