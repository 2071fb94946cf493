"""Measure how long the grading of exercises takes, stage by stage, and how many submissions a minute are graded.

Run with ``make bench``. On a busy machine the seconds of a processor count: they hardly change with its load. It grades
copies of the instructor's solution of ``size_comparison`` in a folder of its own.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import nbformat
from repository import ROOT

from course_utils.grading.assignments.generate import generate
from course_utils.grading.autograde import execute, grade
from course_utils.grading.autograde.worker_pool import default_jobs
from course_utils.grading.checks import student_process
from course_utils.grading.checks.student_sandbox import student_command
from course_utils.grading.course.course import EXERCISES, Course, find_course
from course_utils.grading.sandbox import sandbox

MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")
took: dict[str, list[float]] = defaultdict(list)


def timed(owner: object, name: str, stage: str) -> None:
    """Let a function write down how long each of its calls takes."""
    function: Callable = getattr(owner, name)

    def call(*args: object, **named: object) -> object:
        begun = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            took[stage].append(time.perf_counter() - begun)

    setattr(owner, name, call)


def cpu_seconds() -> float:
    """Return how long processors have worked for this process and those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def made_course(folder: Path, n: int) -> Course:
    """Return a course with n submissions of the solution, each with a comment of its own."""
    shutil.copytree(ROOT / "source", folder / "source")
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    course = find_course(folder)
    generate(course, EXERCISES, lambda _: None)
    solved = {cell.id: cell.source for cell in nbformat.read(course.source(EXERCISES), 4).cells}
    for number in range(n):
        notebook = nbformat.read(course.folder("assignments", "", EXERCISES) / f"{EXERCISES}.ipynb", 4)
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                lines = [line for line in solved[cell.id].splitlines() if line.strip() not in MARKERS]
                cell.source = "\n".join([*lines, f"# {number}"])
        place = course.folder("submitted", f"student{number:03}", EXERCISES)
        place.mkdir(parents=True)
        nbformat.write(notebook, place / f"{EXERCISES}.ipynb")
    return course


def stages(course: Course, n: int) -> None:
    """Grade in this process, and print how long each stage takes."""
    timed(grade, "ingest", "read and repair")
    timed(grade, "autograde", "nbgrader with all checks")
    timed(execute, "check", "checks in all")
    timed(execute, "student_command", "files of the sandbox")
    found = grade.find_submissions(course, EXERCISES)[:n]
    for submission in found:
        begun = time.perf_counter()
        grade.grade_one(course, submission, False, 0)
        took["one submission"].append(time.perf_counter() - begun)
    with tempfile.TemporaryDirectory() as folder:
        for _ in found:
            begun = time.perf_counter()
            line = student_command(None)
            student_process.Process(line, sandbox.Limits(), {}, Path(folder), student_process.TimeBudget(60)).close()
            took["a sandbox started and ended"].append(time.perf_counter() - begun)
    print("Seconds in one process (the first submission has what is made once in it):")
    for stage, seconds in took.items():
        print(f"  {stage:28} first {seconds[0]:6.2f}   median {statistics.median(seconds):6.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=20)
    n = parser.parse_args().submissions
    with tempfile.TemporaryDirectory() as folder:
        course = made_course(Path(folder) / "course", n)
        stages(course, min(n, 5))
        for jobs in sorted({1, default_jobs()}):
            begun, used = time.perf_counter(), cpu_seconds()
            grade.grade(course, EXERCISES, force=True, n_jobs=jobs, say=lambda _: None)
            seconds, used = time.perf_counter() - begun, cpu_seconds() - used
            told = f"{n} submissions, {jobs} at a time: {seconds:.1f} s, {60 * n / seconds:.0f} a minute"
            print(f"{told}; {used / n:.2f} s of a processor each, which is {60 * n / used:.0f} a minute on a free core")


if __name__ == "__main__":
    main()
