"""The JavaScript SDK under Node: the scenarios are in `js/*.test.mjs`."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.processes import ServerProcess, environment

FOLDER = Path(__file__).parent / "js"
SCENARIOS = sorted(path.name for path in FOLDER.glob("*.test.mjs"))
OLDEST_NODE = 18


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the SDK in the versions of `package-lock.json`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed: bash scripts/debian-packages tests")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node is {version}, and the SDK needs {OLDEST_NODE} or newer")
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".installed-lock.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        command = [npm, "ci", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{' '.join(command)} in {FOLDER} failed:\n{done.stdout}{done.stderr}"
        shutil.copy(lock, installed)
    return node


@pytest.mark.slow
@pytest.mark.timeout(300)  # the first time, the SDK is installed
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_javascript_sdk_gets_what_it_expects(server: ServerProcess, node: str, scenario: str) -> None:
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", scenario],
        cwd=FOLDER,
        env=environment({"SERVER_URL": server.url}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(done.stdout, pytrace=False)
