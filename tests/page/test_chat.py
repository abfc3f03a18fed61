"""A conversation in the browser."""

import re

from playwright.sync_api import Page, expect
from tests.page.background import Model
from tests.page.chatting import answers, ask, chat_named, expect_answer, expect_idle, questions

STORY = "One ship sailed out at dawn and two came home at night."


def test_an_answer_is_shown_while_it_is_written(page: Page, model: Model) -> None:
    finish = model.reply_in_two(STORY)
    ask(page, "Tell me of the ships.")
    expect(answers(page)).to_have_text("One")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    finish()
    expect_answer(page, STORY)
    expect(questions(page)).to_have_text("Tell me of the ships.")
    expect(page).to_have_url(re.compile(r"#/t/[0-9a-f-]{36}$"))
    expect(chat_named(page, "Tell me of the ships.").first).to_have_class(re.compile("open"))


def test_a_tool_call_shows_its_arguments_and_its_result(page: Page, model: Model) -> None:
    model.reply(tool="calculate", arguments={"expression": "0.1 + 0.2"})
    model.reply("It is **0.3**.")
    ask(page, "What is 0.1 + 0.2?")
    expect_answer(page, "It is 0.3.")
    card = page.locator(".tool")
    expect(card.locator(".tool-name")).to_have_text("calculate")
    expect(card.locator(".tool-summary")).to_have_text("0.1 + 0.2")
    expect(card.get_by_role("img", name="done")).to_be_visible()
    card.locator("summary").click()
    expect(card.locator("dd")).to_have_text("0.1 + 0.2")
    expect(card.locator(".tool-result pre")).to_contain_text("0.3")


def test_a_tool_that_refuses_is_shown_as_failed(page: Page, model: Model) -> None:
    model.reply(tool="calculate", arguments={"expression": "1 / 0"})
    model.reply("Nothing can be divided by zero.")
    ask(page, "What is 1 / 0?")
    expect_answer(page, "Nothing can be divided by zero.")
    expect(page.locator(".tool.failed")).to_have_count(1)


def test_an_answer_that_is_stopped_keeps_what_was_said_and_the_chat_goes_on(page: Page, model: Model) -> None:
    model.reply_in_two(STORY)
    ask(page, "Tell me of the ships.")
    expect(answers(page)).to_have_text("One")
    page.keyboard.press("Escape")
    expect(page.locator(".stopped")).to_be_visible()
    expect(answers(page)).to_have_text("One")
    expect_idle(page)
    page.reload()
    expect(answers(page)).to_have_text("One")
    model.reply("Certainly.")
    ask(page, "Once more?")
    expect_answer(page, "Certainly.")


def test_an_edited_question_takes_the_place_of_what_came_after_it(page: Page, model: Model) -> None:
    for number in ("first", "second", "third"):
        model.reply(f"The {number} answer.")
        ask(page, f"The {number} question?")
        expect_answer(page, f"The {number} answer.")
    page.locator(".turn").nth(1).hover()
    page.locator(".turn").nth(1).get_by_label("Edit and ask again").click()
    model.reply("Another answer.")
    page.get_by_label("Edit the question").fill("Another question?")
    page.keyboard.press("Enter")
    expect_answer(page, "Another answer.")
    assert model.questions[-1] == ["The first question?", "Another question?"]
    page.reload()
    expect(questions(page)).to_have_text(["The first question?", "Another question?"])
    expect(answers(page)).to_have_text(["The first answer.", "Another answer."])


def test_the_first_question_can_be_edited_too(page: Page, model: Model) -> None:
    model.reply("Good.")
    ask(page, "Something?")
    expect_answer(page, "Good.")
    page.get_by_label("Message", exact=True).press("ArrowUp")
    model.reply("Better.")
    page.get_by_label("Edit the question").fill("Something else?")
    page.get_by_role("button", name="Send").first.click()
    expect_answer(page, "Better.")
    assert model.questions[-1] == ["Something else?"]


