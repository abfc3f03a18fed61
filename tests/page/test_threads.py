"""The list of chats."""

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect
from tests.page.background import Model
from tests.page.chatting import answers, ask, chat_named, expect_answer


@pytest.fixture
def title(page: Page, model: Model) -> str:
    """A chat whose name no other has."""
    title = f"Question {uuid4().hex[:12]}"
    model.reply("An answer.")
    ask(page, title)
    expect_answer(page, "An answer.")
    return title


def test_a_chat_can_be_renamed(page: Page, title: str) -> None:
    chat = chat_named(page, title)
    chat.hover()
    chat.get_by_title("Rename").click()
    field = page.get_by_label("Name of the chat")
    field.fill(f"Better {title[-6:]}")
    field.press("Enter")
    expect(page).to_have_title(f"Better {title[-6:]} · Pilothouse")
    page.reload()
    expect(chat_named(page, f"Better {title[-6:]}")).to_be_visible()
    expect(chat_named(page, title)).to_have_count(0)


def test_a_deleted_chat_can_be_had_back(page: Page, title: str) -> None:
    chat = chat_named(page, title)
    chat.hover()
    chat.get_by_title("Delete").click()
    expect(chat).to_have_count(0)
    expect(page.locator(".welcome")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(chat).to_be_visible()
    expect(answers(page)).to_have_text("An answer.")


def test_a_deleted_chat_is_gone_for_good(page: Page, title: str) -> None:
    address = page.url
    chat = chat_named(page, title)
    chat.hover()
    chat.get_by_title("Delete").click()
    with page.expect_response(lambda response: response.request.method == "DELETE") as deletion:
        expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    assert deletion.value.ok
    page.goto(address)
    page.reload()
    expect(page.get_by_role("heading", name="This chat is gone")).to_be_visible()
    expect(chat).to_have_count(0)


def test_chats_are_found_by_words_of_their_names(page: Page, title: str) -> None:
    page.get_by_role("link", name="New chat").click()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("searchbox", name="Search chats")).to_be_focused()
    page.keyboard.type(title[-12:])
    expect(page.locator(".thread")).to_have_count(1)
    chat_named(page, title).get_by_role("link").click()
    expect(answers(page)).to_have_text("An answer.")
    page.get_by_role("searchbox", name="Search chats").fill("no chat has this name")
    expect(page.locator(".thread")).to_have_count(0)


def test_the_newest_chat_is_first(page: Page, title: str, model: Model) -> None:
    page.get_by_role("link", name="New chat").click()
    model.reply("Another answer.")
    ask(page, "Something newer")
    expect_answer(page, "Another answer.")
    expect(page.locator(".thread-title").first).to_have_text("Something newer")
    chat_named(page, title).get_by_role("link").click()
    expect(answers(page)).to_have_text("An answer.")
    model.reply("More.")
    ask(page, "More?")
    expect_answer(page, "More.")
    expect(page.locator(".thread-title").first).to_have_text(re.compile(re.escape(title)))
