"""Feedback of an assignment: one page for each submission that is marked, written and released."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from course_utils.core.files import printable, replace_file
from course_utils.errors import CourseError
from course_utils.grading.course.course import ESSAY, Course, ignore_nbgrader_warnings
from course_utils.grading.feedback.essay_page import essay_page
from course_utils.grading.feedback.exercises_page import exercises_page
from course_utils.grading.marking.submission_status import MARKED, SubmissionStatus, submission_statuses
from course_utils.grading.submissions.find import find_submissions, read_plain

WRITTEN, AS_BEFORE, WITHDRAWN, NONE = "written", "as before", "withdrawn", "none"
RELEASED, NOT_RELEASED = "released", "not released"
STAMP, SECRET = "timestamp.txt", "submission_secret.txt"
MAX_SECRET_BYTES = 1000  # bytes

Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Feedback:
    """What became of one student's page.

    Parameters
    ----------
    student : str
    status : {"written", "as before", "withdrawn", "none", "released", "not released"}
    why : str
        Why there is none, or why it was not released; "" otherwise.
    file : Path
        Where the page lies, or would.
    """

    student: str
    status: str
    why: str
    file: Path

    @property
    def is_there(self) -> bool:
        """Tell whether there is a page."""
        return self.status not in (WITHDRAWN, NONE)

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{printable(self.student)}: {self.status}" + (f". {self.why}" if self.why else "")


def write_feedback(course: Course, assignment: str, say: Say = print) -> list[Feedback]:
    """Write a page for every submission that is marked, and take back the pages of those that no longer are.

    Parameters
    ----------
    course : Course
    assignment : str
    say : callable
        Told a line about each page that changed and each that there is not.

    Returns
    -------
    list of Feedback
        One for each student.

    Raises
    ------
    TextError
        There is no such assignment.

    Notes
    -----
    Each page is one HTML file without script or request: ``feedback/STUDENT/ASSIGNMENT/ASSIGNMENT.html``. The same
    marks make the same bytes, and a page that would be the same is not written again.
    """
    keys = _keys(course, assignment)
    found = [_write(course, assignment, status, keys) for status in submission_statuses(course, assignment)]
    found += _left_over(course, assignment, {feedback.student for feedback in found})
    for feedback in found:
        if feedback.status != AS_BEFORE:
            say(str(feedback))
    there = sum(feedback.is_there for feedback in found)
    say(f"{assignment}: {there} pages, {sum(feedback.status == WRITTEN for feedback in found)} of them new or changed.")
    return found


def release_feedback(course: Course, assignment: str, say: Say = print) -> list[Feedback]:
    """Put the pages where nbgrader lets each student fetch their own, and take back those that are no longer there.

    Parameters
    ----------
    course : Course
    assignment : str
    say : callable
        Told a line about each.

    Returns
    -------
    list of Feedback
        What was released, and what not, with why: the page's name in the exchange is made of a secret that lies beside
        what was submitted through nbgrader. Who handed in another way gets the page another way.
    """
    from nbgrader.utils import notebook_hash

    pages, keys = write_feedback(course, assignment, lambda _: None), _keys(course, assignment)
    folder_names = {student: notebook_hash(secret=key.secret, notebook_id=assignment) for student, key in keys.items()}
    outbound = course.own_exchange / "feedback"
    outbound.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for page in pages:
        folder_name = folder_names.get(page.student)
        others = [
            student for student, other in folder_names.items() if other == folder_name and student != page.student
        ]
        if page.is_there and folder_name and not others:
            why = _release(course, assignment, page, outbound / f"{folder_name}.html")
        elif folder_name and others:
            why = f"Its secret is also that of {', '.join(map(printable, others))}: one would get the other's page."
        else:
            why = page.why or (
                "It was not submitted through nbgrader, so there is no secret by which the student could fetch it. "
                f"Give the page to the student another way: {page.file}"
            )
        if why and folder_name:
            (outbound / f"{folder_name}.html").unlink(missing_ok=True)
        found.append(dataclasses.replace(page, status=NOT_RELEASED if why else RELEASED, why=why))
        say(str(found[-1]))
    return found


def _write(course: Course, assignment: str, standing: SubmissionStatus, keys: dict[str, "_Key"]) -> Feedback:
    """Write one page, or take it back; whatever happens to it, the others go on."""
    file = _page(course, assignment, standing.student)
    if standing.state != MARKED:
        return _withdraw(file, standing.student, f"{standing.state[0].upper()}{standing.state[1:]}. {standing.why}")
    make = essay_page if assignment == ESSAY else exercises_page
    try:
        made = make(course, assignment, standing)
        _remove_others(file)
        is_new = _write_if_new(file, made)
        _lay_beside(file, keys.get(standing.student))
    except (CourseError, OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        return _withdraw(file, standing.student, f"It is marked, but its page could not be made: {reason}")
    return Feedback(standing.student, WRITTEN if is_new else AS_BEFORE, "", file)


def _withdraw(file: Path, student: str, why: str) -> Feedback:
    """Remove a page and what lies beside it."""
    was_there = file.is_file()
    for path in (file, file.with_name(SECRET), file.with_name(STAMP)):
        path.unlink(missing_ok=True)
    _remove_others(file)
    for folder in (file.parent, file.parent.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return Feedback(student, WITHDRAWN if was_there else NONE, why, file)


def _left_over(course: Course, assignment: str, known: set[str]) -> list[Feedback]:
    """Take back the pages of students of whom nothing is there any more."""
    pages = sorted(course.root.glob(f"feedback/*/{assignment}/{assignment}.html"))
    names = [file.parent.parent.name for file in pages]
    return [
        _withdraw(file, name, "Nothing of this student is there any more.")
        for file, name in zip(pages, names, strict=True)
        if name not in known
    ]


def _release(course: Course, assignment: str, feedback: Feedback, destination: Path) -> str:
    """Let nbgrader copy one page; return why it could not."""
    from nbgrader.exchange.default import ExchangeReleaseFeedback
    from nbgrader.utils import capture_log

    api = course.api()
    api.coursedir.assignment_id, api.coursedir.student_id = assignment, feedback.student
    with ignore_nbgrader_warnings():
        done = capture_log(ExchangeReleaseFeedback(coursedir=api.coursedir, parent=api))
    if done["success"] and destination.is_file() and destination.read_bytes() == feedback.file.read_bytes():
        return ""
    lines = str(done.get("error") or done.get("log") or "").strip().splitlines()
    return f"nbgrader did not release it: {lines[-1][:200] if lines else 'it does not say why'}"


def _page(course: Course, assignment: str, student: str) -> Path:
    # A list of participants may hold a name that no folder can have.
    return course.folder("feedback", student, assignment) / f"{assignment}.html"


def _remove_others(file: Path) -> None:
    """Remove other pages beside ours: nbgrader would release every one, and its own show hidden checks."""
    if file.parent.is_dir():
        for other in file.parent.glob("*.html"):
            if other.name != file.name:
                other.unlink()


def _write_if_new(file: Path, content: str) -> bool:
    data = content.encode("utf-8", "replace")
    if file.is_file() and file.read_bytes() == data:
        return False
    replace_file(file, content)
    return True


@dataclasses.dataclass(frozen=True)
class _Key:
    """What lies beside a submission that came through nbgrader: the name of its feedback is made of the secret."""

    secret: str
    stamp: str


def _keys(course: Course, assignment: str) -> dict[str, _Key]:
    """Return the secrets that can be used, by student."""
    found = {}
    for submission in find_submissions(course, assignment):
        secret = _short_text(submission.folder / SECRET)
        if secret.strip() and "\r" not in secret:
            found[submission.student] = _Key(secret, _short_text(submission.folder / STAMP))
    return found


def _short_text(file: Path) -> str:
    """Return what a small file of a submission holds; "" where it is none."""
    try:
        data = read_plain(file)
        return data.decode("utf-8") if len(data) <= MAX_SECRET_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _lay_beside(file: Path, key: _Key | None) -> None:
    """Put secret and time beside a page, where nbgrader looks for both."""
    for name in (SECRET, STAMP):
        if key is None:
            file.with_name(name).unlink(missing_ok=True)
        else:
            _write_if_new(file.with_name(name), key.secret if name == SECRET else key.stamp)
