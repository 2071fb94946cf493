"""The grading cycle from a terminal: release, collect, run, status, feedback, export, report, agree, bundle."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from course_utils.errors import TextError

VERBS = {
    "release": "make the students' version of assignments, and put it where they fetch it",
    "collect": "fetch the newest submission of every student",
    "run": "grade by machine what is new: repair, run in a sandbox, compare claims, do evidence again",
    "status": "one line a submission: where it stands, and why",
    "feedback": "write a page for each student whose marks are complete, and release it",
    "export": "write marks as CSV: for the course, for Canvas or for Moodle",
    "report": "write the class report: anonymous, nothing about fewer than five people",
    "agree": "compare two graders of the same essays",
    "bundle": "write the zip that students get",
}


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add ``grade`` and its verbs to the course's commands."""
    grade = commands.add_parser("grade", help="release, collect, grade and return assignments (for instructors)")
    verbs = grade.add_subparsers(required=True, metavar="VERB")
    parsers = {}
    for verb, told in VERBS.items():
        parsers[verb] = verbs.add_parser(verb, help=told, description=f"{told[0].upper()}{told[1:]}.")
        parsers[verb].add_argument("--course", type=Path, help="the course's folder; the one around here when left out")
        if verb in ("release", "collect", "run", "status", "feedback", "export"):
            parsers[verb].add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="all when left out")
        parsers[verb].set_defaults(run=DO[verb])
    run = parsers["run"]
    run.add_argument("--student", action="append", default=[], help="only this one; may be said several times")
    run.add_argument("--force", action="store_true", help="also what has not changed; people's marks stay")
    run.add_argument("--unsafe", action="store_true", help="run students' code without a sandbox where there is none")
    run.add_argument("--again", type=int, default=2, metavar="K", help="records of each essay that are done again (2)")
    parsers["export"].add_argument("--shape", choices=("course", "canvas", "moodle"), default="course")
    parsers["export"].add_argument("--to", type=Path, help="the file; NAME_SHAPE.csv when left out")
    parsers["report"].add_argument("--to", type=Path, default=Path("class_report.html"))
    parsers["bundle"].add_argument("--to", type=Path, default=Path("model-release-course.zip"))
    parsers["agree"].add_argument("second", help="the second reader, as named on the grader's page")


def _release(chosen: argparse.Namespace) -> int:
    from course_utils.grading.assignment import release

    return _each(chosen, release)


def _collect(chosen: argparse.Namespace) -> int:
    from course_utils.grading.collect import collect

    return _each(chosen, collect)


def _run(chosen: argparse.Namespace) -> int:
    from course_utils.grading.grade import NEEDS_A_PERSON, grade

    course, names = _course(chosen)
    for name in names:
        try:
            graded = grade(course, name, chosen.student, chosen.force, chosen.unsafe, chosen.again)
        except TextError as nobody:  # of this name has handed in this one, but perhaps another
            if len(names) == 1 or not chosen.student:
                raise
            print(nobody.what)
            continue
        for_people = [each for each in graded if each.report["status"] == NEEDS_A_PERSON]
        print(f"{name}: {len(graded)} submissions, {len(for_people)} need a person.")
        for each in for_people:
            print("\n".join([f"  {each.submission.student}", *(f"    {why}" for why in each.report["why"])]))
    return 0


def _status(chosen: argparse.Namespace) -> int:
    from course_utils.grading.overview import overview

    course, names = _course(chosen)
    for name in names:
        table = overview(course, name)
        print(name)
        print(table.to_string(index=False, na_rep="") if len(table) else "  nothing yet")
    return 0


def _feedback(chosen: argparse.Namespace) -> int:
    from course_utils.grading.feedback import release_feedback

    return _each(chosen, release_feedback)


def _export(chosen: argparse.Namespace) -> int:
    from course_utils.grading.exports import export_csv

    course, names = _course(chosen)
    for name in names:
        file = chosen.to if chosen.to and len(names) == 1 else Path(f"{name}_{chosen.shape}.csv")
        left_out = export_csv(course, name, file, chosen.shape)
        print("\n".join([f"{name}: {file}", *left_out]))
    return 0


def _report(chosen: argparse.Namespace) -> int:
    from course_utils.grading.class_report import write_class_report

    write_class_report(_course(chosen)[0], chosen.to)
    print(chosen.to)
    return 0


def _agree(chosen: argparse.Namespace) -> int:
    from course_utils.grading.agreement import two_graders

    table = two_graders(_course(chosen)[0], chosen.second)
    print(table.to_string(index=False))
    print(table.attrs["in_words"])
    return 0


def _bundle(chosen: argparse.Namespace) -> int:
    from course_utils.grading.bundle import bundle

    bundle(_course(chosen)[0], chosen.to)
    return 0


def _each(chosen: argparse.Namespace, do: Callable) -> int:
    course, names = _course(chosen)
    for name in names:
        do(course, name, print)
    return 0


def _course(chosen: argparse.Namespace) -> tuple[object, Sequence[str]]:
    """Return the course, and which of its assignments are meant."""
    from course_utils.grading.course import find_course

    course = find_course(chosen.course)
    known = sorted(file.parent.name for file in course.root.glob("source/*/*.ipynb") if file.stem == file.parent.name)
    names = getattr(chosen, "assignments", []) or known
    for name in names:
        course.source(name)
    return course, names


DO = {
    "release": _release, "collect": _collect, "run": _run, "status": _status, "feedback": _feedback,
    "export": _export, "report": _report, "agree": _agree, "bundle": _bundle,
}  # fmt: skip
