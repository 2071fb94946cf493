"""The marking page without a browser: it shows what nbgrader holds, is blind, and no refusal loses a mark."""

import json
import math
import shutil

import pytest
from made_course import make_course
from made_marks import essay_of, give, graded, make_marked_course, record, write_report
from nbgrader.api import Gradebook

from course_utils.errors import SettingsError, TextError
from course_utils.grading.course.course import ESSAY, find_course
from course_utils.grading.marking.marking_session import open_marking_session
from course_utils.grading.marking.submissions_to_mark import read_report
from course_utils.widgets.essay.essay_view import LONGEST_SECTION
from course_utils.widgets.marking.grader_page import GraderPage
from course_utils.widgets.marking.marking_desk import ALL_MARKED, NO_PAPERS

pytestmark = pytest.mark.slow

STUDENT = "wilhelmina-7"
ATTACKS = [
    "<script>window.__xss=1</script>", "<img src=x onerror=window.__xss=1>", "[click](javascript:window.__xss=1)",
    "![](http://198.51.100.7/seen.png)", "\u202eturned \u2066round", "x" * 200_000, "\ud800 half a letter",
    "[@E-07f3; @nobody2020; @E-ffff]" * 50, "> " * 200 + "deep", "| a | b |\n|---|---|\n| 1 | 2 |", "\x00\x1b[31m", "",
]  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    return make_marked_course(tmp_path_factory.mktemp("page") / "class")


@pytest.fixture
def course(_made, tmp_path):
    """Four graded essays: two are marked, one in part, one needs a person."""
    shutil.copytree(_made.root, tmp_path / "class")
    return find_course(tmp_path / "class")


@pytest.fixture
def page(course):
    return GraderPage(course, "me")


def hear(page, **content) -> None:
    page._on_message(page, content, [])


def write(page, kind: str, criterion: str, typed, **more) -> dict:
    """Change something as the browser does, and return the answer."""
    hear(page, kind=kind, criterion=criterion, typed=typed, paper=page.marks["paper"], **more)
    return page.saved


def choose(page, student: str) -> GraderPage:
    page.choose(next(paper.number for paper in page.desk.papers if paper.student == student))
    return page


def held(course, key: str, criterion: str = "thesis") -> tuple[float | None, bool, str | None]:
    """What nbgrader itself holds: points, whether a person must still mark, comment."""
    with Gradebook(course.db_url) as gradebook:
        notebook = gradebook.find_submission_notebook_by_id(key)
        grade = next(each for each in notebook.grades if each.name == f"criterion-{criterion}")
        comment = next(each for each in notebook.comments if each.name == f"criterion-{criterion}")
        return grade.manual_score, grade.needs_manual_grade, comment.manual_comment


# -- marks -------------------------------------------------------------------------------------------------------------


def test_a_paper_opens_with_the_marks_that_nbgrader_holds(page, course):
    for paper in page.desk.papers:
        page.choose(paper.number)
        for criterion in ("thesis", "evidence"):
            points, needs, comment = held(course, paper.key, criterion)
            assert page.marks["points"][criterion] == ("" if needs else f"{points:g}")
            assert page.marks["comments"][criterion] == (comment or "")


@pytest.mark.parametrize(
    ("kind", "typed", "points"),
    [("level", 1, 2), ("level", 0, 0), ("points", "2.5", 2.5), ("points", " 3,5 ", 3.5), ("points", "0", 0),
     ("points", "", None)],
)  # fmt: skip
def test_every_change_is_in_nbgraders_database_at_once(page, course, kind, typed, points):
    choose(page, "李")
    answer = write(page, kind, "thesis", typed)
    assert answer["words"].startswith("Saved at ") and not answer["why"]
    assert held(course, page.paper.key)[:2] == (points, points is None)
    assert page.marks["points"]["thesis"] == ("" if points is None else f"{points:g}")


def test_a_comment_is_written_and_an_empty_one_takes_it_back(page, course):
    choose(page, "bo")
    for text, there in (("Fine – “so far”.\nمرحبا", "Fine – “so far”.\nمرحبا"), ("\ud800!", "\ufffd!"), ("", None)):
        assert write(page, "comment", "thesis", text)["why"] == ""
        assert held(course, page.paper.key)[2] == there


