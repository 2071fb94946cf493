"""The list of submissions on a terminal: never wider than a terminal, and every reason is there."""

import pandas as pd
import pytest

from course_utils.cli.grade import LONGEST_REASON, TERMINAL, shortened, shown_text, status_table
from course_utils.grading.marking.submission_status import overview


def table(*rows: tuple[str, str], n_parts: int = 2) -> pd.DataFrame:
    parts = {f"an_exercise_{i}": 2.0 for i in range(n_parts)}
    numbers = {"raw": 4.0, "late_penalty": 0.0, "score": 4.0, "max": 20.0}
    return pd.DataFrame(
        [{"student": name, "state": "needs a person", "why": why, **parts, **numbers} for name, why in rows]
    )


@pytest.mark.parametrize("n_parts", [0, 2, 12])
@pytest.mark.parametrize("why", ["", "Short.", "A long reason. " * 200, "x" * 5000, "a\nb\x1b[31mred\tc", "李" * 900])
@pytest.mark.parametrize("name", ["ann", "n" * 200, "a\nb", "=cmd|' !A1"])
def test_no_line_is_wider_than_a_terminal_and_nobody_is_missing(n_parts, why, name):
    told = status_table(table((name, why), ("bob", "Another one."), n_parts=n_parts))
    assert max(map(len, told.splitlines())) <= TERMINAL
    assert "\x1b" not in told and "\t" not in told
    assert "bob" in told and "Another one." in told and "needs a person" in told
    assert ("Whole reasons" in told) == (len(why) > LONGEST_REASON)


def test_points_of_each_part_are_shown_where_they_fit():
    assert "an_exercise_0" in status_table(table(("ann", "")))
    assert "an_exercise_0" not in status_table(table(("ann", ""), n_parts=12))


def test_an_empty_class_has_nothing_yet():
    assert status_table(table().reindex(columns=["student", "why"])) == "  nothing yet"


def test_the_table_of_a_course_fits(marked_course):
    for assignment in ("release_strategy", "size_comparison"):
        told = status_table(overview(marked_course, assignment))
        assert max(map(len, told.splitlines())) <= TERMINAL and "ann" in told


@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_a_shortened_text_is_no_longer_than_asked(n):
    for text in ("", "a", "abc" * 50):
        short = shortened(text, n)
        assert len(short) <= max(n, 1) and (short == text) == (len(text) <= n)
    assert shown_text("a\n b\x00c") == "a b c"
