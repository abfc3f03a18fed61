"""The page comes back by itself, misses nothing and doubles nothing."""

from pathlib import Path

from playwright.sync_api import Page, expect
from tests.page.background import Cable, Loop, Model
from tests.page.chatting import answers, ask, expect_answer
from tests.page.conftest import OpenPage, a_free_port
from tests.processes import ServerProcess, serving

LONG = " ".join(f"wave{number}" for number in range(400))


def port_of(server: ServerProcess) -> int:
    return int(server.url.rpartition(":")[2])


def test_after_a_reload_in_the_middle_the_answer_goes_on(page: Page, model: Model) -> None:
    finish = model.reply_in_two(LONG)
    ask(page, "How many waves?")
    expect(answers(page)).to_have_text("wave0")
    page.reload()
    expect(answers(page)).to_have_text("wave0")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    finish()
    expect_answer(page, LONG)


def test_another_chat_can_be_opened_while_one_is_answered(page: Page, model: Model) -> None:
    finish = model.reply_in_two(LONG)
    ask(page, "How many waves?")
    expect(answers(page)).to_have_text("wave0")
    waiting = page.url
    page.get_by_role("link", name="New chat").click()
    expect(page.locator(".welcome")).to_be_visible()
    finish()
    page.goto(waiting)
    expect_answer(page, LONG)


def test_what_was_said_while_the_connection_was_cut_is_caught_up(
    open_page: OpenPage, pilothouse: ServerProcess, model: Model, loop: Loop
) -> None:
    with Cable(loop, port_of(pilothouse)) as cable:
        page = open_page(f"http://127.0.0.1:{cable.port}")
        finish = model.reply_in_two(LONG)
        ask(page, "How many waves?")
        expect(answers(page)).to_have_text("wave0")
        cable.cut()
        expect(page.locator(".status.reconnecting, .status.gone")).to_be_visible()
        expect(page.locator(".link-lost")).to_be_visible()
        finish()
        expect(page.locator(".status.gone")).to_be_visible()
        cable.mend()
        expect_answer(page, LONG)
        expect(page.locator(".status.connected")).to_be_visible()


def test_a_question_that_found_no_server_is_asked_once_when_it_is_back(
    open_page: OpenPage, pilothouse: ServerProcess, model: Model, loop: Loop
) -> None:
    with Cable(loop, port_of(pilothouse)) as cable:
        page = open_page(f"http://127.0.0.1:{cable.port}")
        model.reply("Here I am.")
        ask(page, "Hello?")
        expect_answer(page, "Here I am.")
        cable.cut()
        model.reply("Still here.")
        ask(page, "And now?")
        expect(page.locator(".status.reconnecting, .status.gone")).to_be_visible()
        cable.mend()
        expect_answer(page, "Still here.")
        assert model.questions == [["Hello?"], ["Hello?", "And now?"]]


def test_a_run_goes_on_after_the_server_was_killed(
    open_page: OpenPage, project: Path, model: Model, tmp_path: Path
) -> None:
    port, data = a_free_port(), tmp_path / "data"
    with serving(project, port=port, data=data) as server:
        page = open_page(server.url)
        model.reply("Before.")
        ask(page, "Before the storm?")
        expect_answer(page, "Before.")
        model.reply_in_two(LONG)
        ask(page, "How many waves?")
        expect(answers(page).last).to_have_text("wave0")
        server.kill()
    expect(page.locator(".status.reconnecting, .status.gone")).to_be_visible()
    model.reply(LONG)
    with serving(project, port=port, data=data):
        expect(answers(page)).to_have_text(["Before.", LONG], timeout=30_000)
        expect_answer(page, LONG)