@pytest.mark.parametrize("typed", ["4.5", "-1", "abc", "nan", "1e9", "1_0", "∞", "4 5", "--"])
def test_points_that_cannot_be_are_refused_with_the_reason_and_the_old_ones_stay(page, course, typed):
    choose(page, "ann")
    answer = write(page, "points", "thesis", typed)
    assert "0 to 4" in answer["why"] and answer["typed"] == typed and not answer["words"]
    assert page.marks["points"]["thesis"] == "4" and held(course, page.paper.key)[0] == 4
    with pytest.raises(SettingsError):
        page.mark("thesis", math.inf)


def test_a_comment_that_is_too_long_is_refused_and_nothing_lost(page, course):
    choose(page, "ann")
    before = held(course, page.paper.key)
    assert "10,000" in write(page, "comment", "thesis", "x" * 10_001)["why"]
    assert held(course, page.paper.key) == before


def test_a_change_to_another_paper_than_the_open_one_is_refused(page, course):
    key = choose(page, "bo").paper.key
    choose(page, "李")
    hear(page, kind="level", criterion="thesis", typed=2, paper=key)
    assert "Another paper" in page.saved["why"] and held(course, key)[0] is None


def test_a_level_is_shown_only_where_its_points_are_given_exactly(page):
    choose(page, "bo")
    shown = {
        0: (0, ""),
        1: (None, "between None and Some"),
        2: (1, ""),
        3.9: (None, "between Some and All"),
        4: (2, ""),
    }
    for points, expected in shown.items():
        page.mark("thesis", points)
        assert (page.marks["levels"]["thesis"], page.marks["between"]["thesis"]) == expected


def test_the_total_says_what_is_missing(page):
    choose(page, "李")
    assert page.marks["total"] == "2 of 10" and page.marks["missing"] == ["Evidence"]
    page.mark("evidence", 2.5)
    assert page.marks["total"] == "4.5 of 10" and page.marks["missing"] == []


def test_what_formgrader_changed_meanwhile_shows_after_moving_on_and_back_and_after_refresh(page, course):
    choose(page, "ann")
    give(course, "ann", ESSAY, "Elsewhere.", criterion_thesis=1)
    assert page.marks["points"]["thesis"] == "4"
    choose(page, "bo")
    choose(page, "ann")
    assert page.marks["points"]["thesis"] == "1" and page.marks["comments"]["thesis"] == "Elsewhere."
    give(course, "ann", ESSAY, criterion_thesis=3)
    hear(page, kind="refresh")
    assert page.marks["points"]["thesis"] == "3"


def test_a_comment_typed_here_leaves_points_that_were_given_elsewhere(page, course):
    choose(page, "ann")
    give(course, "ann", ESSAY, criterion_thesis=1)
    write(page, "comment", "thesis", "Typed.")
    assert held(course, page.paper.key) == (1, False, "Typed.")


# -- undo --------------------------------------------------------------------------------------------------------------


def test_undo_goes_back_to_the_beginning_and_says_what_it_did(page, course):
    choose(page, "bo")
    bo = page.paper.key
    write(page, "level", "thesis", 1)
    write(page, "points", "thesis", "3.5")
    choose(page, "李")
    write(page, "comment", "evidence", "Which?")
    hear(page, kind="undo")
    assert "comment on Evidence" in page.saved["words"] and held(course, page.paper.key, "evidence")[2] is None
    hear(page, kind="undo")
    assert page.paper.key == bo and "are 2 again, no longer 3.5" in page.saved["words"]
    hear(page, kind="undo")
    assert "are none again" in page.saved["words"] and held(course, bo)[:2] == (None, True)
    hear(page, kind="undo")
    assert page.saved["words"] == "There is nothing to undo."


def test_what_was_typed_in_one_go_is_undone_in_one(page):
    choose(page, "bo")
    write(page, "comment", "thesis", "First.")
    for n, text in enumerate(("S", "Sec", "Second.")):
        write(page, "comment", "thesis", text, goes_on=n > 0)
    page.undo()
    assert page.marks["comments"]["thesis"] == "First."
    page.undo()
    assert page.marks["comments"]["thesis"] == ""


