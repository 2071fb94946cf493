"""Totals on a feedback page: points of each part, late penalty, sum, and how to ask for a regrade."""

import math

from course_utils.grading.course.late_penalty import GRACE_S, MAX_SHARE, share_a_day
from course_utils.grading.html.page import element, paragraph, section, table, text
from course_utils.grading.marking.submission_status import SubmissionStatus

DAY_S = 86_400
REGRADE = (
    "Name one part of the table above, and ask about that part only; for a second part write a second time.",
    "Give a reason: what its description asks for, and the place in your work where it stands.",
    "Send both to the teacher of the course: a person then reads that part again, and answers with a reason.",
)


def head(title: str, what: str, student: str) -> str:
    """Return the beginning of a page."""
    names = text(what), element("bdi", text(student))
    return element("h1", text(title)) + element("p", f"{names[0]} for {names[1]}", class_="soft")


def sums(status: SubmissionStatus, levels: dict[str, str], word: str) -> str:
    """Return the points of each part with the sum.

    Parameters
    ----------
    status : SubmissionStatus
        Marked.
    levels : dict of str to str
        What was reached, by part, in words.
    word : str
        What a part is called.
    """
    rows = [
        [_link(number, part.name), text(levels[part.id]), _of(status.given[part.id], part.most)]
        for number, part in enumerate(status.parts, 1)
    ]
    if status.penalty:
        rows.append(["Late submission", text(late_in_words(status.seconds_late)), f"−{status.penalty:g}"])
    summary = table([word, "Reached", "Points"], rows, "Points of each part")
    total = element("p", "Total: ", element("strong", _of(status.score or 0.0, status.most)), " points", class_="total")
    return section("points", "Your points", total, summary)


def late_in_words(seconds: float) -> str:
    """Say how late it came, in begun days, and what a day costs.

    Examples
    --------
    >>> late_in_words(25 * 3600)
    '2 begun days late; each costs 5% of the points, all together at most 50%'
    """
    days = math.ceil((seconds - GRACE_S) / DAY_S)
    costs = f"each costs {share_a_day():.0%} of the points, all together at most {MAX_SHARE:.0%}"
    return f"{days} begun day{'s' if days > 1 else ''} late; {costs}"


def ask_again() -> str:
    """Return how to ask for another look."""
    steps = "".join(element("li", text(step)) for step in REGRADE)
    first = paragraph("You think that a part of this was read wrongly? Ask; that is what this is for.")
    return section("ask-again", "Asking for another look", first, element("ol", steps))


def card(number: int, title: str, points: float, most: float, *inside: str) -> str:
    """Return one part under its heading."""
    points_line = element("p", element("strong", _of(points, most)), " points")
    heading = element("h3", text(title), id=f"part-{number}")
    return "\n" + element("article", heading, points_line, *inside, class_="card", aria_labelledby=f"part-{number}")


def label(words: str) -> str:
    """Return a line that says what the next one is."""
    return paragraph(words, class_="label")


def _link(number: int, name: str) -> str:
    return element("a", text(name), href=f"#part-{number}")


def _of(points: float, most: float) -> str:
    return f"{points:g} of {most:g}"
