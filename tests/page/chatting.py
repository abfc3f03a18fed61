"""What a person does in the page, and what they look at."""

from playwright.sync_api import Locator, Page, expect


def ask(page: Page, question: str) -> None:
    page.get_by_label("Message", exact=True).fill(question)
    page.keyboard.press("Enter")


def answers(page: Page) -> Locator:
    return page.locator(".answer .markdown")


def questions(page: Page) -> Locator:
    return page.locator(".question-text")


def expect_answer(page: Page, text: str) -> None:
    """The last answer is this, exactly, and the run has ended."""
    expect(answers(page).last).to_have_text(text)
    expect_idle(page)


def expect_idle(page: Page) -> None:
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def chat_named(page: Page, title: str) -> Locator:
    return page.locator(".thread", has_text=title)
