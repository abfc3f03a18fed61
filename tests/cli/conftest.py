"""A whole server whose model is scripted, for the commands that talk to one."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.page.background import Loop, Model
from tests.page.served import serving_agents, write_project
from tests.processes import ServerProcess


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    with Loop() as loop:
        yield loop


@pytest.fixture(scope="session")
def model_port() -> int:
    return a_free_port()


@pytest.fixture
def model(loop: Loop, model_port: int) -> Iterator[Model]:
    """The model that the assistants of these tests use: give it its answers."""
    with Model(loop, model_port) as model:
        yield model


@pytest.fixture
def model_name(model_port: int) -> str:
    """For the setting `model`."""
    return f"openai/scripted@http://127.0.0.1:{model_port}/v1"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, model_port: int) -> Path:
    """A folder with three agents: assistant, asking (it asks back), broken (it does not load)."""
    return write_project(tmp_path_factory.mktemp("served") / "project", model_port)


@pytest.fixture(scope="session")
def server(project: Path) -> Iterator[ServerProcess]:
    with serving_agents(project, port=a_free_port(), data=project.parent / "data") as server:
        yield server
