"""The grading cycle from a terminal: each verb does its part, may be said again, and tells what is wrong in words."""

import pytest
from made_course import ESSAY_NAME, GOOD, hand_in, make_course, released, with_answer

from course_utils.__main__ import main
from course_utils.cli.grade import VERBS
from course_utils.grading.sandbox.sandbox import sandbox_problem

pytestmark = pytest.mark.slow

needs_a_box = pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with one sheet and one essay handed in."""
    with pytest.MonkeyPatch.context() as patch:
        top = tmp_path_factory.mktemp("commands")
        patch.setenv("NBGRADER_EXCHANGE", str(top / "exchange"))
        course = make_course(top / "course")
        assert main(["grade", "release", "--course", str(course.root)]) == 0
        hand_in(course, "ann", "size_comparison", with_answer(released(course, "size_comparison"), answer_double=GOOD))
        hand_in(course, "bob", ESSAY_NAME, with_answer(released(course, ESSAY_NAME), text_thesis="My thesis."))
        yield course


def say(course, *words: object) -> int:
    return main(["grade", *map(str, words), "--course", str(course.root)])


@needs_a_box
def test_each_verb_can_be_said_twice(course, capsys, tmp_path):
    out = tmp_path / "out"
    for words in (
        ("release",),
        ("collect",),
        ("run", "--again", 0),
        ("status",),
        ("feedback",),
        ("export", ESSAY_NAME, "--to", out / "marks.csv"),
        ("report", "--to", out / "report.html"),
    ):
        out.mkdir(exist_ok=True)
        for _ in range(2):
            assert say(course, *words) == 0, (words, capsys.readouterr().err)
    told = capsys.readouterr().out
    assert "1 of 1  ann: graded" in told and "1 of 1  ann: as before, graded" in told
    assert "marked" in told and "to mark" in told
    assert (out / "marks.csv").is_file() and (out / "report.html").is_file()


@needs_a_box
def test_a_student_who_handed_in_only_one_of_them_is_graded_in_that_one(course, capsys):
    assert say(course, "run", "--student", "ann", "--force") == 0
    told = capsys.readouterr().out
    assert "Nobody called ann has handed in release_strategy." in told and "ann: graded" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "essay"), "There is no assignment 'essay'"),
        (("run", "size_comparison", "--student", "nemo"), "Nobody called nemo"),
        (("agree", "nobody"), "nobody"),
    ],
)
def test_what_cannot_be_done_is_told(course, capsys, words, told):
    assert say(course, *words) == 1
    assert told in capsys.readouterr().err


def test_outside_a_course_it_says_where_to_go(tmp_path, capsys):
    assert main(["grade", "status", "--course", str(tmp_path)]) == 1
    assert "is not in the folder of a course" in capsys.readouterr().err


def test_every_verb_has_its_help(capsys):
    for verb in VERBS:
        with pytest.raises(SystemExit) as end:
            main(["grade", verb, "--help"])
        assert end.value.code == 0
        assert VERBS[verb][1:20] in " ".join(capsys.readouterr().out.split())
