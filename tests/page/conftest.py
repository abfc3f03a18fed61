"""The page in Debian's Chromium, against a whole server whose model is scripted."""

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from tests.page.background import Loop, Model
from tests.page.served import serving_agents, write_project
from tests.processes import ServerProcess

CHROMIUM = shutil.which("chromium")
# A test's browser talks to nobody but the test's server.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
expect.set_options(timeout=15_000)

OpenPage = Callable[..., Page]


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module at a time: while it is open, Playwright's event loop runs in this thread, and no other may."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: bash scripts/debian-packages tests")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    with Loop() as loop:
        yield loop


@pytest.fixture(scope="session")
def model_port() -> int:
    return a_free_port()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, model_port: int) -> Path:
    return write_project(tmp_path_factory.mktemp("page") / "project", model_port)


@pytest.fixture(scope="session")
def pilothouse(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[ServerProcess]:
    """One server for all tests: each has a chat of its own."""
    data = tmp_path_factory.mktemp("server") / "data"
    with serving_agents(project, port=a_free_port(), data=data) as server:
        yield server


@pytest.fixture
def model(loop: Loop, model_port: int) -> Iterator[Model]:
    with Model(loop, model_port) as model:
        yield model


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages in browsers that remember nothing. Fails the test if one of them asked another host for anything, or
    if an error was raised in it."""
    contexts, strangers, errors = [], [], []

    def note_request(request: Request) -> None:
        if not re.match(r"(http://127\.0\.0\.1:|data:|blob:)", request.url):
            strangers.append(request.url)

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            errors.append(message.text)

    def open_page(url: str, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        contexts.append(context)
        context.on("request", note_request)
        context.on("console", note_message)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        expect(page.locator(".status.connected")).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert strangers == []
    assert errors == []


@pytest.fixture
def page(open_page: OpenPage, pilothouse: ServerProcess, model: Model) -> Page:
    """A new chat, and a model that waits for its script."""
    return open_page(pilothouse.url)
