"""The child process. Started by `sidecar.EmbeddedModel`, never by hand.

It reads one line of JSON from standard input, its `Orders`, serves on the socket that it inherited, and writes one line of JSON to
standard output when it is ready. Standard input stays open: when it closes, the parent is gone, and so is the child.
"""

import asyncio
import os
import socket
import sys
import threading
from pathlib import Path

import msgspec
import uvicorn

from pilothouse.models.embedded import llama
from pilothouse.models.embedded.orders import Orders, Ready
from pilothouse.models.embedded.sentences import SentenceEncoder
from pilothouse.models.embedded.serving import Api

_NICENESS = 5
_SPINS = "1000"
"""How long a thread of llama.cpp spins before it sleeps. By default it spins so long that two busy processes on the same
cores slow it down eighteenfold; with this, twofold. Read by libgomp when xllamacpp is imported."""


def main() -> None:
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.environ["GOMP_SPINCOUNT"] = _SPINS  # noqa: TID251 - written for libgomp, which has no other setting
    os.nice(_NICENESS)
    asyncio.run(_serve(orders))


def _die_with_parent() -> None:
    """At once, whatever the model is doing: nothing here needs a farewell."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


async def _serve(orders: Orders) -> None:
    encoder = await asyncio.to_thread(SentenceEncoder, orders.threads)
    async with llama.load(
        Path(orders.path), Path(orders.prefixes), key=orders.key, threads=orders.threads
    ) as model:
        api = Api(model, encoder, model=orders.model, label=orders.label)
        config = uvicorn.Config(
            api.app(orders.key),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        listener = socket.socket(fileno=orders.listener)
        sys.stdout.buffer.write(msgspec.json.encode(Ready()) + b"\n")
        sys.stdout.buffer.flush()
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    main()
