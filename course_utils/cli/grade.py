"""Commands of the grading cycle: release, collect, run, status, feedback, export, report, agree, bundle."""

import argparse
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.errors import CourseError, TextError

if TYPE_CHECKING:
    import pandas as pd

    from course_utils.grading.course.course import Course

Say = Callable[[str], object]

TERMINAL = 120  # characters
LONGEST_NAME, LONGEST_REASON = 40, 600  # characters in a table on a terminal
NARROW = ("student", "state", "raw", "late_penalty", "score", "max")
SECONDS = 900.0  # for one submission; as grade.SECONDS, which is not imported here because it takes a second

VERBS = {
    "release": "make the students' version of assignments, and put it where they fetch it",
    "collect": "fetch the newest submission of every student",
    "roster": "take a list of participants into the gradebook, from any spreadsheet's CSV",
    "import": "take in the zip archive that Canvas, Moodle, Brightspace or Blackboard gives of all submissions",
    "run": "grade by machine what is new: repair, run in a sandbox, compare claims, do evidence again",
    "confirm": "let the points of a submission that needs a person stand; an empty sheet gets 0",
    "status": "one line a submission: where it stands, and why",
    "feedback": "write a page for each student whose marks are complete, and release it",
    "export": "write marks as CSV: for the course, for Canvas or for Moodle",
    "report": "write the class report: anonymous, nothing about fewer than five people",
    "agree": "compare two graders of the same essays",
    "bundle": "write the zip that students get",
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``grade`` and its verbs to the course's commands."""
    grade = commands.add_parser("grade", help="release, collect, grade and return assignments (for instructors)")
    verbs = grade.add_subparsers(required=True, metavar="VERB")
    parsers = {}
    for verb, help_text in VERBS.items():
        parsers[verb] = verbs.add_parser(verb, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}.")
        parsers[verb].add_argument(
            "--course", type=Path, help="folder of the course; found from the current folder when left out"
        )
        if verb in ("release", "collect", "run", "status", "feedback", "export"):
            parsers[verb].add_argument(
                "assignments", nargs="*", metavar="ASSIGNMENT", help="all assignments when left out"
            )
        parsers[verb].set_defaults(run=DO[verb])
    run = parsers["run"]
    run.add_argument("--student", action="append", default=[], help="only this student; may be given several times")
    run.add_argument("--force", action="store_true", help="grade unchanged submissions again; marks by people stay")
    run.add_argument(
        "--unsafe", action="store_true", help="run students' code without a sandbox where none is available"
    )
    run.add_argument(
        "--again", type=int, default=2, metavar="K", help="how many records of each essay are run again (2)"
    )
    run.add_argument(
        "--jobs", type=_positive(int), metavar="N", help="submissions graded at the same time (one for each core)"
    )
    run.add_argument(
        "--seconds", type=_positive(float), default=SECONDS, metavar="S", help=f"for one submission ({SECONDS:g})"
    )
    parsers["confirm"].add_argument("assignment", metavar="ASSIGNMENT")
    parsers["confirm"].add_argument("student", nargs="+", metavar="STUDENT")
    parsers["export"].add_argument("--shape", choices=("course", "canvas", "moodle"), default="course")
    parsers["export"].add_argument("--to", type=Path, help="the file; NAME_SHAPE.csv when left out")
    parsers["export"].add_argument(
        "--worksheet", type=Path, metavar="FILE", help="Moodle's own grading worksheet, to be filled in"
    )
    parsers["export"].add_argument("--number", default="", metavar="N", help="Canvas's own number of the assignment")
    parsers["roster"].add_argument("file", type=Path, metavar="FILE")
    parsers["roster"].add_argument("--id", default="", metavar="COLUMN", help="the heading of the column with the ids")
    parsers["import"].add_argument("assignment", metavar="ASSIGNMENT")
    parsers["import"].add_argument("file", type=Path, metavar="FILE", help="the archive, or a folder with its files")
    parsers["import"].add_argument(
        "--who", action="append", default=[], metavar="NAME=ID", help="assign a name to a student: 'NAME=ID'"
    )
    parsers["report"].add_argument("--to", type=Path, default=Path("class_report.html"))
    parsers["bundle"].add_argument("--to", type=Path, default=Path("model-release-course.zip"))
    parsers["agree"].add_argument("second", help="the second reader, as named on the grader's page")


def _release(chosen: argparse.Namespace) -> int:
    from course_utils.grading.release.release import release

    return _each(chosen, release)


def _collect(chosen: argparse.Namespace) -> int:
    from course_utils.grading.submissions.collect import collect

    return _each(chosen, collect)


def _roster(chosen: argparse.Namespace) -> int:
    from course_utils.grading.course.roster import import_roster

    import_roster(_course(chosen)[0], chosen.file, chosen.id)
    return 0


def _import(chosen: argparse.Namespace) -> int:
    from course_utils.grading.submissions.lms_import import import_submissions

    who = {}
    for assignment_of in chosen.who:
        name, _, id = assignment_of.rpartition("=")
        if not name or not id:
            raise TextError(
                f"--who is {assignment_of[:60]!r}.", "A name from unassigned and a student's id.", "--who 'NAME=ID'"
            )
        who[name] = id
    import_submissions(_course(chosen)[0], chosen.assignment, chosen.file, who)
    return 0


def _run(chosen: argparse.Namespace) -> int:
    from course_utils.grading.autograde.grade import grade
    from course_utils.grading.marking.submission_status import PERSON, submission_statuses

    course, names = _course(chosen)
    is_all_done = True

    def run(name: str) -> None:
        nonlocal is_all_done
        try:
            graded = grade(
                course, name, chosen.student, chosen.force, chosen.unsafe, chosen.again,
                n_jobs=chosen.jobs, seconds=chosen.seconds,
            )  # fmt: skip
        except TextError as nobody:  # of this name has handed in this one, but perhaps another
            if len(names) == 1 or not chosen.student:
                raise
            print(nobody.what)
            return
        here = {result.submission.student for result in graded}
        for_people = [
            status for status in submission_statuses(course, name) if status.state == PERSON and status.student in here
        ]
        print(f"{name}: {len(graded)} submissions, {len(for_people)} need a person.")
        _list({person.student: person.why for person in for_people})
        if left := {result.submission.student: result.left for result in graded if result.left}:
            is_all_done = False
            print(f"{name}: {len(left)} of {len(graded)} submissions are left. Next: make grade")
            _list(left)

    code = _one_by_one(names, run)
    return code if is_all_done else 1


def _one_by_one(names: Sequence[str], do: Callable[[str], object]) -> int:
    """Do something with each assignment. What is wrong with one does not stop the others; return the exit code."""
    if len(names) == 1:
        do(names[0])
        return 0
    code = 0
    for name in names:
        try:
            do(name)
        except CourseError as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 1
    return code


def _list(reasons: Mapping[str, str]) -> None:
    """Print students with reasons, each line no wider than a terminal."""
    from course_utils.core.files import printable

    for student, why in reasons.items():
        print(f"  {printable(student)}")
        print(textwrap.fill(shown_text(why), TERMINAL, initial_indent="    ", subsequent_indent="    "))


def _confirm(chosen: argparse.Namespace) -> int:
    from course_utils.grading.autograde.gradebook import confirm

    course, _ = _course(chosen)
    course.source(chosen.assignment)
    for student in chosen.student:
        for line in confirm(course, chosen.assignment, student):
            print(line)
    return 0


def _status(chosen: argparse.Namespace) -> int:
    from course_utils.grading.marking.submission_status import overview

    course, names = _course(chosen)

    def tell(name: str) -> None:
        table = status_table(overview(course, name))
        print(f"{name}\n{table}")

    return _one_by_one(names, tell)


def status_table(table: "pd.DataFrame") -> str:
    """Return where submissions stand as a table that fits a terminal, and the reasons below it, wrapped.

    Parameters
    ----------
    table : pandas.DataFrame
        As `overview` returns it.
    """
    from course_utils.core.files import printable

    if not len(table):
        return "  nothing yet"
    short = table.assign(student=[shortened(printable(student), LONGEST_NAME) for student in table["student"]])
    wide = short.drop(columns="why").to_string(index=False, na_rep="")
    fits = max(map(len, wide.splitlines())) <= TERMINAL
    lines = [wide if fits else short[[*NARROW]].to_string(index=False, na_rep="")]
    for student, why in zip(table["student"], table["why"], strict=True):
        if why:
            line = f"{printable(student)}: {shortened(shown_text(why), LONGEST_REASON)}"
            lines.append(textwrap.fill(line, TERMINAL, initial_indent="  ", subsequent_indent="    "))
    if table["why"].str.len().max() > LONGEST_REASON:
        lines.append("  Whole reasons: reports/STUDENT/ASSIGNMENT/report.json, or grade export.")
    return "\n".join(lines)


def _feedback(chosen: argparse.Namespace) -> int:
    from course_utils.grading.feedback.feedback import release_feedback

    return _each(chosen, release_feedback)


def _export(chosen: argparse.Namespace) -> int:
    from course_utils.grading.reports.exports import export_csv

    course, names = _course(chosen)
    if (chosen.number or chosen.worksheet) and len(names) > 1:
        raise TextError(
            "No assignment is named, but --number and --worksheet belong to one assignment.",
            f"One of {', '.join(names)}.", f"grade export {names[0]} ...",
        )  # fmt: skip

    def export(name: str) -> None:
        file = chosen.to if chosen.to and len(names) == 1 else Path(f"{name}_{chosen.shape}.csv")
        left_out = export_csv(course, name, file, chosen.shape, chosen.number, chosen.worksheet)
        print("\n".join([f"{name}: {file}", *left_out]))

    return _one_by_one(names, export)


def _report(chosen: argparse.Namespace) -> int:
    from course_utils.grading.reports.class_report import write_class_report

    write_class_report(_course(chosen)[0], chosen.to)
    print(chosen.to)
    return 0


def _agree(chosen: argparse.Namespace) -> int:
    from course_utils.grading.marking.agreement import two_graders

    table = two_graders(_course(chosen)[0], chosen.second)
    print(table.to_string(index=False))
    print(table.attrs["in_words"])
    return 0


def _bundle(chosen: argparse.Namespace) -> int:
    from course_utils.grading.release.bundle import bundle

    bundle(_course(chosen)[0], chosen.to)
    return 0


def _each(chosen: argparse.Namespace, do: "Callable[[Course, str, Say], object]") -> int:
    course, names = _course(chosen)
    return _one_by_one(names, lambda name: do(course, name, print))


def shown_text(text: object) -> str:
    """Return a text from outside as one line that can be printed anywhere."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def shortened(text: str, longest: int) -> str:
    """Return a text with at most so many characters.

    Examples
    --------
    >>> shortened("abcdef", 4), shortened("abc", 4)
    ('abc…', 'abc')
    """
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """Return what argparse reads a number above 0 with."""

    def read(text: str) -> int | float:
        number = kind(text)
        if not 0 < number < 1e6:
            raise ValueError(text)
        return number

    read.__name__ = f"number above 0 ({kind.__name__})"  # argparse puts it into its message
    return read


def _course(chosen: argparse.Namespace) -> "tuple[Course, Sequence[str]]":
    """Return the course, and which of its assignments are meant."""
    from course_utils.grading.course.course import find_course

    course = find_course(chosen.course)
    known = sorted(file.parent.name for file in course.root.glob("source/*/*.ipynb") if file.stem == file.parent.name)
    names = getattr(chosen, "assignments", []) or known
    for name in names:
        course.source(name)
    return course, names


DO = {
    "release": _release, "collect": _collect, "roster": _roster, "import": _import, "run": _run, "confirm": _confirm,
    "status": _status, "feedback": _feedback, "export": _export, "report": _report, "agree": _agree, "bundle": _bundle,
}  # fmt: skip
