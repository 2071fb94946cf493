"""The keep button and the evidence board as a person meets them, on one page of Voila."""

import dataclasses

import pytest
from made_pairs import wordy_model
from panel_page import SOON_MS, watch
from test_replication import serious, sticking_out, write

from course_utils.evidence.ledger.ledger import keep
from course_utils.experiments.detection.base_rates import base_rates
from course_utils.experiments.detection.token_ranks import read_ranks

HOSTILE = "</script><img src=x onerror=window.__xss=1>"
THEMES_AND_WIDTHS = [("light", 1280), ("dark", 400), ("light", 400), ("dark", 1280)]
FOR_AXE = [("light", 1280), ("dark", 400)]  # it takes seconds
SOURCE = """
import os
os.environ.update(COURSE_LEDGER={ledger!r}, COURSE_MODELS={models!r}, COURSE_CACHE={cache!r})
from course_utils.experiments.detection.base_rates import base_rates
from course_utils.widgets.evidence.evidence_board import EvidenceBoard
from course_utils.widgets.base.keep_button import show_result
show_result(base_rates())
display(EvidenceBoard())
"""


@pytest.fixture(scope="module")
def page(browser, voila_url, notebooks, tmp_path_factory):
    """One visit to a result with its button, and to a board of two records."""
    folder = tmp_path_factory.mktemp("evidence")
    ledger, cache = folder / "evidence.jsonl", folder / "cache"
    texts = ["The court said that people in the new state.", f"{HOSTILE} said the court."]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(cache))
        keep(read_ranks(wordy_model(folder / "shelf" / "wordy"), texts), f"of the court {HOSTILE}", ledger=ledger)
        own = dataclasses.replace(base_rates([0.9], [0.5]), experiment="", finding=f"Mine: {HOSTILE}")
        keep(own, ledger=ledger)
    write(notebooks, "evidence", SOURCE.format(ledger=str(ledger), models=str(folder / "shelf"), cache=str(cache)))
    context = browser.new_context(viewport={"width": 1280, "height": 1400}, permissions=["clipboard-read"])
    page = context.new_page()
    page.errors, page.outside, page.ledger = *watch(page), ledger
    page.goto(f"{voila_url}/voila/render/evidence.ipynb", timeout=2 * SOON_MS)
    page.locator(".eb-row").nth(1).wait_for(timeout=2 * SOON_MS)
    yield page
    context.close()


@pytest.fixture
def button(page):
    return page.locator(".kb")


@pytest.fixture
def board(page):
    return page.locator(".eb")


def press(panel, name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def look(page, theme: str, width: int) -> None:
    """As in a light or dark JupyterLab."""
    page.set_viewport_size({"width": width, "height": 1400})
    page.evaluate("is => document.body.setAttribute('data-jp-theme-light', is)", str(theme == "light").lower())
    for panel in page.locator(".cp").all():
        panel.and_(page.locator(f"[data-theme={theme}]")).wait_for()


def test_a_number_is_kept_copied_and_stands_on_the_board_at_once(page, button, board):
    assert "right flags" in page.locator("table").first.locator("xpath=..").inner_text()
    assert board.locator(".eb-row").count() == 2
    press(button, "Keep as evidence")
    button.get_by_text("Cite it as [@E-").wait_for()
    cite = button.locator("code").inner_text()
    assert f"Kept as {cite[2:-1]}." in button.get_by_role("status").inner_text()
    board.locator(".eb-row").nth(2).wait_for()  # the board looked by itself
    assert cite[2:-1] in board.locator(".eb-row").first.inner_text()
    press(button, "Copy")
    button.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == cite
    press(button, "Keep as evidence")
    button.get_by_text("it is not kept twice").wait_for()
    assert len(page.ledger.read_bytes().splitlines()) == 3


def test_the_keyboard_alone_finds_a_record_and_does_it_again(page, board):
    board.get_by_label("Text", exact=True).focus()
    page.keyboard.type("of the court")
    page.wait_for_function("() => document.querySelectorAll('.eb-row').length === 1")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('eb-row')"):
            break
    page.keyboard.press("Enter")
    board.locator(".eb-whole").wait_for()
    assert "wordy · sha256" in board.locator(".eb-facts").first.inner_text()
    board.locator(".eb-picture").wait_for(timeout=SOON_MS)
    again = board.get_by_role("button", name="Do it again", exact=True)
    again.focus()
    page.keyboard.press("Enter")
    board.locator(".eb-outcome [data-status=reproduced]").wait_for(timeout=2 * SOON_MS)
    assert (
        "recorded" in board.locator(".eb-outcome").inner_text() and "now" in board.locator(".eb-outcome").inner_text()
    )


def test_all_are_done_again_and_filtered_by_how_it_went(page, board, photograph):
    board.get_by_label("Text", exact=True).fill("")
    board.locator(".eb-row").nth(2).wait_for()
    press(board, "Do all again")
    board.locator(".eb-row [data-status=reproduced]").nth(1).wait_for(timeout=2 * SOON_MS)
    assert board.locator(".eb-row [data-status='cannot be tried']").count() == 1
    photograph(page, "evidence-list")
    board.get_by_label("Done again", exact=True).select_option("cannot be tried")
    page.wait_for_function("() => document.querySelectorAll('.eb-row').length === 1")
    board.locator(".eb-row").click()
    board.locator(".eb-outcome").get_by_text("does not say which experiment").wait_for()
    board.get_by_label("Done again", exact=True).select_option("")
    board.locator(".eb-row").nth(2).focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    board.locator(".eb-row[aria-pressed=true]").and_(board.locator(".eb-row").nth(1)).wait_for()


def test_a_damaged_ledger_is_named_at_its_line(page, board):
    sound = page.ledger.read_bytes()
    page.ledger.write_bytes(sound.replace(b"Mine: ", b"Ours: "))
    press(board, "Refresh")
    board.locator(".eb-faults").get_by_text("Line 2 ").wait_for()
    assert board.locator(".eb-row").count() == 1
    page.ledger.write_bytes(sound)
    press(board, "Refresh")
    board.locator(".eb-row").nth(2).wait_for()
    assert board.locator(".eb-faults").is_hidden()


def test_both_are_readable_in_every_look_and_hostile_text_stays_text(page, board, axe, photograph):
    board.locator(".eb-row").nth(2).click()
    board.locator(".eb-picture").wait_for(timeout=SOON_MS)
    for theme, width in THEMES_AND_WIDTHS:
        look(page, theme, width)
        photograph(page, f"evidence-{theme}-{width}")
        # Tables and pictures may be wider than a telephone: they scroll in a region of their own.
        assert [each for each in sticking_out(page) if "eb-scroll" not in each] == []
        assert (theme, width) not in FOR_AXE or serious(page, axe) == []
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("window.__xss") is None
    assert page.errors == []
    assert page.outside == []
