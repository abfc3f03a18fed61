"""The parent's side of the embedded model: a child process that is started at its first use, kept alive, and ended.

The listening socket is the parent's: address and key stay the same while children come and go, and a request that arrives
while a child is being replaced waits instead of failing.
"""

import asyncio
import logging
import secrets
import socket
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from pilothouse.errors import ModelUnavailable, PilothouseError
from pilothouse.models.embedded import machine
from pilothouse.models.embedded.catalogue import ModelFile
from pilothouse.models.embedded.orders import Orders, Ready
from pilothouse.models.embedded.weights import OnProgress, find_weights

_LOAD_DEADLINE = timedelta(minutes=3)
_END_DEADLINE = timedelta(seconds=5)
_WARM_DEADLINE = timedelta(minutes=5)
_FIRST_PAUSE = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(seconds=30)
_MOST_FAILURES = 5
"""Starts in a row that may fail before we give up."""
_ERROR_LINES = 20

_log = logging.getLogger(__name__)


class EmbeddedModel:
    """A small model on this machine, behind an OpenAI-compatible address.

    Entering costs nothing: the model is fetched and started by the first `start` or `ready`. It ends with this object, and with the
    process, however that ends.
    """

    def __init__(
        self,
        data: Path,
        *,
        path: Path | None = None,
        model: ModelFile | None = None,
        on_progress: OnProgress = lambda _done, _total, _label: None,
    ) -> None:
        """`data` is the data directory; `path` a GGUF file to use instead of ours; `model` which of ours (by default
        what fits this machine)."""
        self._data = data / "models"
        self._path = path
        self._file = model or machine.fitting_model()
        self._on_progress = on_progress
        self._key = secrets.token_urlsafe(32)
        self._stack = AsyncExitStack()
        self._supervisor: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._leaving = False
        self._failure: PilothouseError | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def base_url(self) -> str:
        """For OpenAI clients: ends in `/v1`."""
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}/v1"

    @property
    def api_key(self) -> str:
        return self._key

    @property
    def model(self) -> str:
        """The model's name on the API."""
        return self._path.stem if self._path else self._file.name

    @property
    def label(self) -> str:
        """The model's name for people."""
        return self._path.stem if self._path else self._file.label

    @property
    def notice(self) -> str:
        """What people should know about it."""
        return (
            f"A small local model answers ({self.label}). It is good at using tools and weak at everything else. Set "
            "GEMINI_API_KEY, or name an OpenAI-compatible server, for a better one."
        )

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Self:
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        if self._supervisor:
            self._supervisor.cancel()
        # Without the error: it is the caller's, and a task group would wrap it.
        await self._stack.__aexit__(None, None, None)

    def start(self) -> None:
        """Begin to fetch and start the model, if that is not under way. `ready` tells how it went.

        Raises `ModelUnavailable` once this object is being left: what is started then would keep it for ever.
        """
        if self._leaving:
            raise ModelUnavailable(f"{self.label} is being stopped.")
        if self._supervisor is None or self._supervisor.done():
            self._settled.clear()
            self._failure = None
            self._supervisor = self._tasks.create_task(self._supervise())

    async def ready(self) -> None:
        """Return when the model answers; it is started if need be.

        Raises `ConfigurationError` if its weights can't be had or the processor can't run it, `ModelUnavailable` if it
        does not start. The next call tries again.
        """
        self.start()
        await self._settled.wait()
        if self._failure:
            raise self._failure

    async def warm(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """Have the model read these tools (as on the wire, with `x-examples`) ahead of their first use."""
        import httpx

        await self.ready()
        url = self.base_url.removesuffix("/v1")
        headers = {"Authorization": f"Bearer {self._key}"}
        timeout = _WARM_DEADLINE.total_seconds()
        try:
            async with httpx.AsyncClient(
                base_url=url, headers=headers, timeout=timeout, trust_env=False
            ) as client:
                response = await client.post("/warm", json={"tools": list(tools)})
                response.raise_for_status()
        except httpx.HTTPError as error:
            raise ModelUnavailable(f"{self.label} could not be warmed up: {error}.") from error

    async def _supervise(self) -> None:
        try:
            machine.check_processor()
            path = await find_weights(self._file, self._data, path=self._path, on_progress=self._on_progress)
            await self._keep_alive(path)
        except PilothouseError as error:
            self._failure = error
        except OSError as error:
            self._failure = ModelUnavailable(f"{self.label} could not be started: {error}.")
            self._failure.__cause__ = error
        finally:
            self._settled.set()

    async def _keep_alive(self, path: Path) -> None:
        pause = _FIRST_PAUSE
        failures = 0
        last_words: deque[str] = deque(maxlen=_ERROR_LINES)
        while failures < _MOST_FAILURES:
            async with self._child(path, last_words) as process:
                if await self._loaded(process):
                    failures, pause = 0, _FIRST_PAUSE
                    self._settled.set()
                    await process.wait()
                    self._settled.clear()
            failures += 1
            _log.warning(
                "the embedded model ended", extra={"status": process.returncode, "failures": failures}
            )
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, _LONGEST_PAUSE)
        reason = next((line for line in reversed(last_words) if line.strip()), "it gave no reason")
        raise ModelUnavailable(f"{self.label} does not start: {reason}")

    @asynccontextmanager
    async def _child(self, path: Path, last_words: deque[str]) -> AsyncGenerator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pilothouse.models.embedded",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[self._listener.fileno()],
            start_new_session=True,  # Ctrl-C is for the parent, which then ends us in its own time
        )  # fmt: skip
        self._process = process
        assert process.stdin
        assert process.stderr
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(_read_lines(process.stderr, last_words))
            try:
                with suppress(ConnectionError):
                    process.stdin.write(msgspec.json.encode(self._orders(path)) + b"\n")
                    await process.stdin.drain()
                yield process
            finally:
                await asyncio.shield(_end(process))
                reader.cancel()

    def _orders(self, path: Path) -> Orders:
        return Orders(
            path=str(path),
            prefixes=str(self._data / "prefixes"),
            model=self.model,
            label=self.label,
            key=self._key,
            listener=self._listener.fileno(),
            threads=machine.threads(),
        )

    async def _loaded(self, process: asyncio.subprocess.Process) -> bool:
        assert process.stdout
        with suppress(TimeoutError, msgspec.MsgspecError):
            async with asyncio.timeout(_LOAD_DEADLINE.total_seconds()):
                msgspec.json.decode(await process.stdout.readline(), type=Ready)
                return True
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its standard input, which it takes as the order to end; kill it if it does not."""
    assert process.stdin
    process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_DEADLINE.total_seconds()):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _read_lines(stream: asyncio.StreamReader, last_words: deque[str]) -> None:
    while line := await stream.readline():
        last_words.append(line.decode(errors="replace").rstrip())
        _log.debug("the embedded model's process wrote", extra={"line": last_words[-1]})