def test_undo_never_takes_back_what_another_hand_has_given(page, course):
    choose(page, "ann")
    write(page, "level", "thesis", 0)
    give(course, "ann", ESSAY, criterion_thesis=1)
    hear(page, kind="undo")
    assert "changed elsewhere" in page.saved["why"] and held(course, page.paper.key)[0] == 1
    assert page.marks["points"]["thesis"] == "1"


# -- papers ------------------------------------------------------------------------------------------------------------


def test_papers_have_formgraders_numbers_and_their_states(page, course):
    with Gradebook(course.db_url) as gradebook:
        keys = sorted(each.id for each in gradebook.notebook_submissions(ESSAY, ESSAY) if each.student.id != "cy")
    assert [paper["key"] for paper in page.papers] == keys
    states = {page.desk.paper(each["key"]).student: (each["state"], each["needs"]) for each in page.papers}
    assert states == {
        "ann": ("marked", False),
        "=1-1": ("marked", False),
        "李": ("begun", False),
        "bo": ("to mark", True),
    }
    assert page.counts == {"all": 4, "marked": 2}
    choose(page, "李").mark("evidence", 1)
    assert page.counts == {"all": 4, "marked": 3}


def test_next_unmarked_goes_round_and_ends_when_all_are_marked(page):
    seen = set()
    for _ in range(2):
        hear(page, kind="next_unmarked")
        seen.add(page.paper.student)
        for criterion in ("thesis", "evidence"):
            page.mark(criterion, 1)
    assert seen == {"bo", "李"}
    hear(page, kind="next_unmarked")
    assert page.saved["words"] == ALL_MARKED


def test_both_ends_of_the_pile_are_ends(page):
    page.choose(1)
    hear(page, kind="step", by=-1)
    assert page.paper.number == 1 and "first" in page.saved["words"]
    for _ in range(9):
        hear(page, kind="step", by=1)
    assert page.paper.number == 4 and "last" in page.saved["words"]
    with pytest.raises(SettingsError, match="1 to 4"):
        page.choose(5)


def test_a_paper_graded_since_appears_at_refresh(page, course):
    graded(course, STUDENT, ESSAY, essay_of(course, "New."))
    hear(page, kind="refresh")
    assert page.counts["all"] == 5 and page.paper is not None


def test_the_comment_bank_comes_when_it_is_asked_for(page):
    choose(page, "bo")
    assert page.bank == {}
    hear(page, kind="bank", criterion="thesis")
    assert len(page.bank["thesis"]) == 1 and page.bank["thesis"][0].startswith("Well argued.")


# -- blind -------------------------------------------------------------------------------------------------------------


def test_nothing_tells_whose_a_paper_is_until_somebody_asks_and_only_for_that_paper(course):
    graded(course, STUDENT, ESSAY, essay_of(course, "Mine."))
    files = [{"name": f"{STUDENT} final.ipynb", "bytes": 1, "kept": False, "why": "it is another one"}]
    files += [{"name": "my Willi.ipynb", "bytes": 1, "kept": True, "why": ""}]
    why = [f"The notebook graded is {files[0]['name']}.", f"{STUDENT.title()} handed in my Willi.ipynb."]
    write_report(course, STUDENT, ESSAY, status="needs a person", why=why, repairs=[f"Like {STUDENT}."])
    intake = read_report(course, STUDENT, ESSAY)["intake"] | {"files": files}
    write_report(course, STUDENT, ESSAY, status="needs a person", why=why, repairs=[f"Like {STUDENT}."], intake=intake)
    page = choose(GraderPage(course), STUDENT)
    sent = json.dumps(page.get_state(), default=str).casefold()
    assert STUDENT not in sent and "willi" not in sent and "student" in sent
    assert repr(page.paper).find(STUDENT) < 0
    hear(page, kind="show_whose")
    assert page.whose == STUDENT
    choose(page, "bo")
    assert page.whose == ""


# -- the essay and its evidence ----------------------------------------------------------------------------------------


def test_a_paper_is_shown_with_length_strategy_and_what_needs_a_person(page):
    sheet = choose(page, "bo").sheet
    assert sheet["strategy"] == "staged release" and "20 to 400 were asked for" in sheet["length"]
    assert sheet["notices"][0] == {"title": "Needs a person", "lines": ["Its ledger cannot be read."], "is_alarm": True}
    assert [each["severity"] for each in sheet["findings"]] == ["fault", "hint"]
    assert page.rubric["criteria"][0]["scheme"][0]["runs"][0]["text"] == "secret advice"


