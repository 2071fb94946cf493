"""The blind test and the bias probe as a person meets them, in Voila: by keyboard, by pointer, in each light."""

import pytest
from panel_page import SOON_MS
from playwright.sync_api import Page
from test_replication import HOSTILE, press, put_on, serious, sticking_out, visit, wait_for

MACHINE = "a model called Zyx"


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.className + ' ' + document.activeElement.textContent.slice(0, 40)")


def clean(page: Page) -> None:
    assert page.locator(".cp img").count() == 0
    assert page.evaluate("window.__xss") is None
    assert page.errors == []
    assert page.outside == []


# -- the blind test ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def game(browser, voila_url, notebooks, tmp_path_factory):
    """One visit to the blind test, shared by the tests of this file."""
    folder = tmp_path_factory.mktemp("answers")
    source = (
        "from course_utils.experiments.readers.blind_items import Item\n"
        "from course_utils.widgets.blind_test.blind_test import BlindTest\n"
        "import os\n"
        f"os.environ['COURSE_LEDGER'] = {str(folder / 'evidence.jsonl')!r}\n"
        "text = 'The bridge was closed on Monday, the police said, and nobody could tell for how long. ' * 5\n"
        f"items = [Item(f'text {{i}}', f'Headline {{i}} {HOSTILE}', text + {HOSTILE!r}, ['human', {MACHINE!r}][i % 2], "
        "'ab' * (i % 2), i) for i in range(4)]\n"
        f"BlindTest(items, ratings=True, record={str(folder / 'answers.jsonl')!r})"
    )
    page = visit(browser, voila_url, notebooks, "blind", source)
    page.folder = folder
    yield page
    page.close()


def judge(page: Page, number: int, key: str) -> None:
    page.get_by_text(f"Text {number} of 4").wait_for(timeout=SOON_MS)
    for scale in ("believable", "accurate", "clear"):
        page.get_by_role("group", name=f"How {scale}?").get_by_label("3").check()
    page.keyboard.press(key)


def test_texts_are_judged_one_at_a_time_and_blind(game, photograph, axe):
    press_answer = game.get_by_role("button", name="A person wrote it")
    assert press_answer.get_attribute("aria-disabled") == "true"
    game.locator(".bt-article").focus()
    game.keyboard.press("h")
    game.get_by_text("Rate the text first").wait_for()
    judge(game, 1, "h")
    game.get_by_text("Text 2 of 4").wait_for(timeout=SOON_MS)
    assert "bt-article" in focused(game)
    assert game.locator(".bt-reading :checked").count() == 0
    assert MACHINE not in game.locator(".cp").inner_text()
    for theme, width in (("dark", 400), ("light", 1280)):
        put_on(game, theme, width)
        photograph(game, f"blind-test-{theme}-{width}")
        assert sticking_out(game) == []
        assert serious(game, axe) == []
    for number in (2, 3):
        judge(game, number, "m")
    judge(game, 4, "Tab")
    press_answer.click()
    game.locator(".bt-done").wait_for(timeout=SOON_MS)


def test_the_end_tells_the_sources_and_keeps_the_outcome(game, photograph, axe):
    game.locator(".bt-texts li").nth(3).wait_for(timeout=SOON_MS)
    assert game.locator(".bt-texts").inner_text().count(MACHINE) == 2
    assert game.locator(".bt-texts [data-right=true]").count() == 3 - 1
    assert "6.91" in game.locator(".bt-outcome").inner_text()
    game.get_by_role("button", name="Keep as evidence").first.click()
    game.get_by_text("Kept as [@E-").first.wait_for(timeout=SOON_MS)
    for theme, width in (("light", 1280), ("dark", 400), ("dark", 1280)):
        put_on(game, theme, width)
        photograph(game, f"blind-test-end-{theme}-{width}")
        assert sticking_out(game) == []
        assert serious(game, axe) == []
    clean(game)
    game.get_by_label("A second reader of the same texts").fill("B")
    press(game, "Let them read")
    game.get_by_text("Text 1 of 4 · rater B").wait_for(timeout=SOON_MS)
    assert MACHINE not in game.locator(".cp").inner_text()
    assert len((game.folder / "answers.jsonl").read_text().splitlines()) == 4


