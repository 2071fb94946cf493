"""What instructors may write in checks, how an assignment is verified, and that nbgrader's own commands do no harm."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from made_checks import EXPECT, HIDDEN, code
from made_course import exercises, make_course
from repository import ROOT

from course_utils.errors import CourseError
from course_utils.grading.assignments.generate import generate
from course_utils.grading.autograde.execute import ExecutionResult, check
from course_utils.grading.checks import codec
from course_utils.grading.checks.expect import cases, expect_same
from course_utils.grading.checks.plan import names_of, read_plan
from course_utils.grading.release.verify import submission_cells, verify_checks
from course_utils.grading.sandbox.sandbox import sandbox_problem

pytestmark = pytest.mark.slow

needs_a_box = pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}")
NAME = "size_comparison"
MORE = EXPECT + "from course_utils.expect import cases, expect_error, expect_same, source_of, tree_of\n"


def graded(name: str, source: str, points: float = 1, hidden: bool = False) -> dict:
    text = HIDDEN.format(source) if hidden else source
    return code(name, text, grade=True, locked=True, points=points)


# Each: the instructor's cells by name; an answer that is right, and one that is wrong.
SOLVED = {
    "drawn inputs and the solution": (
        [graded("c", MORE + "expect_same(f, cases(lambda draw: (draw.randint(-99, 99), draw.random())))", hidden=True)],
        "def f(n, x):\n    return {'sum': n + x, 'all': [n, x]}", "def f(n, x):\n    return {'sum': n + x, 'all': [n]}",
    ),
    "errors as the solution's": (
        [graded("c", MORE + "expect_same(f, ['1', 'one', '2.5'])", hidden=True)],
        "def f(text):\n    return int(text)", "def f(text):\n    return int(float(text))",
    ),
    "the text of a function": (
        [graded("c", MORE + "import ast\nexpect(f, [3, 1, 2], gives=[1, 2, 3])\n"
                "assert not any(isinstance(node, ast.Name) and node.id == 'sorted' for node in ast.walk(tree_of(f)))\n"
                "assert 'while' in source_of('answer')")],
        "def f(row):\n    row, out = list(row), []\n    while row:\n        out.append(row.pop(row.index(min(row))))\n"
        "    return out",
        "def f(row):\n    # while\n    return sorted(row)",
    ),
    "a class": (
        [graded("c", "s = Stack()\ns.push(1)\ns.push('b')\nassert s.pop() == 'b' and s.items == [1]\n"
                "assert isinstance(s, Stack) and len(s) == 1 and list(s) == [1] and s[0] == 1 and 1 in s\n"
                "assert Stack() == Stack()")],
        "class Stack:\n    def __init__(self):\n        self.items = []\n"
        "    def push(self, x):\n        self.items.append(x)\n"
        "    def pop(self):\n        return self.items.pop()\n    def __len__(self):\n        return len(self.items)\n"
        "    def __getitem__(self, i):\n        return self.items[i]\n"
        "    def __eq__(self, other):\n        return self.items == other.items",
        "class Stack:\n    def __init__(self):\n        self.items = []\n"
        "    def push(self, x):\n        self.items.append(x)\n"
        "    def pop(self):\n        return self.items[-1]",
    ),
    "arguments changed in place": (
        [graded("c", "row, seen = [3, 1, 2], {'a': 1}\nf(row, seen)\nassert row == [1, 2, 3] and seen == {'a': 2}")],
        "def f(row, seen):\n    row.sort()\n    seen['a'] += 1",
        "def f(row, seen):\n    row = sorted(row)\n    seen['a'] += 1",
    ),
    "errors caught": (
        [graded("c", "import pytest\nwith pytest.raises(ValueError, match='negative'):\n    f(-1)\ntry:\n    f('x')\n"
                "except TypeError:\n    pass\nelse:\n    raise AssertionError('no error')\nassert f(4) == 2.0")],
        "import math\ndef f(x):\n    if x < 0:\n        raise ValueError('negative')\n    return math.sqrt(x)",
        "import math\ndef f(x):\n    return math.sqrt(x)",
    ),
    "functions as arguments": (
        [graded("c", EXPECT + "import math\nexpect(f, math.sqrt, [4, 9], gives=[2.0, 3.0])\n"
                "expect(f, len, ['a', ''], gives=[1, 0])\nexpect(f, helper, [1, 2], gives=[2, 3])")],
        "def f(g, row):\n    return [g(x) for x in row]", "def f(g, row):\n    return [x for x in row]",
    ),
    "arrays": (
        [graded("c", EXPECT + "import numpy\nexpect(f, numpy.array([[1.0, 2.0]]), gives=[2.0, 4.0])")],
        "def f(a):\n    return (2 * a).ravel()", "def f(a):\n    return 2 * a",
    ),
    "a generator": (
        [graded("c", "assert list(f(3)) == [0, 1, 2]")],
        "def f(n):\n    yield from range(n)", "def f(n):\n    while True:\n        yield 0",
    ),
    "values that are no functions": (
        [graded("c", "assert answer == {'a': [1, 2], 'b': (0.5, None)} and name in ('x', 'y')")],
        "answer, name = {'a': [1, 2], 'b': (0.5, None)}, 'y'", "answer, name = {'a': [1, 2], 'b': (0.5, 0)}, 'y'",
    ),
    "a name of Python's own": (
        [graded("c", EXPECT + "expect(sum, [1, 2], gives=-3)\nassert max(1, 2) == 2")],
        "def sum(row):\n    return -row[0] - row[1]", "def total(row):\n    return 0",
    ),
    "names of other cells": (
        [graded("a", EXPECT + "sizes = [1, 2]\nexpect(f, sizes, gives=2)"),
         graded("b", "expect(f, sizes * 2, gives=4)"),
         graded("c", "expect(f, sizes * limit, gives=6)", hidden=True)],
        "def f(row):\n    return len(row)", "def f(row):\n    return 5",
    ),
}  # fmt: skip
LOCKED = code("locked", "limit = 3\ndef helper(x):\n    return x + 1", locked=True)


@needs_a_box
@pytest.mark.parametrize("name", SOLVED)
def test_a_check_of_each_kind_gives_a_right_answer_all_and_a_wrong_one_nothing(name, tmp_path):
    own, right, wrong = SOLVED[name]
    source = [LOCKED, code("answer", right, solution=True), *own]
    for answer, points in ((right, 1), (wrong, 0)):
        cells = submission_cells([LOCKED, code("answer", answer, solution=True), *own])
        found = check(source, cells, tmp_path, None)
        assert {verdict["points"] for verdict in found.verdicts.values()} == {points}, (answer, found)


def points_of(own: list[dict], answer: str, tmp_path: Path) -> tuple[dict, ExecutionResult]:
    source = [LOCKED, code("answer", "def f(x):\n    return 2 * x", solution=True), *own]
    cells = submission_cells([LOCKED, code("answer", answer, solution=True), *own])
    found = check(source, cells, tmp_path, None)
    return {name: verdict["points"] for name, verdict in found.verdicts.items()}, found


@needs_a_box
def test_a_part_of_the_points_comes_from_the_checks_last_line_and_never_from_a_student(tmp_path):
    own = [
        graded("half", "2 * (f(1) == 2) + 2.0 * (f(2) == 5)", points=4),
        graded("students", "f(2)", points=4),
        graded("too many", "9", points=4),
        graded("words", "assert f(1) == 2\n'well done'", points=4),
    ]
    points, found = points_of(own, "def f(x):\n    return 2 * x", tmp_path)
    assert points == {"half": 2.0, "students": 4, "too many": None, "words": 4}
    assert "too many" in found.doubts()[0]


@needs_a_box
def test_a_students_cell_cannot_change_what_an_instructors_cell_or_an_import_means(tmp_path):
    own = [graded("a", EXPECT + "import math\nexpect(f, math.pi, gives=limit + helper(0) - 4 + 2 * math.pi)")]
    forged = "import math\nmath.pi = 0\nlimit = 4\ndef helper(x):\n    return 0\ndef f(x):\n    return 0"
    assert points_of(own, forged, tmp_path)[0] == {"a": 0}
    assert points_of(own, forged + "\ndef f(x):\n    return 2 * x", tmp_path)[0] == {"a": 1}


@needs_a_box
def test_what_a_check_cannot_hand_over_is_decided_by_nobody_and_told(tmp_path):
    own = [
        graded("a", EXPECT + "expect(f, lambda x: x, gives=1)"),
        graded("b", "f([0] * 10**6)"),
        graded("c", "f(open)"),
    ]
    points, found = points_of(own, "def f(x):\n    return 2 * x", tmp_path)
    assert points["a"] is points["b"] is None
    assert "<lambda>" in found.verdicts["a"]["why"] and "locked cell" in found.verdicts["a"]["why"]


@needs_a_box
def test_cells_are_run_with_the_shell_that_a_notebook_has(tmp_path):
    answer = "%matplotlib inline\n%time x = 1\n!ls\nimport asyncio\nawait asyncio.sleep(0)\ndef f(x):\n    return 2 * x"
    points, found = points_of([graded("a", "assert f(2) == 4")], answer, tmp_path)
    assert points == {"a": 1}, found


@needs_a_box
def test_a_function_is_known_by_the_instructors_name_whatever_it_calls_itself(tmp_path):
    answer = "def f(x):\n    return 3 * x\nf.__name__ = f.__qualname__ = 'easy'\ndef easy(x):\n    return 3 * x"
    own = [graded("a", MORE + "expect_same(f, [1, 2])\nassert 'pass' in source_of(f)"), graded("b", "assert f(1) == 3")]
    source = [code("answer", "def easy(x):\n    return 3 * x\ndef f(x):\n    return 2 * x", solution=True), *own]
    found = check(source, submission_cells([code("answer", answer, solution=True), *own]), tmp_path, None)
    assert {name: verdict["points"] for name, verdict in found.verdicts.items()} == {"a": 0, "b": 1}
    assert found.verdicts["a"]["error"][1].startswith("f(1) gave 3.")


def test_the_same_submission_draws_the_same_inputs_and_another_one_others():
    assert cases(lambda draw: draw.random(), 3) == cases(lambda draw: draw.random(), 3)
    expect_same(len, ["", "abc"])  # in a notebook a function is compared with itself


def test_names_that_a_cell_needs_are_those_that_it_does_not_set_first():
    for source, sets, uses in [
        ("x = 1\ny = x + z", {"x", "y"}, {"z"}),
        ("x = x + 1", {"x"}, {"x"}),
        ("x += 1", {"x"}, {"x"}),
        ("for i in row:\n    print(i)", {"i"}, {"row", "print"}),
        ("def f():\n    return g(h) + [each for each in k][0]", {"f"}, {"g", "h", "k"}),
        ("from math import *\nsqrt(4)", None, set()),
        ("with open('x') as file:\n    pass", {"file"}, {"open"}),
        ("def f():\n    global a\n    a = 1", {"f", "a"}, set()),
    ]:
        found = names_of(source)
        assert found[1] == uses, source
        assert sets is None or found[0] == sets, source


# -- verified before it is released ------------------------------------------------------------------------------------

UNSOUND = {
    "points for nothing": ("assert True", "to a sheet that nobody has answered"),
    "no points for the solution": ("assert double(2) == 5", "gives the solution 0 of 2"),
    "a function handed over": ("assert double(lambda: 0)", "cannot be made"),
    "a magic": ("%time double(2)", "not plain Python"),
    "only a name": ("double", "to a sheet that nobody has answered"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_assignment_whose_checks_are_unsound_is_not_released(name, tmp_path):
    source, told = UNSOUND[name]
    course = make_course(tmp_path / "course")
    changed = exercises()
    changed.cells[-1].source = HIDDEN.format(source)
    nbformat.write(changed, course.source(NAME))
    generate(course, NAME, lambda line: None)
    with pytest.raises(CourseError, match=told):
        verify_checks(course, NAME, lambda line: None)


def test_the_courses_own_exercises_are_sound(tmp_path):
    course = make_course(tmp_path / "course")
    own = ROOT / "source" / NAME / f"{NAME}.ipynb"
    course.source(NAME).write_bytes(own.read_bytes())
    generate(course, NAME, lambda line: None)
    said = []
    verify_checks(course, NAME, said.append)
    assert "20 checks give the solution 20 points" in said[0]


def test_every_check_of_the_courses_exercises_asks_the_student():
    own = ROOT / "source" / NAME / f"{NAME}.ipynb"
    plan, uses = read_plan(json.loads(own.read_text("utf-8"))["cells"])
    for cell in plan:
        if cell.is_check:
            assert uses[cell.name].of_student, cell.name
            assert not any(owner.is_check for owner in uses[cell.name].of_cells.values()), cell.name


MEAN = (
    "def mean(row):\n    if not row:\n        raise ValueError('empty')\n    total = 0\n    for x in row:\n"
    "        total += x\n    return total / len(row)"
)


@needs_a_box
def test_the_examples_of_the_page_for_instructors_do_what_it_says(tmp_path):
    page = (ROOT / "docs" / "checks.md").read_text("utf-8")
    blocks = re.findall("```python\n(.*?)```", page, re.DOTALL)
    own = [graded(f"c{number}", block.strip()) for number, block in enumerate(blocks)]
    assert len(own) == 3
    source = [code("answer", MEAN, solution=True), *own]
    for answer, points in {
        MEAN: (1, 1, 1),
        "from statistics import mean": (0, 1, 0),  # right values, another message, and no loop
        MEAN.replace("len(row)", "max(1, len(row) - 1)"): (0, 0, 0),
        "def total(row):\n    return sum(row)\n"
        + MEAN[: MEAN.index("    total")]
        + "    return total(row) / len(row)": (1, 1, 0),
        f"exec({MEAN!r})": (1, 1, 0),  # no cell sets the name
        MEAN.replace("total / len(row)", "{3: 3.0, 5: 5.0}.get(total, 0.1)"): (0, 0, 0),
    }.items():
        found = check(source, submission_cells([code("answer", answer, solution=True), *own]), tmp_path, None)
        assert tuple(found.verdicts[f"c{n}"]["points"] for n in range(3)) == points, (answer, found)


# -- nbgrader's own commands -------------------------------------------------------------------------------------------


# -- the protocol ------------------------------------------------------------------------------------------------------

VALUES = [
    None, True, 0, -1, 2**53, -(2**60), 10**4000, 0.1, -0.0, 1e308, float("inf"), 2j, "", "é\ud800\0", b"\0\xff", [],
    (), {}, set(), frozenset({1}), [[(None,)]], {"a": 1, 2: [3], (4, "b"): None, 0.5: {True}}, [1] * 1000,
]  # fmt: skip
ILL_FORMED = [
    [], ["l"], ["l", 1], ["d", [[1]]], ["d", [[["l", []], 1]]], ["i", "x"], ["i", 5], ["f", "1"], ["b", "zz"],
    ["s", [["l", []]]], {}, {"a": 1}, ["t", 1], ["c", "1"],
    ["d", [[i * (2**61 - 1), 0] for i in range(20_000)]], ["?", 1],
    ["l", [0] * 300_000], ["i", "f" * 10_000],
]  # fmt: skip


def _other(value: object) -> object:
    raise codec.IllFormed("another kind")


def _through(value: object) -> object:
    data = memoryview(codec.message({"ok": codec.pack(value, _other)}))
    position = 0

    def read(n: int) -> bytes:
        nonlocal position
        position += n
        return bytes(data[position - n : position])

    return codec.unpack(codec.read(read)["ok"], _other)


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_a_plain_value_comes_through_the_pipe_as_it_was(number):
    value = VALUES[number]
    assert _through(value) == value
    assert type(_through(value)) is type(value)
    assert repr(_through(value)) == repr(value) or isinstance(value, set | dict | frozenset)


@pytest.mark.parametrize("number", range(len(ILL_FORMED)))
def test_what_is_ill_formed_is_refused_whatever_it_is(number):
    with pytest.raises(codec.IllFormed):
        codec.unpack(ILL_FORMED[number], _other)


def test_bytes_that_are_no_message_are_refused():
    for data in (b"", b"\0", b"\0\0\0\5ab"):
        assert codec.read(_reader(data)) is None
    for body in (b"[]", b"1", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b"9" * 9000):
        with pytest.raises(codec.IllFormed):
            codec.read(_reader(codec.HEAD.pack(len(body)) + body))
    with pytest.raises(codec.IllFormed):
        codec.read(_reader(b"\xff" * 8))


def _reader(data: bytes):
    left = [data]

    def read(n: int) -> bytes:
        part, left[0] = left[0][:n], left[0][n:]
        return part

    return read


def test_a_value_that_is_too_large_is_refused_by_whoever_sends_it():
    deep: list = []
    for _ in range(100):
        deep = [deep]
    for value in ([0] * 300_000, "x" * 3_000_000, 1 << 100_000, deep, dict.fromkeys(range(20000), 0)):
        with pytest.raises(codec.TooLarge):
            codec.pack(value, _other)
