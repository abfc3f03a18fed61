"""The floor of serving: Starlette streams the same tokens as server-sent events, with no agent behind them."""

import asyncio
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

TOKENS = int(os.environ.get("FAKE_TOKENS", "100"))  # noqa: TID251  # an agent of the bench's own, not of Pilothouse
DELAY = float(os.environ.get("FAKE_DELAY_MS", "0")) / 1000  # noqa: TID251  # the same


async def run(request: Request) -> StreamingResponse:
    await request.json()

    async def events() -> AsyncIterator[bytes]:
        for _ in range(TOKENS):
            await asyncio.sleep(DELAY)
            yield b'event: messages\ndata: [{"type":"AIMessageChunk","content":"tok "}]\n\n'

    return StreamingResponse(events(), media_type="text/event-stream")


async def ok(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/run", run, methods=["POST"]), Route("/ok", ok)])
