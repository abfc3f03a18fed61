"""A process that works on one run, ends it and dies at once, before it can tell anybody."""

import asyncio
import os
import signal
import sys

from tests.runs.instances import delta, instance

from pilothouse.events import RunEnded
from pilothouse.ports.runs import RunLease


async def main(url: str) -> None:
    async def end_and_die(lease: RunLease) -> None:
        await lease.append([delta("last words")])
        await lease.finish(RunEnded("success"))
        os.kill(os.getpid(), signal.SIGKILL)

    async with instance(url) as here:
        await here.work(end_and_die)


asyncio.run(main(sys.argv[1]))