def test_every_outcome_of_doing_a_record_again_has_its_card(course):
    outcomes = ["reproduced", "within tolerance", "not reproduced", "cannot be tried", "not sampled"]
    cited = [record(f"E-000{n}", status) for n, status in enumerate(outcomes)]
    unknown = record("E-00ff", "not sampled", record=None)
    text = " ".join(f"[@{each['id']}]" for each in [*cited, unknown]) + " [@E-abcd]"
    graded(course, "bo", ESSAY, essay_of(course, text))
    found = [{"kind": "other number", "severity": "fault", "says": "You write 5.", "evidence": "E-0002", "section": ""}]
    essay = {"n_words": 1, "strategy": "", "sections": {}, "findings": found}
    write_report(course, "bo", ESSAY, evidence=[*cited, unknown], essay=essay)
    cards = choose(GraderPage(course), "bo").sheet["evidence"]
    assert [cards[each["id"]]["status"] for each in cited] == outcomes
    assert "0.9123 (95% interval 0.9" not in str(cards) and "91.2 %" in cards["E-0000"]["facts"][0][1]
    assert "now 0.5" in cards["E-0002"]["again"] and cards["E-0002"]["checks"] == ["You write 5."]
    assert cards["E-00ff"]["status"] == "no such record" and cards["E-abcd"]["status"] == "nothing is known"
    ledger = {"status": "tampered", "n_records": 0, "why": "Line 2 has been changed."}
    write_report(course, "bo", ESSAY, evidence=[unknown], ledger=ledger)
    tampered = choose(GraderPage(course), "bo").sheet["evidence"]["E-00ff"]["again"]
    assert "not as the course wrote it" in tampered and "Line 2" in tampered


def test_zero_is_a_number_when_it_is_measured_again(course):
    cited = record("E-0001", "not reproduced")
    cited["again"] |= {"value": 0.0, "why": ""}
    graded(course, "bo", ESSAY, essay_of(course, "[@E-0001]"))
    write_report(course, "bo", ESSAY, evidence=[cited])
    assert "now 0." in choose(GraderPage(course), "bo").sheet["evidence"]["E-0001"]["again"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [("E-0001.png", PNG, ""), ("E-0001.png", b"<svg onload=x>", "cannot"), ("E-0001.png", None, "no longer"),
     ("../report.json", PNG, "no picture"), (None, PNG, "no picture"),
     ("E-0001.png", PNG + b"0" * 2_100_000, "cannot")],
)  # fmt: skip
def test_a_picture_is_sent_when_it_is_one(course, name, content, told):
    graded(course, "bo", ESSAY, essay_of(course, "[@E-0001]"))
    write_report(course, "bo", ESSAY, evidence=[record("E-0001", "reproduced", picture=name, alt="A rising line")])
    if content is not None:
        (course.folder("reports", "bo", ESSAY) / "E-0001.png").write_bytes(content)
    page = choose(GraderPage(course), "bo")
    assert page.pictures == {}
    hear(page, kind="picture", id="E-0001")
    found = page.pictures["E-0001"]
    assert told in found["why"] if told else found["src"].startswith("data:image/png;base64,")
    assert told or found["alt"] == "A rising line"


def test_a_finding_names_the_words_the_how_manieth_time_they_stand_there(course):
    text = "It is larger. It is larger. Nothing else."
    graded(course, "bo", ESSAY, essay_of(course, text))
    found = {"kind": "comparison", "severity": "hint", "says": "Than what?", "section": "thesis", "evidence": ""}
    words = [found | {"start": start, "end": start + 12, "quote": "It is larger"} for start in (0, 14)]
    essay = {"n_words": 1, "strategy": "", "sections": {}, "findings": [*words, found | {"start": 28, "end": 35}]}
    write_report(course, "bo", ESSAY, essay=essay)
    shown = choose(GraderPage(course), "bo").sheet["findings"]
    assert [(each["quote"], each["place"]) for each in shown] == [
        ("It is larger", 0),
        ("It is larger", 1),
        ("Nothing", 0),
    ]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda text: repr(text[:20]))
