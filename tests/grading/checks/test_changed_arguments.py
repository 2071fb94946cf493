"""A student's function that changes its arguments changes nothing that another check uses."""

import pytest
from made_checks import HIDDEN, code

from course_utils.grading.autograde.execute import check
from course_utils.grading.sandbox.sandbox import sandbox_problem

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}"),
]
EMPTIES = "def total({0}):\n    {0}.clear()\n    return 0"
GIVEN = "numbers = [1, 2, 3]\nsame = numbers\ntable = {'a': [4]}"
SEEN = "total(numbers)\ntotal(table)\nassert numbers == [] and same is numbers and table == {}"


def test_what_a_check_gave_to_a_function_is_whole_for_every_other_check(tmp_path):
    flags = {"grade": True, "locked": True, "points": 1}
    hidden = HIDDEN.format("right = sum(numbers) + sum(table['a'])\nassert total(numbers) == right == 10")
    source = [
        code("given", GIVEN, locked=True), code("answer", EMPTIES.format("x"), solution=True),
        code("seen", SEEN, **flags), code("unseen", hidden, **flags),
        code("again", "assert numbers == [1, 2, 3] and table == {'a': [4]}", **flags),
    ]  # fmt: skip
    cells = [
        {"id": "given", "source": GIVEN}, {"id": "answer", "source": EMPTIES.format("x")},
        {"id": "seen"}, {"id": "unseen"}, {"id": "again"},
    ]  # fmt: skip
    verdicts = check(source, cells, tmp_path, None).verdicts
    assert {name: verdict["points"] for name, verdict in verdicts.items()} == {"seen": 1, "unseen": 0, "again": 1}
