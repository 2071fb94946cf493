"""The panels of the detection lesson as a person meets them: the token map and the detector bench, in Voila."""

import pytest
from made_pairs import wordy_model
from panel_page import SOON_MS, watch
from playwright.sync_api import Locator, Page
from test_replication import serious, sticking_out, write

HOSTILE = "</script><img src=x onerror=window.__xss=1>"
TEXT = f"In a small town by the sea, the newspaper printed a story that nobody had written. {HOSTILE} " * 2
THEMES_AND_WIDTHS = [("light", 1280), ("dark", 400), ("light", 400), ("dark", 1280)]
FOR_AXE = [("light", 1280), ("dark", 400)]  # it takes seconds


@pytest.fixture(scope="module")
def page(browser, voila_url, notebooks, real_cache, tiny_folder, tmp_path_factory):
    """One visit to both panels, with a model that writes quickly and, where this machine has them, the news."""
    folder = tmp_path_factory.mktemp("bench")
    wordy_model(folder / "wordy")
    (folder / "cache").mkdir()
    has_news = (real_cache / "texts").exists()
    if has_news:
        (folder / "cache" / "texts").symlink_to(real_cache / "texts")
    source = (
        "import os\n"
        f"os.environ['COURSE_CACHE'] = {str(folder / 'cache')!r}\n"
        f"os.environ['COURSE_LEDGER'] = {str(folder / 'evidence.jsonl')!r}\n"
        "from pathlib import Path\n"
        "from course_utils.widgets.detector_bench.detector_bench import DetectorBench\n"
        "from course_utils.widgets.token_map.token_map import TokenMap\n"
        f"bench = DetectorBench(Path({str(folder / 'wordy')!r}))\n"
        "bench.compose(kinds=['words'], n_pairs=20, n_words=12, seed=3)\n"
        f"display(TokenMap({TEXT!r}, Path({str(tiny_folder)!r})), bench)"
    )
    write(notebooks, "detection", source)
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.errors, page.outside, page.has_news = *watch(page), has_news
    page.goto(f"{voila_url}/voila/render/detection.ipynb")
    page.locator(".db").wait_for(timeout=2 * SOON_MS)
    yield page
    page.close()


@pytest.fixture(scope="module")
def tokens(page) -> Locator:
    """The token map, after one reading."""
    panel = page.locator(".tm")
    press(panel, "Read")
    wait_for(panel, "done")
    return panel


@pytest.fixture(scope="module")
def bench(page) -> Locator:
    return page.locator(".db")


def press(panel: Locator, name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def wait_for(panel: Locator, state: str) -> None:
    panel.and_(panel.page.locator(f"[data-state={state}]")).wait_for(timeout=2 * SOON_MS)


def look(page: Page, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1400})
    for panel in page.locator(".cp").all():
        if panel.get_attribute("data-theme") != theme:
            press(panel, "Dark")
        panel.and_(page.locator(f"[data-theme={theme}]")).wait_for()


# -- the token map -----------------------------------------------------------------------------------------------------


def test_every_token_tells_by_pointer_and_by_arrow_keys(page, tokens):
    shown, details = tokens.locator(".tm-text"), tokens.locator(".tm-details")
    assert HOSTILE in shown.inner_text()
    n_tokens = shown.get_by_role("option").count()
    assert tokens.locator(".tm-totals dd").first.inner_text() == str(n_tokens)
    shown.get_by_role("option").nth(5).hover()
    assert f"token 6 of {n_tokens}" in details.inner_text()
    shown.get_by_role("option").nth(0).click()
    assert "no text before it" in details.inner_text()
    for key, place in (("ArrowRight", 2), ("End", n_tokens), ("ArrowRight", n_tokens), ("ArrowLeft", n_tokens - 1)):
        page.keyboard.press(key)
        told = details.inner_text()
        assert f"token {place} of {n_tokens}" in told and "surprisal" in told and "rank" in told
    assert tokens.locator(".tm-text [tabindex='0']").count() == 1
    assert tokens.locator(".tm-alternatives li").count() == 10


def test_a_second_text_is_compared_by_the_keyboard_alone(page, tokens):
    tokens.get_by_role("button", name="Compare with a second text").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.press("Control+Enter")
    wait_for(tokens, "failed")
    assert "Text 2 is empty" in tokens.locator(".cp-message").inner_text()
    page.keyboard.type("The letter said that nobody had written it.")
    page.keyboard.press("Control+Enter")
    tokens.locator(".tm-histogram").nth(1).wait_for(timeout=SOON_MS)
    assert "percentage points" in tokens.locator(".tm-finding").inner_text()
    tokens.locator(".tm-text").nth(1).get_by_role("option").nth(1).click()


# -- the detector bench ------------------------------------------------------------------------------------------------


def test_a_trial_is_composed_and_run_or_says_what_is_missing(page, bench):
    bench.get_by_label("Sampling").select_option("nucleus, p = 0.9")
    assert bench.get_by_label("Top-p").input_value() == "0.9"
    bench.get_by_label("Ranks", exact=True).check()
    press(bench, "Run")
    if not page.has_news:
        wait_for(bench, "failed")
        assert "fetch texts" in bench.locator(".cp-message").first.inner_text()
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    wait_for(bench, "done")
    assert "top-p 0.9" in bench.locator(".db-finding").inner_text()
    assert bench.locator(".db-output table").first.locator("tbody tr").count() == 2
    assert "not measurable below 100" in bench.locator(".db-output table").first.inner_text()
    press(bench, "Keep as evidence")
    bench.get_by_text("Kept as [@E-").wait_for()


def test_a_text_of_one_s_own_is_placed_and_weighed(page, bench):
    if not page.has_news:
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    bench.get_by_label("Try a text of your own").fill("Too short.")
    press(bench, "Place it")
    bench.locator(".db-problem").filter(has_text="The text has 2 words").wait_for()
    bench.get_by_label("Try a text of your own").fill(f"{HOSTILE} the court said {'people ' * 30}")
    page.keyboard.press("Control+Enter")
    bench.locator(".db-place svg circle").first.wait_for(timeout=SOON_MS)
    assert "human test texts score at least as high" in bench.locator(".db-place").first.inner_text()
    bench.get_by_label("Base rate").fill("5000")
    page.keyboard.press("Tab")
    bench.locator(".db-place").filter(has_text="1 in 5,000").first.wait_for()


def test_both_panels_are_readable_in_every_look_and_hostile_text_stays_text(page, bench, axe, photograph):
    for theme, width in THEMES_AND_WIDTHS:
        look(page, theme, width)
        photograph(page, f"detection-{theme}-{width}")
        # Tables and curves may be wider than a telephone: they scroll in a region of their own.
        assert [each for each in sticking_out(page) if "db-scroll" not in each] == []
        assert (theme, width) not in FOR_AXE or serious(page, axe) == []
    assert page.locator(".cp img[src=x]").count() == 0
    assert page.evaluate("window.__xss") is None
    assert page.errors == []
    assert page.outside == []
