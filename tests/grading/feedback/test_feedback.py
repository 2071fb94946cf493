"""Who is marked gets one page that tells all that may be told; nobody else gets one, and nothing in it acts."""

import json
import re
import shutil

import pytest
from made_course import WRONG
from made_marks import HOSTILE, essay_of, exercise_of, give, graded, hand_in, machine, record, submitted, write_report
from read_page import Page

from course_utils.grading.course.course import COURSE_ID, ESSAY, EXERCISES
from course_utils.grading.feedback import feedback
from course_utils.grading.feedback.essay_page import AGAIN, prose
from course_utils.grading.feedback.exercises_page import WITHHELD, message_of, secrets_of
from course_utils.grading.feedback.feedback import (
    AS_BEFORE,
    NONE,
    NOT_RELEASED,
    RELEASED,
    WITHDRAWN,
    WRITTEN,
    release_feedback,
    write_feedback,
)
from course_utils.plots.marking import groups_picture

pytestmark = pytest.mark.slow

NASTY = [
    HOSTILE, "<img src=x onerror=alert(1)>", "</style><script>1</script>", "\ud800 half", "\u202edesrever", "]]>",
    "[x](javascript:alert(1))", "![x](https://example.org/x.png)", "<!--", "\x00\x1b[31m", "`</code>`", "&lt;",
    "<base href=//x>",
]  # fmt: skip


def quiet(_line: str) -> None:
    pass


def page(course, student: str, assignment: str = ESSAY) -> Page:
    file = course.folder("feedback", student, assignment) / f"{assignment}.html"
    return Page(file.read_text("utf-8"))


def by_student(found) -> dict[str, feedback.Feedback]:
    return {each.student: each for each in found}


# -- which pages there are ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignment", [ESSAY, EXERCISES])
def test_there_is_a_page_for_each_who_is_marked_and_no_other(marked_course, assignment, files_of):
    found = by_student(write_feedback(marked_course, assignment, quiet))
    assert {name for name, each in found.items() if each.is_there} == {"ann", "=1-1"}
    pages = [name for name in files_of(marked_course.root / "feedback") if name.endswith(".html")]
    assert sorted(pages) == [f"{name}/{assignment}/{assignment}.html" for name in ("=1-1", "ann")]
    assert all(each.why for each in found.values() if each.status == NONE)
    assert "No mark yet" in found["李"].why


def test_who_has_no_page_is_told_with_the_reason(marked_course):
    told = []
    write_feedback(marked_course, ESSAY, told.append)
    assert any(line.startswith("bo: none. Needs a person. Its ledger cannot be read.") for line in told)
    assert told[-1] == "release_strategy: 2 pages, 2 of them new or changed."


def test_the_same_marks_make_the_same_bytes_and_are_not_written_again(marked_course, files_of):
    write_feedback(marked_course, ESSAY, quiet)
    before = files_of(marked_course.root / "feedback")
    times = {name: (marked_course.root / "feedback" / name).stat().st_mtime_ns for name in before}
    told = []
    again = write_feedback(marked_course, ESSAY, told.append)
    assert {each.status for each in again} == {AS_BEFORE, NONE}
    assert files_of(marked_course.root / "feedback") == before
    assert {name: (marked_course.root / "feedback" / name).stat().st_mtime_ns for name in before} == times
    shutil.rmtree(marked_course.root / "feedback")
    write_feedback(marked_course, ESSAY, quiet)
    assert files_of(marked_course.root / "feedback") == before


def test_a_changed_mark_changes_its_page_only(marked_course):
    write_feedback(marked_course, ESSAY, quiet)
    give(marked_course, "ann", ESSAY, criterion_thesis=2)
    found = by_student(write_feedback(marked_course, ESSAY, quiet))
    assert (found["ann"].status, found["=1-1"].status) == (WRITTEN, AS_BEFORE)


def test_a_mark_taken_back_takes_the_page_back_with_all_that_lies_beside_it(marked_course, files_of):
    write_feedback(marked_course, ESSAY, quiet)
    give(marked_course, "ann", ESSAY, criterion_thesis=None)
    assert by_student(write_feedback(marked_course, ESSAY, quiet))["ann"].status == WITHDRAWN
    assert not any(name.startswith("ann/") for name in files_of(marked_course.root / "feedback"))
    assert by_student(write_feedback(marked_course, ESSAY, quiet))["ann"].status == NONE


