"""A page of feedback as a student meets it: in any light, on a phone, on paper, and with hostile text in it."""

import pytest
from made_marks import HOSTILE, ClassOfMany, give, make_marked_course, record, write_report
from panel_page import watch

from course_utils.grading.course.course import ESSAY, EXERCISES
from course_utils.grading.feedback.essay_page import AGAIN
from course_utils.grading.feedback.feedback import write_feedback
from course_utils.grading.reports.class_report import class_report

LOOKS = [("light", 1280), ("dark", 400)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three pages: an essay in which everybody was hostile, exercises, and a class."""
    course = make_marked_course(tmp_path_factory.mktemp("courses") / "class")
    cited = [record(f"E-{place:04x}", status) for place, status in enumerate(AGAIN)]
    write_report(course, "ann", ESSAY, evidence=[*cited, record("E-ffff", "not sampled", record=None)])
    give(course, "ann", ESSAY, HOSTILE, criterion_thesis=2, criterion_evidence=5)
    for number in range(6):
        ClassOfMany(course).add(f"student-{number}", 4, 3, strategy=HOSTILE)
    for assignment in (ESSAY, EXERCISES):
        write_feedback(course, assignment, lambda _: None)
    (course.root / "class.html").write_text(class_report(course).html(), "utf-8")
    return {
        "essay": course.folder("feedback", "ann", ESSAY) / f"{ESSAY}.html",
        "exercises": course.folder("feedback", "=1-1", EXERCISES) / f"{EXERCISES}.html",
        "class": course.root / "class.html",
    }


@pytest.fixture
def visit(browser, files):
    """Open one of the pages in a light and width; what it tries and says is watched."""
    contexts = []

    def open_page(name: str, theme: str = "light", width: int = 1280, bypass_csp: bool = False):
        viewport = {"width": width, "height": 900}
        contexts.append(browser.new_context(color_scheme=theme, viewport=viewport, bypass_csp=bypass_csp))
        page = contexts[-1].new_page()
        page.errors, page.outside = watch(page)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.goto(files[name].as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", ["essay", "exercises", "class"])
@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_a_page_breaks_no_rule_of_accessibility(visit, axe, photograph, name, theme, width):
    page = visit(name, theme, width, bypass_csp=True)  # the checker is a script, and the page lets none in
    page.evaluate(axe)
    broken = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})")
    assert [(each["id"], each["nodes"][0]["html"]) for each in broken["violations"]] == []
    photograph(page, f"feedback-{name}-{theme}")


@pytest.mark.parametrize("name", ["essay", "exercises"])
def test_nothing_that_anybody_wrote_runs_fetches_or_leaves_its_place(visit, name):
    page = visit(name)
    assert HOSTILE.split("\u202e")[0] in page.locator("main").inner_text()
    assert page.evaluate("window.__xss === undefined && document.scripts.length === 0")
    assert (page.errors, page.outside, page.said) == ([], [], [])
    assert page.locator("img").count() == 0 and page.locator("style").count() == 1


@pytest.mark.parametrize("name", ["essay", "exercises"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(visit, name):
    page = visit(name, "dark", 400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_dark_is_dark_and_light_is_light(visit):
    def paper(theme: str) -> int:
        colour = visit("essay", theme).evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))

    assert paper("dark") < 150 < 600 < paper("light")


def test_on_paper_the_ink_is_dark_whatever_the_screen_is(visit):
    page = visit("essay", "dark")
    page.emulate_media(media="print")
    some = "[...document.querySelectorAll('body, .soft, .mend, .card')]"
    found = page.evaluate(f"{some}.map(each => getComputedStyle(each).color)")
    assert all(max(map(int, colour[4:-1].split(","))) < 90 for colour in found)
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_keyboard_leads_from_the_table_to_its_part(visit):
    page = visit("essay")
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Evidence"
    page.keyboard.press("Enter")
    page.wait_for_url("**#part-2")
    assert page.locator("#part-2").inner_text() == "Evidence"
    assert page.locator("#part-2").evaluate("e => e.getBoundingClientRect().top < innerHeight")
