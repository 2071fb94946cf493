"""The release timeline and the access regimes as a person meets them: side by side in one notebook, in Voila."""

import pytest
from panel_page import SOON_MS, watch
from test_replication import serious, sticking_out, write

from tests.conftest import save_random_gpt2

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


@pytest.fixture(scope="module")
def page(browser, voila_url, notebooks, tmp_path_factory):
    """One visit to both panels, shared by the tests of this file, which follow one another."""
    folder = save_random_gpt2(tmp_path_factory.mktemp("family") / "pocket-medium")
    record = tmp_path_factory.mktemp("record") / "decisions.jsonl"
    source = (
        "from pathlib import Path\n"
        "from IPython.display import display\n"
        "from course_utils.widgets.access_regimes.access_regimes import AccessRegimes\n"
        "from course_utils.widgets.timeline.timeline import ReleaseTimeline\n"
        f"display(ReleaseTimeline(record={str(record)!r}), AccessRegimes(Path({str(folder)!r})))"
    )
    write(notebooks, "releases", source)
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.record = record
    page.errors, page.outside = watch(page)
    page.goto(f"{voila_url}/voila/render/releases.ipynb")
    page.locator(".ar").wait_for(timeout=2 * SOON_MS)
    yield page
    page.close()


def see(page, text: str, within: str = ".cp") -> None:
    page.locator(within).get_by_text(text).first.wait_for(timeout=SOON_MS)


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def put_on(page, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1400})
    for panel in page.locator(".cp").all():
        if panel.get_attribute("data-theme") != theme:
            panel.get_by_role("button", name="Dark", exact=True).click()
    page.locator(f".ar[data-theme={theme}]").wait_for()
    page.wait_for_timeout(150)  # the drawing follows the width


def test_a_closed_size_is_refused_in_another_panel_and_the_year_is_hidden_until_it_is_decided(page, photograph):
    see(page, "Choose Feb 2019 to begin")
    page.get_by_role("radio", name="Feb 2019").check()
    see(page, "Feb 2019: gpt2, pocket-small", ".rt-said")
    assert page.get_by_role("radio", name="Aug 2019").is_disabled()
    assert "355M" not in page.locator(".rt-decided, .rt-events").all_inner_texts()[0]
    see(page, "pocket-medium is not released yet", ".ar .cp-message")
    photograph(page, "timeline-feb")
    page.get_by_role("radio", name="Wait").check()
    page.get_by_label("Why?").fill(HOSTILE)
    press(page, "Commit, and see what OpenAI did")
    see(page, "released 355M on 3 May 2019, 78 days after", ".rt-decided")
    see(page, "May 2019: gpt2, gpt2-medium", ".rt-said")
    assert page.record.read_text("utf-8").count("</script>") >= 1
    page.locator(".ar .cp-message").wait_for(state="hidden", timeout=SOON_MS)


def test_the_arrow_keys_walk_along_the_events_and_the_drawing_follows(page):
    told, chips = page.locator(".rt-event"), page.locator(".rt-chip")
    chips.locator("visible=true").nth(0).click()
    first = told.inner_text()
    page.keyboard.press("ArrowRight")
    assert told.inner_text() != first
    page.keyboard.press("End")
    assert chips.last.evaluate("chip => chip === document.activeElement")
    page.locator(".rt-mark path").nth(0).click()
    assert told.inner_text() == first


def test_the_three_regimes_answer_and_refuse_and_what_was_tried_is_ticked(page, photograph):
    page.get_by_label("One prompt for all three").fill(f"The letter said {HOSTILE}")
    press(page, "Next-token probabilities: Open weights")
    see(page, "%", ".ar-small")
    press(page, "Next-token probabilities: Gated API")
    see(page, "This API gives no probabilities", ".ar-output")
    press(page, "One text: Gated API")
    see(page, "The request carries no key", ".ar-output")
    page.get_by_label("Purpose").fill(f"a lesson {HOSTILE}")
    page.keyboard.press("Enter")
    see(page, "20 of 20 requests left", ".ar-account")
    press(page, "One text: Gated API")
    see(page, "logged; the seed is the provider's", ".ar-output")
    see(page, "19 of 20 requests left", ".ar-account")
    page.locator(".ar-provider summary").focus()
    page.keyboard.press("Enter")
    see(page, HOSTILE, ".ar-log")
    press(page, "One text: Hosted demo")
    see(page, "cut short", ".ar-output")
    press(page, "Look inside: Open weights")
    see(page, "sha256 of the file", ".ar-output")
    press(page, "Provider: revoke the key")
    see(page, "is revoked", ".ar-account")
    assert page.locator(".ar-tried").count() > 5
    assert page.locator(".cp img").count() == 0
    assert page.evaluate("window.__xss") is None


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 400)])
def test_nothing_sticks_out_and_axe_finds_nothing_serious(page, photograph, axe, theme, width):
    put_on(page, theme, width)
    photograph(page, f"releases-{theme}-{width}")
    assert sticking_out(page) == []
    assert serious(page, axe) == []


def test_nothing_went_wrong_and_nothing_was_asked_outside(page):
    assert page.errors == []
    assert page.outside == []
