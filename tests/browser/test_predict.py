"""The prediction panel as a person meets it, in Voila: by keyboard, on an axis, in each light, and after the result."""

import pytest
from panel_page import SOON_MS
from test_replication import HOSTILE, serious, sticking_out, watch, write


@pytest.fixture(scope="module")
def page(browser, voila_url, notebooks, tmp_path_factory):
    """Three predictions on one page: on an axis, among choices, in words."""
    ledger = str(tmp_path_factory.mktemp("predictions") / "evidence.jsonl")
    source = (
        "import ipywidgets\n"
        "from course_utils import Predict\n"
        f"question, ledger = 'How many tokens? {HOSTILE}', {ledger!r}\n"
        "axis = Predict('n', question, 'tokens', low=1, high=1000, scale='log', ledger=ledger)\n"
        f"way = Predict('way', 'Which is hardest?', choices=['greedy', {HOSTILE!r}], ledger=ledger)\n"
        "words = Predict('words', 'Which words?', in_words=True, ledger=ledger)\n"
        "button = ipywidgets.Button(description='Measure')\n"
        "button.on_click(lambda _: axis.reveal(40))\n"
        "ipywidgets.VBox([axis, way, words, button])"
    )
    write(notebooks, "predict", source)
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.errors, page.outside = watch(page)
    page.goto(f"{voila_url}/voila/render/predict.ipynb")
    page.locator(".cp.pr").nth(2).wait_for(timeout=2 * SOON_MS)
    yield page
    page.close()


def test_a_guess_is_placed_by_keyboard_kept_and_compared(page):
    axis = page.locator(".cp.pr").nth(0)
    keep = axis.get_by_role("button", name="Keep my prediction")
    assert keep.get_attribute("aria-disabled") == "true"
    slider = axis.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    assert axis.get_by_role("textbox").input_value() == "1000"
    axis.get_by_role("textbox").fill("10")
    page.keyboard.press("Enter")
    axis.get_by_text("You predicted 10 tokens.").wait_for(timeout=SOON_MS)
    page.get_by_role("button", name="Measure").click()
    axis.get_by_text("Measured: 40 tokens. The measured value is 4 times the prediction.").wait_for(timeout=SOON_MS)
    assert axis.locator(".pr-guess").count() == axis.locator(".pr-measured").count() == 1
    assert axis.get_by_role("textbox").is_disabled() and axis.get_by_role("button", name="prediction").count() == 0


def test_a_number_outside_the_axis_and_a_text_are_answered_in_words(page):
    way, words = page.locator(".cp.pr").nth(1), page.locator(".cp.pr").nth(2)
    way.get_by_label("greedy").check()
    way.get_by_role("button", name="Keep my prediction").click()
    way.get_by_text("You predicted “greedy”.").wait_for(timeout=SOON_MS)
    words.get_by_role("textbox").fill(HOSTILE)
    words.get_by_role("button", name="Keep my prediction").click()
    words.get_by_text("You predicted “").wait_for(timeout=SOON_MS)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 400)])
def test_it_is_readable_for_all(page, theme, width, axe, photograph):
    page.set_viewport_size({"width": width, "height": 900})
    for panel in page.locator(".cp.pr").all():
        if panel.get_attribute("data-theme") != theme:
            panel.get_by_role("button", name="Dark").click()
    photograph(page, f"predict_{theme}_{width}")
    assert sticking_out(page) == []
    assert serious(page, axe) == []
    assert page.locator(".cp img").count() == 0 and page.evaluate("window.__xss") is None
    assert page.errors == [] and page.outside == []
