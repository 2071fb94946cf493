"""Feedback page of an essay: each criterion with the next step, the evidence done again, the essay itself."""

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.evidence.essay.essay import Essay, Section, read_essay
from course_utils.evidence.essay.markdown import blocks, to_html
from course_utils.evidence.essay.readings import readings
from course_utils.grading.assignments.rubric import CELL_PREFIX, Criterion, Rubric, load_rubric
from course_utils.grading.course.course import Course
from course_utils.grading.feedback.totals import ask_again, card, head, label, sums
from course_utils.grading.html.page import (
    TURNING,
    UNSHOWN,
    element,
    items,
    page,
    paragraph,
    picture,
    section,
    student_text,
    text,
    typed,
)
from course_utils.grading.html.safe_html import RICH
from course_utils.grading.marking.submission_status import SubmissionStatus
from course_utils.grading.marking.submissions_to_mark import read_report
from course_utils.grading.submissions.find import read_plain

MAX_PICTURE_BYTES = 2_000_000  # bytes
PICTURE = re.compile(r"[\w-]+\.png")
PNG = b"\x89PNG\r\n\x1a\n"
AGAIN = {  # how a record came out when it was done again, told to the person who kept it: look, in short, and more
    "reproduced": ("good", "Done again, it gave the same number.", ""),
    "within tolerance": ("good", "Done again, it came out as close to your number as can be expected elsewhere.", ""),
    "not reproduced": (
        "mend",
        "Done again, it gave another number.",
        "That has many harmless reasons: another version of a package, other weights, a text that has changed. It says "
        "nothing about how you worked, and a person has read it before anything was made of it. To find out, do the "
        "record again on your evidence board and compare.",
    ),
    "cannot be tried": ("", "It could not be done again here. That is not held against you.", ""),
    "not sampled": ("", "It was not among those that were done again; only some are.", ""),
}
LEDGER = {
    "sound": "Your ledger holds together from its first line to its last.",
    "missing": "No ledger lay beside the essay, so your numbers could not be compared with their records.",
    "tampered": "A line of your ledger is not as the course wrote it. A program that saves the file anew can do that. "
    "If you do not know how it came about, tell the teacher of the course.",
    "torn": "The last line of your ledger was cut off while it was written; the records before it are whole.",
    "too large": "Your ledger was too large to be read.",
}


def essay_page(course: Course, assignment: str, status: SubmissionStatus) -> str:
    """Return the page of a marked essay.

    Raises
    ------
    OSError, CourseError
        The essay cannot be read any more.
    """
    rubric = load_rubric(course.source(assignment).with_name("rubric.yaml"))
    essay = read_essay(course.folder("autograded", status.student, assignment) / f"{assignment}.ipynb")
    report = read_report(course, status.student, assignment)
    folder = course.folder("reports", status.student, assignment)
    levels = {
        criterion.id: _level_in_words(rubric, criterion, status.given[criterion.id]) for criterion in rubric.criteria
    }
    body = [
        head(rubric.title, "Feedback on your essay", status.student),
        sums(status, levels, "Criterion"),
        section("criteria", "Criterion by criterion", *_criteria(rubric, status, levels)),
        evidence(report, folder),
        noticed(report),
        _written(essay, rubric),
        ask_again(),
    ]
    return page(f"Feedback: {rubric.title}", body)


def evidence(report: Mapping[str, Any], folder: Path) -> str:
    """Return each record that the essay cites, and how it came out when it was done again."""
    ledger = report.get("ledger") or {}
    status_text = LEDGER.get(str(ledger.get("status")), "")
    cited = [record for record in report.get("evidence") or () if record.get("cited")]
    first = paragraph(status_text) if status_text else ""
    if not cited:
        return section("evidence", "Your evidence", first, paragraph("Your essay cites no record of your ledger."))
    return section("evidence", "Your evidence", first, *(_record(record, folder) for record in cited))


def noticed(report: Mapping[str, Any]) -> str:
    """Return what the checks found, faults before hints."""
    found = (report.get("essay") or {}).get("findings") or ()
    if not found:
        return section("checks", "What the checks noticed", paragraph("Nothing."))
    inside = [paragraph("A program wrote these lines. They gave no points and took none, and they can be mistaken.")]
    for severity, title in (("fault", "Contradicted or missing"), ("hint", "Hints")):
        these = [_finding(finding) for finding in found if finding.get("severity") == severity]
        inside += [element("h3", title), items(these)] if these else []
    return section("checks", "What the checks noticed", *inside)


def _criteria(rubric: Rubric, status: SubmissionStatus, levels: Mapping[str, str]) -> list[str]:
    cards = []
    for number, criterion in enumerate(rubric.criteria, 1):
        points, comment = status.given[criterion.id], status.comments.get(CELL_PREFIX + criterion.id, "")
        inside = [paragraph(criterion.asks, class_="soft"), *_steps(rubric, criterion, points, levels[criterion.id])]
        inside += (
            [label("What your grader says"), student_text(comment, class_="theirs said")] if comment.strip() else []
        )
        cards.append(card(number, criterion.name, points, criterion.weight, *inside))
    return cards