def test_a_hostile_essay_is_plain_text_that_can_be_sent(course, attack):
    graded(course, "bo", ESSAY, essay_of(course, f"Begin. {attack}"))
    cited = record("E-07f3", "reproduced", alt=attack)
    cited["record"] |= {"finding": attack, "note": attack, "of": attack, "n": None, "low": None}
    write_report(course, "bo", ESSAY, evidence=[cited], why=[attack], repairs=[attack])
    page = choose(GraderPage(course), "bo")
    sent = json.dumps(page.get_state(["sheet", "marks", "papers", "rubric"]), allow_nan=False, ensure_ascii=False)
    assert len(sent.encode("utf-8")) < 20 * LONGEST_SECTION
    runs = [run for each in page.sheet["sections"] for block in each["blocks"] for run in block["runs"]]
    assert all(not run.get("href") or run["href"].startswith("http") for run in runs)
    assert runs[0]["text"].startswith("Begin.")


def test_a_very_long_section_is_cut_and_says_so(course):
    graded(course, "bo", ESSAY, essay_of(course, "word " * LONGEST_SECTION))
    section = choose(GraderPage(course), "bo").sheet["sections"][0]
    assert "which are not shown" in section["more"]


# -- what is missing or broken -----------------------------------------------------------------------------------------


def test_a_paper_without_report_or_essay_can_still_be_marked(page, course):
    shutil.rmtree(course.folder("reports", "bo"))
    choose(page, "bo")
    assert page.sheet["notices"][0]["title"] == "No report" and not page.message
    shutil.rmtree(course.folder("autograded", "bo"))
    choose(page, "bo")
    assert "no longer in the folder" in page.message and page.sheet["sections"] == []
    assert write(page, "level", "thesis", 1)["why"] == "" and held(course, page.paper.key)[0] == 2
    choose(page, "ann")
    assert page.message == ""


def test_a_course_without_graded_essays_says_what_to_do(tmp_path):
    course = make_course(tmp_path / "empty")
    page = GraderPage(course)
    assert page.message == NO_PAPERS and page.papers == []
    for wish in ("next_unmarked", "refresh", "show_whose", "undo"):
        hear(page, kind=wish)
    hear(page, kind="step", by=1)
    with pytest.raises(TextError, match="is not in the folder of a course"):
        GraderPage(find_course(tmp_path))


def test_a_broken_mark_scheme_is_told_and_marking_goes_on(course):
    course.folder("source", "", ESSAY).joinpath("mark_scheme.yaml").write_text("- a list")
    page = GraderPage(course)
    assert "mark scheme" in page.message and page.rubric["criteria"][0]["scheme"] == []
    page.mark("thesis", 1)


def test_a_database_that_cannot_be_written_is_told_and_what_is_shown_stays(page, course):
    choose(page, "ann")
    shown, database = page.marks, course.root / "gradebook.db"
    whole = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    answer = write(page, "points", "thesis", "2")
    assert "database" in answer["why"] and "SELECT" not in answer["why"] and page.marks == shown
    database.write_bytes(whole)
    assert write(page, "points", "thesis", "2")["why"] == ""


def test_a_journal_that_cannot_be_written_is_told_though_the_mark_is_there(page, course):
    course.folder("marking").mkdir()
    (course.folder("marking") / ESSAY).write_text("in the way")
    choose(page, "bo")
    assert "was written, but" in write(page, "level", "thesis", 1)["why"]
    assert held(course, page.paper.key)[0] == 2


def test_a_second_readers_marks_are_nobodys_points(course):
    page = choose(GraderPage(course, "ada", second_reader=True), "ann")
    assert page.marks["points"]["thesis"] == "" and "agreement only" in page.role
    write(page, "level", "thesis", 0)
    assert held(course, page.paper.key)[0] == 4
    assert GraderPage(course, "ada", second_reader=True).desk.marks(page.paper.key)["thesis"].points == 0


def test_a_desk_of_ones_own_takes_the_place_of_a_course(course):
    page = GraderPage(desk=open_marking_session(course))
    assert page.counts["all"] == 4
    hear(page, kind="refresh")
    assert page.counts["all"] == 4
