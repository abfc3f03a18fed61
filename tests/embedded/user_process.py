"""A process that uses an embedded server until its standard input closes, or until it is killed."""

import asyncio
import sys
from pathlib import Path

from pilothouse.stores.embedded.postgres import running_postgres
from pilothouse.stores.embedded.valkey import running_valkey


async def main(kind: str, data: Path) -> None:
    print("starting", flush=True)
    async with running_valkey(data) if kind == "valkey" else running_postgres(data) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
