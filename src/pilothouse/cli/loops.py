"""The event loop of a command."""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class _Threads(ThreadPoolExecutor):
    """Threads that nobody waits for at the end: one may be importing an agent, or run a tool whose run was cancelled."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


def run_async(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end, on uvloop where there is one."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.get_loop().set_default_executor(_Threads())
        runner.run(main)


def leave_threads() -> None:
    """End the process here, successfully, if threads of the loop are still busy: all that had to be closed is closed, and a
    platform that stops us waits ten seconds only."""
    if threading.active_count() > 1:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()
