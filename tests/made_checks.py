"""Cells of small sheets for the tests of checks."""

EXPECT = "from course_utils.expect import expect\n"
HIDDEN = "### BEGIN HIDDEN TESTS\n{}\n### END HIDDEN TESTS"


def code(name: str, source: str, **flags: object) -> dict:
    """Return a code cell with nbgrader's marks."""
    marks = {"grade_id": name, "grade": False, "solution": False, "locked": False, **flags}
    return {"cell_type": "code", "source": source, "metadata": {"nbgrader": marks}}