def test_a_page_that_cannot_be_made_is_told_and_the_others_are_made(marked_course):
    write_feedback(marked_course, ESSAY, quiet)
    (marked_course.root / "autograded/ann" / ESSAY / f"{ESSAY}.ipynb").write_text("{")
    found = by_student(write_feedback(marked_course, ESSAY, quiet))
    assert found["ann"].status == WITHDRAWN and "could not be made" in found["ann"].why
    assert found["=1-1"].is_there


def test_other_pages_beside_ours_go_and_those_of_people_who_are_gone(marked_course, files_of):
    """nbgrader would release them all, and its own show hidden checks."""
    for name in ("ann", "gone"):
        folder = marked_course.folder("feedback", name, ESSAY)
        folder.mkdir(parents=True)
        (folder / "other.html").write_text("hidden")
    (marked_course.folder("feedback", "gone", ESSAY) / f"{ESSAY}.html").write_text("old")
    found = by_student(write_feedback(marked_course, ESSAY, quiet))
    assert found["gone"].status == WITHDRAWN
    assert [name for name in files_of(marked_course.root / "feedback") if "other" in name or "gone" in name] == []


# -- the essay's page --------------------------------------------------------------------------------------------------


def test_each_criterion_is_told_with_level_and_next_step(marked_course):
    write_feedback(marked_course, ESSAY, quiet)
    text = page(marked_course, "ann").text
    for words in (
        "Total: 8.5 of 10 points", "thesis all", "There is no level above this one.", "Well argued.", "I argue.",
        "Some, on the way to All", "evidence some", "The next level, All, 6 points", "evidence all", "Mend evidence.",
        "words; 20 to 400 were asked for", "Strategy staged release", "Asking for another look",
    ):  # fmt: skip
        assert words in text, words
    late = page(marked_course, "=1-1").text
    assert (
        "2 begun days late; each costs 5% of the points, all together at most 50% −0.2" in late
        and "Total: 1.8 of 10 points" in late
    )
    assert "begun day" not in text


@pytest.mark.parametrize("status", AGAIN)
def test_each_outcome_of_a_record_is_explained_without_accusing(marked_course, status):
    write_report(
        marked_course, "ann", ESSAY, evidence=[record("E-07f3", status), record("E-0000", status, cited=False)]
    )
    write_feedback(marked_course, ESSAY, quiet)
    text = page(marked_course, "ann").text
    assert " ".join(AGAIN[status][1:]).strip() in text and "E-0000" not in text
    assert "auc of small: 0.9123 (0.9 to 0.93), n = 20, share" in text
    assert not re.search(r"\b(cheat|fraud|falsif|dishonest|suspicio)", text, re.IGNORECASE)


def test_a_record_that_is_nowhere_and_an_essay_without_records_are_told(marked_course):
    write_report(marked_course, "ann", ESSAY, evidence=[record("E-dead", "not sampled", record=None)])
    write_report(marked_course, "=1-1", ESSAY, evidence=[], essay=None, ledger={"status": "missing"})
    write_feedback(marked_course, ESSAY, quiet)
    assert "No record of this name" in page(marked_course, "ann").text
    assert "cites no record" in page(marked_course, "=1-1").text


def test_findings_are_told_faults_first_and_as_what_they_are(marked_course):
    write_feedback(marked_course, ESSAY, quiet)
    text = page(marked_course, "ann").text
    assert text.index("Contradicted or missing") < text.index("Too short.") < text.index("Larger than what?")
    assert "gave no points and took none" in text


def test_a_picture_of_a_record_lies_in_the_page_if_it_is_one(marked_course):
    import pandas as pd

    folder = marked_course.folder("reports", "ann", ESSAY)
    rows = pd.DataFrame({"of": ["a"], "group": ["b"], "n": [1]})
    png = groups_picture(rows, "t").png()
    (folder / "E-07f3.png").write_bytes(png)
    (folder / "E-1111.png").write_bytes(b"<svg onload=alert(1)>")
    (folder / "outside.png").symlink_to(folder / "E-07f3.png")
    names = ["E-07f3.png", "E-1111.png", "../ann/E-07f3.png", "outside.png", "gone.png"]
    cited = [record(f"E-{i:04x}", "reproduced", picture=name, alt=HOSTILE) for i, name in enumerate(names)]
    write_report(marked_course, "ann", ESSAY, evidence=cited)
    write_feedback(marked_course, ESSAY, quiet)
    made = page(marked_course, "ann")
    assert made.tags.count("img") == 1 and made.faults() == []
    assert any(name == "alt" and "</style>" in value for _, name, value in made.attributes)