# -- the bias probe ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def probe(browser, voila_url, notebooks, tmp_path_factory):
    ledger = tmp_path_factory.mktemp("ledger") / "evidence.jsonl"
    source = (
        "import os\n"
        "from course_utils.widgets.bias_probe.bias_probe import BiasProbe\n"
        f"os.environ['COURSE_LEDGER'] = {str(ledger)!r}\n"
        "BiasProbe('pocket-medium')"
    )
    page = visit(browser, voila_url, notebooks, "probe", source)
    yield page
    page.close()


def look(page: Page, photograph, axe, name: str, places=(("dark", 400), ("light", 1280))) -> None:
    for theme, width in places:
        put_on(page, theme, width)
        photograph(page, f"bias-probe-{name}-{theme}-{width}")
        assert sticking_out(page) == []
        assert serious(page, axe) == []


def test_the_warning_comes_first_and_declining_shows_published_figures(probe, photograph, axe):
    assert probe.get_by_role("tab").count() == 0
    assert "insulting or violent" in probe.locator(".bp-warning").inner_text()
    press(probe, "Not for me: show published figures only")
    probe.get_by_role("cell", name="66 % (66 of 100)").wait_for(timeout=SOON_MS)
    look(probe, photograph, axe, "declined")
    press(probe, "Show the warning again")
    probe.get_by_role("button", name="I have read it: go on").focus()
    probe.keyboard.press("Enter")
    probe.get_by_role("tab", name="Two sentences").wait_for(timeout=SOON_MS)


def test_two_sentences_become_a_scatter(probe, photograph, axe):
    probe.get_by_label("Sentence A").fill(f"He said {HOSTILE}")
    probe.get_by_label("Sentence B").fill("She said that")
    press(probe, "Compare")
    wait_for(probe, "done")
    probe.locator(".bp-sign").nth(5).wait_for()
    press(probe, "Take the ten templates")
    press(probe, "Compare")
    probe.locator(".bp-scatter svg").wait_for()
    probe.get_by_text("and 9 more").first.wait_for(timeout=SOON_MS)
    look(probe, photograph, axe, "sentences")


def test_completions_are_counted_then_audited_by_keyboard(probe, photograph, axe):
    probe.get_by_role("tab", name="Two sentences").focus()
    probe.keyboard.press("ArrowRight")
    probe.get_by_label("Probe", exact=True).select_option("sheng occupation")
    probe.get_by_label("Texts a group").select_option("10")
    press(probe, "Let it write, and count")
    probe.locator(".oc-group:visible").first.wait_for(timeout=2 * SOON_MS)
    look(probe, photograph, axe, "completions")
    probe.get_by_role("tab", name="Audit by hand").click()
    assert probe.locator(".bp-context:visible").count() == 0
    press(probe, "Show me the hits")
    probe.locator(".bp-context:visible mark").wait_for(timeout=SOON_MS)
    look(probe, photograph, axe, "audit", [("light", 1280)])
    first = probe.locator(".bp-context").inner_text()
    probe.locator(".bp-mark").first.focus()
    probe.keyboard.press("y")
    probe.get_by_text("Hit 2 of").wait_for(timeout=SOON_MS)
    assert probe.locator(".bp-context").inner_text() != first
    assert "bp-mark" in focused(probe)
    probe.keyboard.press("n")
    probe.get_by_text("of 2 keyword hits judged by hand").first.wait_for(timeout=SOON_MS)
    look(probe, photograph, axe, "audited")


def test_stereotypes_are_scored_and_kept(probe, photograph, axe):
    probe.get_by_role("tab", name="Stereotype sentences").click()
    press(probe, "Score the sentences")
    probe.get_by_text("preferred the stereotype in").first.wait_for(timeout=SOON_MS)
    press(probe, "Keep as evidence")
    probe.get_by_text("Kept as [@E-").wait_for(timeout=SOON_MS)
    look(probe, photograph, axe, "stereotypes")
    clean(probe)