def test_a_question_can_be_asked_again(page: Page, model: Model) -> None:
    model.reply("Heads.")
    ask(page, "Heads or tails?")
    expect_answer(page, "Heads.")
    model.reply("Tails.")
    page.get_by_label("Ask again", exact=True).click()
    expect_answer(page, "Tails.")
    assert model.questions[-1] == ["Heads or tails?"]
    expect(questions(page)).to_have_count(1)


def test_a_failed_run_says_why_and_can_be_tried_again(page: Page, model: Model) -> None:
    model.fail(401, "Incorrect API key provided.", code="invalid_api_key")
    ask(page, "Are you there?")
    error = page.get_by_role("alert")
    expect(error).to_contain_text("The model's key was refused")
    expect(error).to_contain_text("Check its key")
    page.reload()
    expect(error).to_contain_text("Check its key")
    model.reply("I am.")
    page.get_by_role("button", name="Try again").click()
    expect_answer(page, "I am.")
    expect(error).to_have_count(0)
    expect(questions(page)).to_have_text("Are you there?")


def test_what_the_agent_asks_is_answered_in_the_chat(page: Page, model: Model) -> None:
    page.locator(".agent-button").click()
    page.get_by_role("button", name="Asking").click()
    ask(page, "What happened that year?")
    asked = page.locator(".interrupt")
    expect(asked).to_contain_text("Which year do you mean?")
    page.reload()
    asked.get_by_label("Your reply").fill("1969")
    page.keyboard.press("Enter")
    expect_answer(page, "You mean 1969.")
    expect(asked).to_have_count(0)


def test_a_tool_call_is_approved_or_rejected_with_a_reason(page: Page, model: Model) -> None:
    page.locator(".agent-button").click()
    page.get_by_role("button", name="Selling").click()
    ask(page, "Aurora")
    asked = page.locator(".interrupt")
    expect(asked).to_contain_text("The agent wants to call sell.")
    expect(asked.locator("pre")).to_contain_text('"ship": "Aurora"')
    page.reload()
    asked.get_by_role("button", name="Approve").click()
    expect_answer(page, "Sold Aurora.")
    ask(page, "Marie")
    asked.get_by_label("Why not").fill("She is mine.")
    asked.get_by_role("button", name="Reject").click()
    expect_answer(page, "Kept Marie: User rejected the tool call for sell with reason: She is mine.")
    expect(asked).to_have_count(0)


def test_several_tool_calls_are_decided_one_by_one_and_made_together(page: Page, model: Model) -> None:
    page.locator(".agent-button").click()
    page.get_by_role("button", name="Selling").click()
    ask(page, "Aurora Marie Nordlys")
    asked = page.locator(".interrupt")
    expect(asked).to_have_count(3)
    asked.filter(has_text="Marie").get_by_role("button", name="Reject").click()
    expect(asked).to_have_count(2)
    asked.filter(has_text="Nordlys").get_by_role("button", name="Approve").click()
    expect(asked).to_have_count(1)
    asked.get_by_role("button", name="Approve").click()
    expect_idle(page)
    expect(asked).to_have_count(0)
    expect(answers(page)).to_contain_text(["Sold Aurora.", "Kept Marie: User rejected", "Sold Nordlys."])


def test_shift_and_enter_make_a_new_line_and_a_draft_outlives_a_reload(page: Page) -> None:
    composer = page.get_by_label("Message", exact=True)
    composer.fill("First")
    composer.press("Shift+Enter")
    composer.press_sequentially("second")
    expect(composer).to_have_value("First\nsecond")
    page.reload()
    expect(composer).to_have_value("First\nsecond")


def test_a_run_that_may_spend_no_more_asks_whether_to_go_on(page: Page, model: Model) -> None:
    page.locator(".agent-button").click()
    page.get_by_role("button", name="Frugal").click()
    model.reply(tool="calculate", arguments={"expression": "6 * 7"})
    ask(page, "What is 6 times 7?")
    asked = page.locator(".interrupt")
    expect(asked).to_contain_text("The run has reached its limit (model calls: 1).")
    page.reload()
    expect(asked).to_contain_text("May it go on?")
    model.reply("It is 42.")
    asked.get_by_role("button", name="Go on").click()
    expect_answer(page, "It is 42.")
    expect(asked).to_have_count(0)