def test_the_mark_scheme_is_in_no_page(marked_course):
    notebook = json.loads((marked_course.source(ESSAY)).read_text())
    assert "secret advice" in json.dumps(notebook)
    (marked_course.root / "autograded/ann" / ESSAY / f"{ESSAY}.ipynb").write_text(json.dumps(notebook))
    write_feedback(marked_course, ESSAY, quiet)
    assert "secret advice" not in page(marked_course, "ann").text


# -- the exercises' page -----------------------------------------------------------------------------------------------


def test_an_exercise_is_told_with_answer_message_and_outcome(marked_course):
    write_feedback(marked_course, EXERCISES, quiet)
    text = page(marked_course, "=1-1", EXERCISES).text
    for words in ("Double a number", "0 of 4 points", "return x", "The check that you can see: not passed",
                  "double(2) gave 2", "Tried with other values: not passed"):  # fmt: skip
        assert words in text, words
    right = page(marked_course, "ann", EXERCISES).text
    assert "Tried with other values: passed" in right and "not passed" not in right and "2 of 2 checks passed" in right


def test_nothing_of_a_hidden_check_is_told(marked_course):
    write_feedback(marked_course, EXERCISES, quiet)
    for student in ("ann", "=1-1"):
        text = page(marked_course, student, EXERCISES).text
        for secret in ("21", "42", "HIDDEN", "Traceback", "assert"):
            assert secret not in text, secret


def test_a_message_that_carries_a_hidden_value_out_is_withheld(marked_course):
    """A student's code can keep what a hidden check called it with, and raise it later."""
    smuggled = [("see", "AssertionError", "seen so far: [2, 21]"), ("see", "Leak42", "x")]
    for error in smuggled:
        graded(marked_course, "=1-1", EXERCISES, exercise_of(marked_course, WRONG, error))
        machine(marked_course, "=1-1", see=0, unseen=0)
        write_feedback(marked_course, EXERCISES, quiet)
        text = page(marked_course, "=1-1", EXERCISES).text
        assert WITHHELD in text and "21" not in text and "Leak42" not in text


def test_a_message_is_told_without_colours_and_traceback():
    error = {"output_type": "error", "ename": "NameError", "evalue": "\x1b[31mname\x1b[0m", "traceback": ["secret"]}
    warning = {"output_type": "stream", "name": "stderr", "text": "secret"}
    assert message_of({"outputs": [error]}, set()) == "NameError: name"
    assert message_of({"outputs": [error | {"ename": "AnswerError"}]}, set()) == "name"
    assert "warning" in message_of({"outputs": [warning]}, set()) and "secret" not in message_of(
        {"outputs": [warning]}, set()
    )
    assert message_of({"outputs": []}, set()) == ""


def test_what_stands_in_the_open_is_no_secret():
    hidden = "open_name(1234)\n### BEGIN HIDDEN TESTS\nopen_name(5_678, 'xyz', 12.50)\n### END HIDDEN TESTS\n"
    cells = [{"source": hidden.splitlines(keepends=True)}, {"source": "# 12.5"}]
    secrets = secrets_of(cells)
    assert {"5678.0", "xyz"} <= secrets and not {"open", "name", "1234.0", "12.5"} & secrets
    assert "xyz" not in secrets_of(cells, ["xyz = 1"])
    for told in ("gave 5678", "gave 5_678.0", "an XYZ"):
        error = {"output_type": "error", "ename": "E", "evalue": told}
        assert message_of({"outputs": [error]}, secrets) == WITHHELD


def test_points_of_a_person_are_told_as_such(marked_course):
    give(marked_course, "李", EXERCISES, "Nearly.", see=1, unseen=0)
    write_feedback(marked_course, EXERCISES, quiet)
    text = page(marked_course, "李", EXERCISES).text
    assert "1 of 4 points" in text and "A person has looked" in text and "not run" in text
    assert "A person has looked" not in page(marked_course, "ann", EXERCISES).text


