"""A class votes on one page, and its picture grows on another; opt-in, by keyboard, in light and dark, on a phone."""

import csv
import io

import pytest
from panel_page import SOON_MS, watch
from test_replication import serious, sticking_out, write

from course_utils.classroom import store

SESSION = "test-lecture"
PANEL = """
import os
os.environ.update(COURSE_CLASS={file!r}, COURSE_CLASS_SESSION={session!r})
from course_utils import {name}
{name}({arguments})
"""


@pytest.fixture(scope="module")
def class_file(tmp_path_factory):
    return tmp_path_factory.mktemp("class-votes") / "class.sqlite"


@pytest.fixture(scope="module")
def voila(voila_url, notebooks, class_file):
    """The Voila with two pages of a class that is open: one on which one votes, and the picture."""
    for name, panel, arguments in (("timeline", "ReleaseTimeline", ""), ("results", "ClassResults", "projector=True")):
        source = PANEL.format(file=str(class_file), session=SESSION, name=panel, arguments=arguments)
        write(notebooks, f"class_{name}", source)
    return voila_url


def visit(browser, voila: str, name: str):
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    page.errors, page.outside = watch(page)
    page.goto(f"{voila}/voila/render/class_{name}.ipynb")
    page.locator(".cp").wait_for(timeout=2 * SOON_MS)
    return page


@pytest.fixture(scope="module")
def results(browser, voila):
    page = visit(browser, voila, "results")
    yield page
    page.close()


@pytest.fixture(scope="module")
def voter(browser, voila, results):
    page = visit(browser, voila, "timeline")
    yield page
    page.close()


def see(page, text: str, within: str = ".cp") -> None:
    page.locator(within).get_by_text(text).first.wait_for(timeout=SOON_MS)


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def add_others(class_file, choices: list[str]) -> None:
    for choice in choices:
        store.add_vote(SESSION, "timeline", "Feb 2019", choice, store.new_viewer(), class_file)


def test_the_box_is_off_at_first_and_says_what_is_sent(voter, results):
    box = voter.get_by_label("Add my votes to the class's picture (anonymous)")
    assert not box.is_checked()
    assert "each stage that you decide at" in voter.locator(".ch-share").inner_text()
    see(results, "Nobody has voted yet")


def test_a_vote_on_one_page_makes_the_picture_grow_on_the_other(voter, results, class_file, photograph):
    add_others(class_file, ["wait", "wait", "release", "never"])
    see(results, "4 have voted; 1 more needed")
    assert results.locator(".cr-bar").count() == 0
    voter.get_by_role("radio", name="Feb 2019").check()
    voter.get_by_role("radio", name="Wait").check()
    voter.get_by_label("Why?").fill("Nobody knows yet who would misuse it.")
    press(voter, "Commit, and see what OpenAI did")
    see(voter, "released 355M on 3 May 2019", ".rt-decided")
    assert store.tallies(SESSION, path=class_file)[0].n == 4  # nothing was sent: the box is off
    voter.get_by_label("Add my votes to the class's picture (anonymous)").check()
    see(voter, "1 vote of yours added")
    see(results, "3 of 5", ".cr-words")
    results.wait_for_function("() => document.querySelectorAll('.cr-bar')[1].style.width === '60%'")
    photograph(results, "class-results")


def test_what_is_taken_back_is_out_of_the_file(voter, results, class_file):
    voter.get_by_label("Add my votes to the class's picture (anonymous)").uncheck()
    see(voter, "Taken back: 1 vote")
    assert store.tallies(SESSION, path=class_file)[0].n == 4
    see(results, "4 have voted")
    assert results.locator(".cr-rows li").count() == 0


def test_the_table_says_what_the_bars_say(results, class_file):
    add_others(class_file, ["wait", "release", "release", "wait", "wait"])
    see(results, "in the picture", ".cr-more")
    results.locator("summary").first.focus()
    results.keyboard.press("Enter")
    cells, bars = results.locator(".cr-table td").all_inner_texts(), results.locator(".cr-words").all_inner_texts()
    assert cells == bars
    assert len(cells) == 3


def test_export_gives_what_is_shown_and_a_new_round_asks_first(results, class_file):
    with results.expect_download(timeout=SOON_MS) as saved:
        press(results, "Export CSV")
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text("utf-8"))))
    assert sum(int(row["count"]) for row in rows) == int(rows[0]["n"]) >= 5
    results.get_by_role("button", name="New round", exact=True).press("Enter")
    results.keyboard.press("Escape")
    assert store.current_round(SESSION, class_file) == 1
    results.get_by_role("button", name="New round", exact=True).press("Enter")
    press(results, "Yes, begin a new round")
    see(results, "round 2")
    assert store.current_round(SESSION, class_file) == 2
    add_others(class_file, ["wait"] * 5)
    see(results, "5 of 5", ".cr-words")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_nothing_sticks_out_and_axe_finds_nothing_serious(results, voter, axe, photograph, theme, width):
    for page, name in ((results, "class-results"), (voter, "class-share")):
        page.set_viewport_size({"width": width, "height": 1000})
        if page.locator(".cp").get_attribute("data-theme") != theme:
            press(page, "Dark")
        page.locator(f".cp[data-theme={theme}]").wait_for()
        page.wait_for_timeout(150)
        photograph(page, f"{name}-{theme}-{width}")
        assert sticking_out(page) == []
        assert serious(page, axe) == []


def test_on_a_projector_no_type_is_smaller_than_24_pixels_and_nothing_moves_for_whom_that_is_too_much(results):
    results.set_viewport_size({"width": 1280, "height": 1000})
    smallest = results.evaluate(
        """() => Math.min(...[...document.querySelectorAll('.cr *')]
            .filter(node => node.offsetParent && !node.closest('.cp-unseen')
                && [...node.childNodes].some(each => each.nodeType === 3 && each.textContent.trim()))
            .map(node => parseFloat(getComputedStyle(node).fontSize)))"""
    )
    assert smallest >= 24
    results.emulate_media(reduced_motion="reduce")
    assert results.locator(".cr-bar").first.evaluate("bar => getComputedStyle(bar).transitionDuration") == "0s"


def test_nothing_went_wrong_and_nothing_was_asked_outside(results, voter):
    assert results.errors == voter.errors == []
    assert results.outside == voter.outside == []
