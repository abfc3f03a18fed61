"""Child processes that never outlive this one."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Self

_END_SECONDS = 5


class Leash:
    """What holds the processes: see `leash`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        self._process = process
        self._pipe = process.stdin

    @classmethod
    @asynccontextmanager
    async def held(cls) -> AsyncGenerator[Self]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")),
            stdin=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        leash = cls(process)
        try:
            yield leash
        finally:
            leash._pipe.close()
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()

    @asynccontextmanager
    async def process(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path
    ) -> AsyncGenerator[asyncio.subprocess.Process]:
        """A process with a group of its own, killed at the end of the block if it is still there; `log` is what it writes."""
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the simulator, which then stops it in its own time
            )
        self._tell(f"+{process.pid}")
        try:
            yield process
        finally:
            signal_group(process, signal.SIGKILL)
            await asyncio.shield(process.wait())
            self._tell(f"-{process.pid}")

    def _tell(self, line: str) -> None:
        with suppress(OSError):
            self._pipe.write(f"{line}\n".encode())


def signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the process and the children in its group; nothing if it has ended."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
