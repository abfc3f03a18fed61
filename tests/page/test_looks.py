"""How the page looks, and what it never does."""

import pytest
from playwright.sync_api import Page, expect
from tests.page.background import Model
from tests.page.chatting import answers, ask, expect_answer, expect_idle
from tests.page.conftest import OpenPage
from tests.processes import ServerProcess

REPORT = """
Here is **what** I found:

| Year | Balance |
|-----:|--------:|
| 1 | 2,605.00 |

```python
print("3,772.40")
```

See [the formula](https://example.com/formula) ![a chart](https://example.com/chart.png)
"""

ATTACK = """
<script>window.attacked = 1</script><img src="x" onerror="window.attacked = 1">

Hello <b onclick="window.attacked = 1">you</b> <iframe src="https://example.com"></iframe> \
[link](javascript:window.attacked=1) <style>body { display: none }</style>

```html
<img src="x" onerror="window.attacked = 1">
```
"""


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def brightness(page: Page) -> float:
    numbers = background(page).removeprefix("rgb(").removesuffix(")").split(",")
    return sum(float(number) for number in numbers) / 3


def test_markdown_is_shown_with_tables_and_code_that_can_be_copied(page: Page, model: Model) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    model.reply(REPORT)
    ask(page, "What is it worth?")
    expect_idle(page)
    answer = answers(page)
    expect(answer.locator("strong")).to_have_text("what")
    expect(answer.locator("td")).to_have_text(["1", "2,605.00"])
    expect(answer.locator(".code-language")).to_have_text("python")
    expect(answer.locator(".hljs-string")).to_have_text('"3,772.40"')
    answer.get_by_role("button", name="Copy").click()
    expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == 'print("3,772.40")'
    expect(answer.get_by_role("link", name="a chart")).to_have_attribute(
        "href", "https://example.com/chart.png"
    )
    expect(answer.locator("img")).to_have_count(0)


HALF_WRITTEN = """
async (text) => {
  const { renderMarkdown } = await import("./page/markdown.js");
  const root = document.createElement("div");
  const seen = [];
  for (let end = 1; end <= text.length; end++) {
    renderMarkdown(root, text.slice(0, end), true);
    seen.push(root.textContent);
  }
  renderMarkdown(root, text, false);
  return [seen, root.textContent];
}
"""


def test_half_written_markup_does_not_show(page: Page) -> None:
    text = "A **bold** word, `code` and [a link](https://example.com/x).\n\n## Head\n\nText\n- one\n- two **b**\n"
    seen, whole = page.evaluate(HALF_WRITTEN, text)
    assert [part for part in seen if any(mark in part for mark in ("**", "`", "](", "https:", "##"))] == []
    assert "A bold word, code and a link." in whole


def test_nothing_that_a_model_writes_is_executed(page: Page, model: Model) -> None:
    model.reply(ATTACK)
    ask(page, "Attack me.")
    expect(answers(page)).to_contain_text("Hello")
    expect_idle(page)
    page.locator(".answer").click()
    assert page.evaluate("window.attacked") is None
    expect(answers(page).locator("script, style, iframe, img, [onclick], [href^=javascript]")).to_have_count(
        0
    )
    expect(page.locator(".composer")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_one_is_chosen(
    open_page: OpenPage, pilothouse: ServerProcess, scheme: str
) -> None:
    page = open_page(pilothouse.url, color_scheme=scheme)
    assert (brightness(page) > 128) == (scheme == "light")
    other = {"light": "dark", "dark": "light"}[scheme]
    switch = page.locator(".theme-switch")
    while page.evaluate("document.documentElement.dataset.theme ?? null") != other:
        switch.click()
    assert (brightness(page) > 128) == (other == "light")
    page.reload()
    expect(page.locator(".composer")).to_be_visible()
    assert (brightness(page) > 128) == (other == "light")


def test_on_a_phone_the_chats_are_a_drawer_and_nothing_is_wider_than_the_screen(
    open_page: OpenPage, pilothouse: ServerProcess, model: Model
) -> None:
    page = open_page(pilothouse.url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    model.reply(tool="convert_time", arguments={"time": "09:30", "from_zone": "UTC", "to_zone": "Asia/Tokyo"})
    model.reply(REPORT + "\n" + "a-very-long-word-without-any-space" * 20)
    ask(
        page,
        "What time is it in Tokyo when it is half past nine in London?" + " https://example.com/" + "x" * 200,
    )
    expect_idle(page)
    page.locator(".tool summary").click()
    expect(page.locator(".tool-result")).to_be_visible()
    for part in ("html", ".chat"):
        wide, screen = page.evaluate(
            f"(e => [e.scrollWidth, e.clientWidth])(document.querySelector('{part}'))"
        )
        assert wide <= screen
    expect(page.locator(".sidebar")).to_be_hidden()
    page.get_by_label("Open the list of chats").click()
    expect(page.locator(".sidebar")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".sidebar")).to_be_hidden()


def test_the_agents_are_listed_and_one_that_can_not_be_served_says_why(page: Page) -> None:
    expect(page.locator(".status-model")).to_contain_text("scripted")
    page.locator(".agent-button").click()
    expect(page.locator(".agent")).to_have_count(5)
    broken = page.get_by_role("button", name="Broken")
    expect(broken).to_be_disabled()
    expect(broken).to_contain_text("No module named 'a_module_that_nobody_has'")


def test_the_page_follows_the_answer_only_for_who_is_at_its_end(page: Page, model: Model) -> None:
    lines = "\n\n".join(f"Line {number}" for number in range(60))
    model.reply(lines)
    ask(page, "Write a lot.")
    expect_idle(page)
    last = answers(page).get_by_text("Line 59", exact=True)
    expect(last).to_be_in_viewport()
    page.locator(".chat").hover()
    page.mouse.wheel(0, -1_500)
    expect(last).not_to_be_in_viewport()
    expect(page.get_by_label("Go to the end")).to_be_visible()
    page.get_by_label("Go to the end").click()
    expect(last).to_be_in_viewport()


def test_an_empty_chat_has_questions_to_begin_with(page: Page, model: Model) -> None:
    model.reply("17% of 2,340 = 397.8")
    page.get_by_role("button", name="Work something out").click()
    expect_answer(page, "17% of 2,340 = 397.8")
    assert "17%" in model.questions[0][0]
