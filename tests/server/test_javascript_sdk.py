"""The official JavaScript SDK, under Node, against a server on a real socket."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.serving import Served

FOLDER = Path(__file__).parent / "javascript"
STEPS = [
    "streams",
    "joinsLate",
    "resumesAfterACut",
    "cancels",
    "asksAPerson",
    "readsStateAndHistory",
    "remembers",
    "isToldWhatWentWrong",
]


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the packages that `javascript/package-lock.json` names installed."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("node and npm are not installed: bash scripts/debian-packages")
    installed, wanted = FOLDER / "node_modules/.package-lock.json", FOLDER / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, timeout=150)
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)  # the first time, the SDK is installed
def test_the_javascript_sdk_does_all_that_a_front_end_needs(run: Callable[..., None], node: str) -> None:
    async def scenario(served: Served) -> None:
        process = await asyncio.create_subprocess_exec(
            node,
            str(FOLDER / "scenario.mjs"),
            served.url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            done, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (done.decode().split(), process.returncode) == (STEPS, 0), errors.decode()

    run(scenario)
