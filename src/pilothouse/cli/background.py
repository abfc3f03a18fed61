"""A server inside this process, in a thread with an event loop of its own. It ends with the block."""

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager

import msgspec

from pilothouse.cli.hosting import Server, listen, open_server, url_of
from pilothouse.cli.loops import run_async
from pilothouse.settings import Settings
from pilothouse.wiring import Report

_START_SECONDS = 180
_END_SECONDS = 20


@contextmanager
def background_server(settings: Settings, report: Report) -> Generator[str]:
    """The URL of a server with these settings on a free port of the loopback address, for this machine's user.

    `report` is told from the thread. Raises what `open_server` raises.
    """
    here = msgspec.structs.replace(settings, host="127.0.0.1", port=0, auth=None)
    starting: Future[_Starting] = Future()
    started: Future[Server] = Future()

    async def serve() -> None:
        starting.set_result(_Starting())
        try:
            async with open_server(here, report) as server:
                started.set_result(server)
                await server.serve(sockets=[listener])
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    with listen(here.host, here.port) as listener:
        # Daemonic: whatever holds it up, the process can end.
        thread = threading.Thread(target=lambda: run_async(serve()), name="pilothouse-server", daemon=True)
        thread.start()
        try:
            started.result(_START_SECONDS)
            yield url_of(listener)
        finally:
            if started.done() and started.exception() is None:
                started.result().should_exit = True
            else:
                starting.result(_END_SECONDS).cancel()
            thread.join(_END_SECONDS)


class _Starting:
    """The task that opens the server, as other threads may cancel it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()

    def cancel(self) -> None:
        if self._task and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
