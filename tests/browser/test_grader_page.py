"""The marking page as a tired teacher meets it: in JupyterLab, by keyboard, with an essay that would like to act."""

import shutil

import pytest
from lab_page import open_notebook, run_cell
from made_course import make_course
from made_marks import essay_of, give, graded, record, write_report
from nbgrader.api import Gradebook
from panel_page import SOON_MS
from repository import ROOT
from test_replication import serious, sticking_out

from course_utils.experiments.detection.base_rates import base_rates
from course_utils.grading.assignments.generate import generate
from course_utils.grading.course.course import ESSAY

HUGE = "Donaudampfschiff" * 60
PLAIN = """I would release it **in stages**: [@E-07f3] says so. It is larger. Zhang objects [@zhang2019, opening].

- First the small model.
- Then the others [@E-ffff].

> A short quotation.

It is larger. مرحبا بالعالم"""
HOSTILE = f"""<script>window.__xss = 1</script> <img src=x onerror="window.__xss = 1">
[click](javascript:window.__xss=1) [there](http://198.51.100.7/) ![](http://198.51.100.7/seen.png)
\u202eturned round\u202c {HUGE} <style>.cp {{ display: none }}</style> [@E-07f3]"""
LOOKS = [("light", 1280), ("dark", 400), ("light", 400), ("dark", 1280)]
FOR_AXE = [("light", 1280), ("dark", 400), ("dark", 1280)]


@pytest.fixture(scope="module")
def course(notebooks):
    """Two graded papers: one sound, with a record and its picture; one hostile, which needs a person."""
    course = make_course(notebooks / "marking")
    shutil.copy(ROOT / "source" / "mark_essays.ipynb", course.root / "source")
    generate(course, ESSAY, lambda line: None)
    picture = base_rates().picture()
    for student, text in (("plain", PLAIN), ("hostile", HOSTILE)):
        graded(course, student, ESSAY, essay_of(course, text))
        cited = record("E-07f3", "not reproduced", picture="E-07f3.png", alt=picture.alt)
        found = {"kind": "comparison", "severity": "hint", "says": "Larger than what?", "section": "thesis"}
        start = max(0, text.rfind("It is larger"))
        found |= {"start": start, "end": start + 12, "quote": "It is larger", "evidence": "E-07f3"}
        essay = {"n_words": 30, "strategy": "staged release", "sections": {}, "findings": [found]}
        why = ["Its ledger <b>cannot</b> be read."] if student == "hostile" else []
        write_report(course, student, ESSAY, evidence=[cited], essay=essay, why=why)
        (course.folder("reports", student, ESSAY) / "E-07f3.png").write_bytes(picture.png())
    return course


@pytest.fixture(scope="module")
def page(browser, lab_url, course):
    """One visit, shared by the tests of this file."""
    page = open_notebook(browser, lab_url, f"{course.root.name}/source/mark_essays.ipynb")
    run_cell(page, "GraderPage()")
    page.locator(".md .ev-title").wait_for(timeout=2 * SOON_MS)
    page.keyboard.press("Control+b")  # more room
    yield page
    page.close()


@pytest.fixture
def desk(page):
    return page.locator(".md")


def number_of(course, student: str) -> int:
    with Gradebook(course.db_url) as gradebook:
        found = sorted((each.id, each.student.id) for each in gradebook.notebook_submissions(ESSAY, ESSAY))
    return [name for _, name in found].index(student) + 1


def choose(page, course, student: str) -> None:
    number = number_of(course, student)
    page.locator(".md-strip button").nth(number - 1).click()
    page.locator(".ev-title").get_by_text(f"Paper {number}", exact=True).wait_for()


def held(course, student: str) -> dict[str, tuple[float | None, str | None]]:
    with Gradebook(course.db_url) as gradebook:
        notebook = gradebook.find_submission_notebook(ESSAY, ESSAY, student)
        said = {comment.name: comment.manual_comment for comment in notebook.comments}
        return {
            each.name.removeprefix("criterion-"): (each.manual_score, said[each.name])
            for each in notebook.grades
            if each.name in said
        }


def saved(page) -> None:
    page.wait_for_function("() => document.querySelector('.md-saved').textContent.startsWith('Saved at')")


def keys(page, *pressed: str) -> None:
    for key in pressed:
        page.keyboard.press(key)


def test_a_paper_is_marked_by_keyboard_alone_and_stays_marked(page, desk, course):
    choose(page, course, "plain")
    page.locator(".ev-title").focus()
    keys(page, "r", "2", "r", "3")
    desk.get_by_text("Nothing is missing.").wait_for()
    keys(page, "c")
    page.keyboard.type("Which number? n and 1 are no keys here.")
    keys(page, "Escape")
    saved(page)
    expected = {"thesis": (2, None), "evidence": (6, "Which number? n and 1 are no keys here.")}
    assert held(course, "plain") == expected
    there = number_of(course, "plain")
    keys(page, "m")
    page.locator(".ev-title").get_by_text(f"Paper {3 - there}", exact=True).wait_for()
    assert page.evaluate("document.activeElement.className") == "ev-title"
    assert desk.locator(".rv-level input:checked").count() == 0
    keys(page, "p" if there == 1 else "n")
    page.locator(".ev-title").get_by_text(f"Paper {there}", exact=True).wait_for()
    assert desk.locator(".rv-level input:checked").count() == 2
    assert desk.get_by_label("Comment", exact=True).nth(1).input_value() == expected["evidence"][1]
    assert page.locator(".jp-mod-editMode").count() == 0
    assert held(course, "plain") == expected


