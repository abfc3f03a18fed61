"""What the simulated instances run where a test needs no Pilothouse: it starts in a moment and does as it is told."""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

environ = os.environ  # noqa: TID251  a program of its own


@dataclass
class Held:
    """How many requests are held, and were at most."""

    now: int = 0
    most: int = 0

    def add(self, number: int) -> None:
        self.now += number
        self.most = max(self.most, self.now)


held = Held()


async def ok(request: Request) -> Response:
    return JSONResponse({"ok": True})


async def about(request: Request) -> Response:
    facts = {
        "pid": os.getpid(),
        "headers": request.headers.items(),
        "cloud_run": {name: value for name, value in environ.items() if name.startswith("K_")},
        "most_at_once": held.most,
    }
    return Response(json.dumps(facts), media_type="application/json")


class Echo:
    """Sends each piece of the body back as it comes. (A StreamingResponse would read from the client as well.)"""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            piece = await receive()
            more = piece.get("more_body", False)
            await send({"type": "http.response.body", "body": piece.get("body", b""), "more_body": more})


async def hold(request: Request) -> Response:
    """Answer when the gate opens; tell the gate if the client leaves before."""
    held.add(1)
    reader, writer = await asyncio.open_unix_connection(request.query_params["gate"])
    try:
        opened, left = asyncio.ensure_future(reader.read()), asyncio.ensure_future(_left(request))
        await asyncio.wait((opened, left), return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            writer.write(b"left\n")
            await writer.drain()
        left.cancel()
        return JSONResponse({"pid": os.getpid()})
    finally:
        held.add(-1)
        writer.close()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def stream(request: Request) -> Response:
    """The first word at once, the second when the gate opens."""

    async def words():
        yield "one "
        reader, writer = await asyncio.open_unix_connection(request.query_params["gate"])
        await reader.read()
        writer.close()
        yield "two"

    return StreamingResponse(words(), media_type="text/plain")


async def no_content(request: Request) -> Response:
    return Response(status_code=204)


async def deaf(request: Request) -> Response:
    """Take no notice of SIGTERM from now on."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return JSONResponse({})


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{os.getpid()} {text}")


app = Starlette(
    routes=[
        Route("/ok", ok),
        Route("/about", about),
        Route("/echo", Echo(), methods=["POST"]),
        Route("/hold", hold, methods=["GET", "POST"]),
        Route("/stream", stream),
        Route("/no-content", no_content),
        Route("/deaf", deaf),
        WebSocketRoute("/socket", socket),
    ]
)

if __name__ == "__main__":
    time.sleep(float(environ.get("START_SECONDS", "0")))
    if reason := environ.get("REFUSE_TO_START"):
        raise SystemExit(reason)
    port = int(environ["PORT"])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", ws_max_size=1 << 20)