# -- nothing acts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nasty", NASTY)
def test_whatever_anybody_writes_is_shown_and_does_nothing(marked_course, nasty):
    graded(marked_course, "ann", ESSAY, essay_of(marked_course, f"{nasty} end of essay"))
    findings = [{"severity": "fault", "says": nasty, "section": nasty}]
    told = {"note": nasty, "finding": nasty, "metric": nasty, "of": nasty, "value": nasty, "unit": nasty}
    cited = record(nasty, "not reproduced") | {"record": told, "alt": nasty}
    write_report(marked_course, "ann", ESSAY, evidence=[cited], essay={"findings": findings})
    give(marked_course, "ann", ESSAY, nasty.replace("\ud800", ""), criterion_thesis=4)
    graded(marked_course, "=1-1", EXERCISES, exercise_of(marked_course, nasty, ("see", nasty, nasty)))
    machine(marked_course, "=1-1", see=0, unseen=0)
    write_feedback(marked_course, ESSAY, quiet)
    write_feedback(marked_course, EXERCISES, quiet)
    essay, exercise = page(marked_course, "ann"), page(marked_course, "=1-1", EXERCISES)
    assert essay.faults() == [] == exercise.faults()
    assert "end of essay" in essay.text and "\u202e" not in essay.text + exercise.text
    assert essay.tags.count("style") == exercise.tags.count("style") == 1


def test_an_essay_of_a_megabyte_makes_a_page(marked_course):
    graded(marked_course, "ann", ESSAY, essay_of(marked_course, "<b>word</b> *and* \n\n- item\n\n" * 40_000))
    found = by_student(write_feedback(marked_course, ESSAY, quiet))
    assert found["ann"].is_there and page(marked_course, "ann").faults() == []


def test_a_list_in_an_essay_is_a_list():
    assert re.sub(r"\s", "", prose("one\n\n- a\n- b\n\ntwo")) == "<p>one</p><ul><li>a</li><li>b</li></ul><p>two</p>"


def test_a_page_asks_a_browser_to_run_and_fetch_nothing(marked_course):
    write_feedback(marked_course, ESSAY, quiet)
    html = (marked_course.folder("feedback", "ann", ESSAY) / f"{ESSAY}.html").read_text("utf-8")
    assert html.startswith('<!doctype html>\n<html lang="en">')
    policy = re.search(r'content="(default-src [^"]+)"', html)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy


# -- given back --------------------------------------------------------------------------------------------------------


def released_pages(course) -> dict[str, str]:
    return {file.stem: file.read_text("utf-8") for file in (course.exchange / COURSE_ID / "feedback").glob("*.html")}


def test_only_pages_with_a_secret_are_released_and_each_is_found_by_its_own(marked_course):
    from nbgrader.utils import notebook_hash

    found = by_student(release_feedback(marked_course, ESSAY, quiet))
    assert {name for name, each in found.items() if each.status == RELEASED} == {"ann"}
    assert "no secret" in found["=1-1"].why and "No mark yet" in found["李"].why
    name = notebook_hash(secret="secret of ann", notebook_id=ESSAY)
    own = (marked_course.folder("feedback", "ann", ESSAY) / f"{ESSAY}.html").read_text("utf-8")
    assert released_pages(marked_course) == {name: own}


def test_a_page_whose_mark_was_taken_back_leaves_the_exchange(marked_course):
    release_feedback(marked_course, ESSAY, quiet)
    give(marked_course, "ann", ESSAY, criterion_thesis=None)
    assert by_student(release_feedback(marked_course, ESSAY, quiet))["ann"].status == NOT_RELEASED
    assert released_pages(marked_course) == {}


def test_two_with_one_secret_get_no_page_from_the_exchange(marked_course):
    """One of them would read what was said to the other."""
    submitted(marked_course, "=1-1", ESSAY, "secret of ann")
    found = by_student(release_feedback(marked_course, ESSAY, quiet))
    assert found["ann"].status == found["=1-1"].status == NOT_RELEASED and "secret is also that of" in found["ann"].why
    assert released_pages(marked_course) == {}


@pytest.mark.parametrize("secret", [b"", b" \n", b"\xff\xfe", b"x" * 5000, b"a\r\nb"])
def test_a_secret_that_is_none_is_treated_as_none(marked_course, secret):
    hand_in(marked_course, "ann", ESSAY, **{"submission_secret.txt": secret})
    assert by_student(release_feedback(marked_course, ESSAY, quiet))["ann"].status == NOT_RELEASED
    assert not (marked_course.folder("feedback", "ann", ESSAY) / "submission_secret.txt").exists()


def test_a_page_without_a_time_is_released_too(marked_course):
    (marked_course.root / "submitted/ann" / ESSAY / "timestamp.txt").unlink()
    assert by_student(release_feedback(marked_course, ESSAY, quiet))["ann"].status == RELEASED