def _steps(rubric: Rubric, criterion: Criterion, points: float, reached: str) -> list[str]:
    """Return the level that was reached, the one above it, and what leads there."""
    level = rubric.level_of(criterion.id, points)
    parts = [label(f"Reached: {reached}"), paragraph(criterion.descriptors[level])]
    if level + 1 == len(rubric.levels):
        return [*parts, paragraph("There is no level above this one.", class_="soft")]
    above = rubric.levels[level + 1]
    parts += [label(f"The next level, {above.name}, {rubric.points_of(criterion.id, level + 1):g} points")]
    return [
        *parts,
        paragraph(criterion.descriptors[level + 1]),
        label("To get there"),
        paragraph(criterion.next[level]),
    ]


def _level_in_words(rubric: Rubric, criterion: Criterion, points: float) -> str:
    level = rubric.level_of(criterion.id, points)
    name = rubric.levels[level].name
    is_between = points > rubric.points_of(criterion.id, level) + 1e-9 and level + 1 < len(rubric.levels)
    return f"{name}, on the way to {rubric.levels[level + 1].name}" if is_between else name


def _record(entry: Mapping[str, Any], folder: Path) -> str:
    record_id, record, again = str(entry.get("id")), entry.get("record"), entry.get("again") or {}
    heading = element("h3", text(record_id))
    if not record:
        none = "No record of this name lies in the ledger that was handed in."
        return element("article", heading, paragraph(none, class_="mend"), class_="card")
    look, short, more = AGAIN.get(str(again.get("status")), ("", "", ""))
    inside = [paragraph(record.get("finding", "")), paragraph(_number(record), class_="small")]
    inside += [label("Your note"), student_text(record["note"])] if record.get("note") else []
    inside += [_shown(entry, folder), paragraph(short, class_=look) if look else paragraph(short)]
    inside += [paragraph(more)] if more else []
    if again.get("status") not in ("reproduced", "not sampled") and again.get("why"):
        inside.append(paragraph(again["why"], class_="small soft"))
    return element("article", heading, *inside, class_="card")


def _number(record: Mapping[str, Any]) -> str:
    """Return a record's number with all that belongs to it."""
    ends = [record.get("low"), record.get("high")]
    interval = "" if None in ends else f" ({_digits(ends[0])} to {_digits(ends[1])})"
    counted = "" if record.get("n") is None else f", n = {record['n']}"
    what = f"{str(record.get('metric', '')).replace('_', ' ')} of {record.get('of', '')}"
    return f"{what}: {_digits(record.get('value'))}{interval}{counted}, {record.get('unit', '')}"


def _digits(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _shown(record: Mapping[str, Any], folder: Path) -> str:
    """Return the picture of a record, if there is one and it is one."""
    name = str(record.get("picture") or "")
    if not PICTURE.fullmatch(name):
        return ""
    try:
        png = read_plain(folder / name)
    except OSError:
        return ""
    if not png.startswith(PNG) or len(png) > MAX_PICTURE_BYTES:
        return ""
    return element("figure", picture(png, str(record.get("alt") or f"The picture of {record.get('id')}")))


def _finding(found: Mapping[str, Any]) -> str:
    reading = readings().get(found.get("section", ""))
    heading = reading.number if reading else found.get("section")
    where = element("span", text(f" ({heading})"), class_="soft") if heading else ""
    return element("bdi", text(found.get("says", ""))) + where


def _written(essay: Essay, rubric: Rubric) -> str:
    """Return the essay as it was marked."""
    n, (least, most) = essay.n_words, rubric.words
    parts = [paragraph(f"{n:,} words; {least:,} to {most:,} were asked for.", class_="soft")]
    if essay.strategy:
        parts += [label("Strategy"), student_text(essay.strategy)]
    return section("essay", "Your essay", *parts, *_sections(essay.sections))


def prose(markdown: str) -> str:
    """Return somebody's Markdown as HTML in which nothing acts, its lists as lists.

    Up to `RICH` characters are formatted. What comes after them is shown as it was typed, up to a limit.
    """
    if len(markdown) > RICH:
        end = markdown.rfind("\n", RICH // 2, RICH) + 1 or RICH
        notice = "The text is too long to be formatted. From here on it is shown as it was typed."
        return prose(markdown[:end]) + paragraph(notice, class_="soft") + typed(markdown[end:])
    parts = []
    for is_item, these in itertools.groupby(blocks(TURNING.sub("", markdown)), lambda block: block["kind"] == "item"):
        inside = to_html(list(these))
        parts.append(element("ul", inside) if is_item else inside)
    return UNSHOWN.sub("\ufffd", "".join(parts))


def _sections(sections: Sequence[Section]) -> list[str]:
    parts = []
    for part in sections:
        nothing = paragraph("Nothing was written here.", class_="soft")
        inside = prose(part.text) if part.text.strip() else nothing
        title = "".join(run["text"] for block in blocks(part.title) for run in block["runs"])  # without its asterisks
        parts += [element("h3", text(title)), element("div", inside, class_="essay", dir="auto")]
    return parts