def test_undo_by_key_says_what_was_undone(page, desk, course):
    choose(page, course, "plain")
    page.locator(".ev-title").focus()
    keys(page, "r", "1")
    page.wait_for_function("() => document.querySelector('.md-total').textContent.includes('6 of 10')")
    keys(page, "u")
    desk.locator(".md-saved").get_by_text("Undone: the points of Thesis").wait_for()
    assert held(course, "plain")["thesis"][0] == 2
    assert desk.get_by_label("Points", exact=True).first.input_value() == "2"


def test_a_citation_unfolds_what_was_measured_and_folds_again(page, desk, course, photograph):
    choose(page, course, "plain")
    cite = desk.locator(".ev-cite").first
    cite.focus()
    keys(page, "Enter")
    card = desk.get_by_role("group", name="Record E-07f3")
    card.get_by_text("Done again: not reproduced").wait_for()
    card.get_by_text("The checks: Larger than what?").wait_for()
    card.locator("img").wait_for()
    assert card.locator("img").get_attribute("alt")
    assert cite.get_attribute("aria-expanded") == "true"
    desk.get_by_role("button", name="[@zhang2019, opening]").click()
    desk.get_by_text("Please Open Source Your Language Model").last.wait_for()
    desk.get_by_role("button", name="[@E-ffff]").click()
    desk.get_by_text("Nothing is known of it").last.wait_for()
    desk.locator(".ev-findings summary").click()
    desk.locator(".ev-finding").click()
    assert desk.locator("mark").all_text_contents() == ["It is larger"]
    assert page.evaluate("document.querySelector('mark').closest('p').textContent").startswith("It is larger. مرحبا")
    photograph(page, "marking-evidence")
    desk.locator(".ev-finding").click()
    assert desk.locator("mark").count() == 0
    cite.focus()
    keys(page, "Escape")
    assert card.count() == 0


def test_what_is_refused_stays_typed_and_the_paper_stays_open(page, desk, course):
    choose(page, course, "plain")
    field = desk.get_by_label("Points", exact=True).first
    field.fill("99")
    keys(page, "Enter")
    desk.locator(".rv-told[data-refused=true]").get_by_text("A number from 0 to 4.").wait_for()
    assert (field.input_value(), field.get_attribute("aria-invalid")) == ("99", "true")
    desk.get_by_role("button", name="Next unmarked").click()
    desk.locator(".md-saved").get_by_text("Not left").wait_for()
    assert held(course, "plain")["thesis"][0] == 2
    assert page.evaluate("document.activeElement.value") == "99"
    keys(page, "Escape")
    assert (field.input_value(), field.get_attribute("aria-invalid")) == ("2", "false")
    field.fill("2,5")
    desk.get_by_label("Comment", exact=True).first.fill("Half a point more.")
    desk.get_by_role("button", name="Next unmarked").click()  # without leaving the field first
    page.locator(".ev-title").get_by_text(f"Paper {number_of(course, 'hostile')}", exact=True).wait_for()
    assert held(course, "plain")["thesis"] == (2.5, "Half a point more.")


def test_what_formgrader_changed_is_there_after_refresh_and_earlier_comments_can_be_used(page, desk, course):
    give(course, "plain", ESSAY, criterion_thesis=1)
    choose(page, course, "plain")
    page.wait_for_function("() => document.querySelector('.rv-points input').value === '1'")
    give(course, "plain", ESSAY, criterion_thesis=3)
    desk.get_by_role("button", name="Refresh").click()
    page.wait_for_function("() => document.querySelector('.rv-points input').value === '3'")
    choose(page, course, "hostile")
    desk.locator(".rv-comment summary").first.click()
    desk.get_by_role("button", name="Half a point more.").click()
    saved(page)
    assert held(course, "hostile")["thesis"] == (None, "Half a point more.")


def test_it_is_blind_until_asked_and_again_at_the_next_paper(page, desk, course):
    choose(page, course, "plain")
    assert "hostile" not in desk.inner_text() and "plain" not in desk.inner_text()
    desk.get_by_role("button", name="Show whose it is").click()
    desk.locator(".gp-whose strong").get_by_text("plain").wait_for()
    choose(page, course, "hostile")
    assert desk.locator(".gp-whose strong").inner_text() == ""


def test_every_look_is_readable_and_nothing_in_a_hostile_essay_acts(page, desk, course, axe, photograph):
    choose(page, course, "hostile")
    desk.locator(".ev-cite").first.click()
    desk.locator(".ev-card img").wait_for()
    desk.locator("summary").get_by_text("Keys", exact=True).click()
    for theme, width in LOOKS:
        page.set_viewport_size({"width": width, "height": 900 if width > 400 else 2400})
        page.evaluate("is => document.body.setAttribute('data-jp-theme-light', is)", str(theme == "light").lower())
        desk.and_(page.locator(f"[data-theme={theme}]")).wait_for()
        desk.evaluate("node => node.scrollIntoView()")
        photograph(page, f"marking-{theme}-{width}")
        assert [each for each in sticking_out(page) if each.split(".")[1].startswith(("ev-", "rv-", "md-", "gp-"))
                and "ev-frame" not in each] == []  # fmt: skip
        assert (theme, width) not in FOR_AXE or serious(page, axe) == []
    assert desk.locator("img[src=x], .ev-text script, .ev-text style, .ev-text a").count() == 0
    assert "⟨U+202E⟩turned round" in desk.inner_text()
    desk.get_by_role("button", name="Large type").click()
    photograph(page, "marking-large")
    assert page.evaluate("window.__xss") is None
    assert page.errors == []
    assert page.outside == []
