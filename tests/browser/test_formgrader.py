"""nbgrader's own pages in JupyterLab, with a hostile essay: they work, nothing in it acts, no mark leaves its range."""

import json

import nbformat
import pytest
from made_course import ESSAY_NAME, hand_in, make_course, released, with_answer
from panel_page import watch

from course_utils.grading.assignments.generate import generate
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.grading.autograde.grade import grade
from course_utils.grading.marking.marks import GradebookMarks

ATTACK = """It **argues**. <script>window.__xss = 1</script> <img src=x onerror="window.__xss = 1">
[click](javascript:window.__xss=1) $\\href{javascript:window.__xss=1}{here}$ <style>.score { display: none }</style>
<form action="/formgrader/api/grade"><input name="score" value="4"></form> ![](http://198.51.100.7/seen.png)
"""
SOON_MS = 120_000


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with one hostile essay, graded by machine, and one that nobody has graded yet."""
    course = make_course(tmp_path_factory.mktemp("formgrader") / "course")
    generate(course, ESSAY_NAME, lambda line: None)
    essay = with_answer(released(course, ESSAY_NAME), text_thesis=ATTACK)
    essay.metadata["title"] = "</title><script>window.__xss = 1</script>"
    essay.cells.append(
        nbformat.v4.new_raw_cell("<script>window.__xss = 1</script>", metadata={"raw_mimetype": "text/html"})
    )
    hand_in(course, "ann", ESSAY_NAME, essay, **{"evil.html": b"<script>window.__xss = 1</script>"})
    grade(course, ESSAY_NAME, say=lambda line: None)
    hand_in(course, "bob", ESSAY_NAME, b'{"cells": [')
    return course


@pytest.fixture(scope="module")
def lab(course, open_lab):
    """A JupyterLab that was started in the course's folder: its address and token."""
    with open_lab(course.root) as opened:
        yield opened


@pytest.fixture(scope="module")
def formgrader(lab) -> str:
    return f"{lab[0]}/formgrader"


@pytest.fixture(scope="module")
def page(browser, formgrader, lab):
    """One visit, shared by the tests of this file; each goes to the page it needs, or asks from where it is."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route("**/cdnjs.cloudflare.com/**", lambda route: route.abort())  # nbgrader's pages ask for MathJax there
    page.goto(f"{formgrader}/manage_assignments?token={lab[1]}")
    yield page
    page.close()


def key(course) -> str:
    with course.gradebook() as gradebook:
        return gradebook.find_submission_notebook(ESSAY_NAME, ESSAY_NAME, "ann").id


def points(course) -> float | None:
    rubric = load_rubric(course.source(ESSAY_NAME).parent / "rubric.yaml")
    return GradebookMarks(course, rubric).read(key(course))["thesis"].points


def api(page, formgrader: str, method: str, path: str, body: object = None) -> tuple[int, str]:
    """Ask formgrader's own interface, as its pages do."""
    script = """async ([url, method, body]) => {
        const token = document.cookie.match(/_xsrf=([^;]+)/)[1];
        const headers = {"X-XSRFToken": token, "Content-Type": "application/json"};
        const answer = await fetch(url, {method, body, headers});
        return [answer.status, await answer.text()];
    }"""
    return tuple(page.evaluate(script, [f"{formgrader}/api/{path}", method, body and json.dumps(body)]))


def test_a_hostile_essay_is_read_and_does_nothing(page, formgrader, course, photograph):
    errors, outside = watch(page)
    page.goto(f"{formgrader}/submissions/{key(course)}/?index=0")
    page.get_by_text("It argues.").wait_for(timeout=SOON_MS)
    page.get_by_text("[click](javascript:").first.click(timeout=SOON_MS)  # no link was made of it: it stands as typed
    page.wait_for_timeout(500)
    photograph(page, "formgrader-hostile-essay")
    assert page.evaluate("window.__xss") is None
    assert page.locator("input.score").first.is_visible()
    assert [url for url in outside if "cdnjs" not in url] == []
    assert page.locator("form[action*=grade]").count() == 0


def test_a_mark_given_there_is_the_one_the_course_reads(page, formgrader, course):
    page.goto(f"{formgrader}/submissions/{key(course)}/?index=0")
    box = page.locator("input.score").first
    box.wait_for(timeout=SOON_MS)
    page.wait_for_load_state("networkidle")  # until nbgrader's page has read the marks, it empties the box again
    box.fill("2.5")
    with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
        box.dispatch_event("change")
    assert points(course) == 2.5


@pytest.mark.parametrize("value", [999, -3, "abc"])
def test_a_mark_out_of_range_is_refused_and_the_next_one_is_taken(page, formgrader, course, value):
    _, listed = api(page, formgrader, "GET", f"grades?submission_id={key(course)}")
    id = next(each["id"] for each in json.loads(listed) if each["name"] == "criterion-thesis")
    assert api(page, formgrader, "PUT", f"grade/{id}", {"manual_score": 3})[0] == 200
    assert api(page, formgrader, "PUT", f"grade/{id}", {"manual_score": value})[0] == 400
    assert points(course) == 3
    assert api(page, formgrader, "PUT", f"grade/{id}", {"manual_score": 1.5})[0] == 200
    assert points(course) == 1.5


def test_its_autograde_button_does_what_the_course_does(page, formgrader, course):
    status, told = api(page, formgrader, "POST", f"submission/{ESSAY_NAME}/bob/autograde")
    assert status == 200 and json.loads(told)["success"], told
    assert "needs a person" in json.loads(told)["log"]
    assert (course.folder("autograded", "bob", ESSAY_NAME) / f"{ESSAY_NAME}.ipynb").is_file()


def test_names_stay_hidden_until_they_are_asked_for(page, formgrader, course):
    page.goto(f"{formgrader}/gradebook/{ESSAY_NAME}/{ESSAY_NAME}")
    page.get_by_text("Submission #1").first.wait_for(timeout=SOON_MS)
    assert not page.get_by_text("ann", exact=True).first.is_visible()
