"""A worker process that takes a run, says something and hangs: to be killed."""

import asyncio
import sys

from tests.runs.instances import delta, instance

from pilothouse.ports.runs import RunLease


async def main(url: str) -> None:
    async def hang(lease: RunLease) -> None:
        await lease.append([delta("hanging")])
        await asyncio.Event().wait()

    async with instance(url) as here:
        await here.work(hang)


asyncio.run(main(sys.argv[1]))
