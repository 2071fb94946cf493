"""Laws of the test cells' helper: right answers are silent, wrong ones told in four lines, whatever they are."""

import ast
import decimal
import fractions
import io
import itertools
import math
import sys
from contextlib import redirect_stderr

import numpy as np
import pytest

from course_utils.errors import CourseError
from course_utils.grading.checks.expect import AnswerError, expect, expect_error
from course_utils.grading.checks.plain_values import plain, shown

MAX_TRACEBACK_LINES, LONGEST = 4, 250


def giving(answer):
    def answer_of(*args, **named):
        return answer

    return answer_of


def raising(error):
    def answer_of(*args, **named):
        raise error

    return answer_of


def told(call, *args, **named) -> str:
    with pytest.raises(AnswerError) as caught:
        call(*args, **named)
    message = str(caught.value)
    lines = message.splitlines()
    assert len(lines) <= MAX_TRACEBACK_LINES
    assert max(map(len, lines)) <= LONGEST
    assert all(lines)
    assert lines[1].startswith("Expected: ")
    assert lines[2].startswith("Next: ")
    return message


class Liar:
    """Says that it equals everything, and shows itself as the right answer."""

    __hash__ = None

    def __eq__(self, other):
        return True

    def __repr__(self):
        return "3.0"

    def __float__(self):
        return 3.0

    __sub__ = __rsub__ = lambda self, other: 0


class Bomb:
    """Cannot be looked at in any way."""

    def _explode(self, *args):
        raise RuntimeError("boom")

    __hash__ = None
    __eq__ = __ne__ = __repr__ = __str__ = __bool__ = __len__ = __iter__ = __float__ = __getattr__ = _explode


class LyingFloat(float):
    """Holds one number and says another of itself."""

    def __eq__(self, other):
        return True

    __hash__ = float.__hash__
    __sub__ = __rsub__ = __abs__ = lambda self, *other: 0.0
    __float__ = __pos__ = lambda self: 3.0

    def __repr__(self):
        return "3.0"


class LyingList(list):
    """Holds other values than it hands out."""

    def __iter__(self):
        return iter([1.0, 3.0])

    def __len__(self):
        return 2


class Pretender:
    """Says that it is a number of NumPy's."""

    __module__ = "numpy"
    __class__ = float

    def tolist(self):
        return 3.0


class BadError(ValueError):
    """Raises when it is asked what it says."""

    def __str__(self):
        raise RuntimeError("boom")


NOT_THREE = [
    None, "3.0", "", b"3", True, False, 2.9, -3.0, 300.0, 0.03, 0, math.nan, math.inf, -math.inf, 3 + 0j, 3 + 4j,
    10**400, -(10**5000), [3.0], (3.0,), {3.0}, {"a": 3.0}, object, Liar, Liar(), Bomb(), Pretender(), LyingFloat(5.0),
    np.float32(2.5), np.array([3.0]), np.array(3.0 + 1j), np.float64("nan"), np.True_, iter([3.0]), print,
    decimal.Decimal("sNaN"), decimal.Decimal("NaN"), fractions.Fraction(10) ** 400, "x" * 10**6, list(range(10**5)),
    fractions.Fraction(1, 3), decimal.Decimal("2.9"), type("a\nb", (), {})(), LyingList([1.0]), float("1e308") * 10,
]  # fmt: skip
THREES = [3, 3.0, 3 + 1e-12, np.float64(3), np.float32(3), np.int64(3), np.uint8(3), np.array(3.0)]
THREES += [fractions.Fraction(3), decimal.Decimal(3), LyingFloat(3.0)]


@pytest.mark.parametrize("number", range(len(NOT_THREE)))
def test_a_wrong_answer_of_any_kind_is_told_in_four_lines_at_most(number):
    message = told(expect, giving(NOT_THREE[number]), 1, "a", gives=3.0)
    assert message.startswith("answer_of(1, 'a') gave ")
    assert "\nExpected: 3.0.\n" in message


@pytest.mark.parametrize("number", range(len(THREES)))
def test_a_right_number_may_be_of_any_kind_of_number(number):
    expect(giving(THREES[number]), gives=3.0)
    expect(giving([THREES[number], 1]), gives=(3.0, 1.0))


@pytest.mark.parametrize("number", range(len(NOT_THREE)))
def test_a_wrong_answer_is_found_within_a_row(number):
    told(expect, giving([1.0, NOT_THREE[number]]), gives=(1.0, 3.0))
    told(expect, giving(NOT_THREE[number]), gives=(1.0, 3.0))
    told(expect, giving((1.0, [NOT_THREE[number]])), gives=(1.0, (3.0,)))


@pytest.mark.parametrize("right", [True, False, None, "three", 3, 3.5, (), [], (1, 2), ["a", "b"], (0.5, None)])
def test_of_answers_of_all_kinds_only_the_right_one_is_silent(right):
    answers = [True, False, None, "three", 3, 3.5, (1, 2), ["a", "b"], (0.5, None), 1, 0, "", Liar(), Bomb()]
    expect(giving(right), gives=right)
    for answer in answers:
        if not (answer is right or (type(answer) is type(right) and answer == right)):
            told(expect, giving(answer), gives=right)


def test_a_list_counts_as_a_tuple_and_an_array_as_both():
    for answer, right in itertools.product([(1.5, 2), [1.5, 2], np.array([1.5, 2])], repeat=2):
        if not isinstance(right, np.ndarray):
            expect(giving(answer), gives=right)


def test_a_whole_number_must_be_exact_however_large():
    for right in (3, 124_439_808, 1_557_611_200, 10**15):
        expect(giving(float(right)), gives=right)
        for wrong in (right + 1, right - 1, float(right + 1)):
            told(expect, giving(wrong), gives=right)


@pytest.mark.parametrize("right", [1e-6, 0.161, 3.0, 62.5, 6.2e10, -18.5])
def test_a_tolerance_is_a_share_of_the_right_number_or_of_one(right):
    within = 1e-3
    room = within * max(1, abs(right))
    for answer in (right, right + 0.9 * room, right - 0.9 * room):
        expect(giving(answer), gives=right, within=within)
    for answer in (right + 1.1 * room, right - 1.1 * room):
        assert "give or take 0.001" in told(expect, giving(answer), gives=right, within=within)


@pytest.mark.parametrize(
    ("answer", "right", "next_step"),
    [
        (None, 3, "return"),
        ("3", 3, "Return a number"),
        (16.1, 0.161, "100 times"),
        (0.5, 50, "hundredth"),
        (-0.3, 0.3, "sign"),
        ((0.9, 0.4), (0.4, 0.9), "other order"),
        ((0.4,), (0.4, 0.9), "Return 2 values; these are 1"),
        (0.4, (0.4, 0.9), "Return a tuple of 2 values"),
        (1, True, "Return True or False"),
        ((40.0, 90.0), (0.4, 0.9), "100 times"),
    ],
)
def test_what_can_be_seen_from_an_answer_is_the_next_step(answer, right, next_step):
    assert next_step in told(expect, giving(answer), gives=right, hint="Look at z.").splitlines()[2]


def test_where_nothing_can_be_seen_the_hint_is_the_next_step():
    assert told(expect, giving(2.5), gives=3.0, hint="Look at z.").endswith("Next: Look at z.")
    assert "Make this call yourself" in told(expect, giving(2.5), gives=3.0)


def test_a_function_that_stops_is_told_with_its_line():
    def divide(a, b):
        return a / b

    message = told(expect, divide, 1, 0, gives=1)
    assert message.startswith("divide(1, 0) stopped with ZeroDivisionError: division by zero, in line ")
    assert "return a / b." in message


ERRORS = [
    ZeroDivisionError("x"), ValueError(), KeyError("a" * 1000), RecursionError(), MemoryError(), SystemExit(2),
    GeneratorExit(), AssertionError("line\nline\nline"), BadError(), StopIteration(), AnswerError("mine"),
    ExceptionGroup("many", [ValueError()]), RuntimeError("\x00\r\n"),
    type("Od\nd", (Exception,), {})(), UnicodeDecodeError("utf-8", b"", 0, 1, ""),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__.strip())
def test_whatever_a_function_raises_is_told_and_goes_no_further(error):
    assert "answer_of(1) stopped with " in told(expect, raising(error), 1, gives=1)


def test_the_stop_button_still_stops():
    for call, named in ((expect, {"gives": 1}), (expect_error, {})):
        with pytest.raises(KeyboardInterrupt):
            call(raising(KeyboardInterrupt()), **named)


def test_a_function_that_is_not_written_yet_is_told_so_without_values():
    for call, named in ((expect, {"gives": 42}), (expect_error, {"error": NotImplementedError})):
        message = told(call, raising(NotImplementedError()), 4711, **named)
        assert message.startswith("answer_of is not written yet.")
        assert "4711" not in message
        assert "42" not in message


def test_a_name_that_is_no_function_is_told():
    for thing in (None, 5, "wilson", Liar(), [print]):
        assert "not a function" in told(expect, thing, 1, gives=1)


def test_arguments_that_a_function_does_not_take_are_told():
    message = told(expect, lambda a: a, 1, 2, gives=1)
    assert "takes 1 positional argument but 2 were given" in message
    assert message.endswith("Next: Let it take what this call gives it, in this order.")
    assert "b='x'" in told(expect, lambda a: a, 1, b="x", gives=1)


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError])
def test_the_error_that_is_asked_for_is_silent(error):
    expect_error(raising(error("n is 0: nobody was asked")), 0, 0, error=error, saying="N IS 0")
    expect_error(raising(error()), error=error)
    expect_error(raising(type("Own", (error,), {})("n is 0")), error=error, saying="n is 0")


@pytest.mark.parametrize("error", [each for each in ERRORS if type(each) is not KeyError])
def test_another_error_or_another_message_is_told(error):
    message = told(expect_error, raising(error), 0, 0, error=ValueError, saying="n is 0")
    assert "stopped with" in message
    assert "Expected: A ValueError whose message holds 'n is 0'." in message
    told(expect_error, raising(error), error=KeyError)


@pytest.mark.parametrize("number", range(len(NOT_THREE)))
def test_an_answer_where_an_error_was_asked_for_is_told(number):
    assert "raise ValueError" in told(expect_error, giving(NOT_THREE[number]), 0, saying="n is 0")


def test_a_function_cannot_change_what_the_next_test_is_given():
    points, settings = [3, 1, 2], {"a": [1]}

    def spoil(values, settings):
        values.sort()
        settings["a"].append(2)
        return values[0]

    for _ in range(2):
        expect(spoil, points, settings=settings, gives=1)
    assert (points, settings) == ([3, 1, 2], {"a": [1]})


def test_what_a_function_writes_to_stderr_costs_no_points():
    """nbgrader gives none for a cell with anything on stderr."""

    def loud(x):
        print("here", file=sys.stderr)
        return x

    ear = io.StringIO()
    with redirect_stderr(ear):
        expect(loud, 1, gives=1)
        told(expect, loud, 1, gives=2)
    assert ear.getvalue() == ""


def test_what_a_function_prints_is_seen(capsys):
    expect(lambda: print("step 1"), gives=None)
    assert capsys.readouterr().out == "step 1\n"


def test_a_notebook_shows_the_lines_and_no_traceback():
    with pytest.raises(AnswerError) as caught:
        expect(giving(2), gives=3)
    assert caught.value._render_traceback_() == [f"AnswerError: {caught.value}"]
    assert isinstance(caught.value, CourseError)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_long_arguments_are_cut():
    message = told(expect, giving(1.0), [-3.2] * 5000, {"a" * 100: list(range(50))}, gives=2.0)
    assert "5000 in all" in message


@pytest.mark.parametrize("number", range(len(NOT_THREE)))
def test_anything_can_be_shown_in_one_short_line(number):
    for value in (NOT_THREE[number], [NOT_THREE[number]] * 20, {"key": [NOT_THREE[number]] * 20}):
        assert "\n" not in shown(value)
        assert len(shown(value)) < 400


@pytest.mark.parametrize(
    "value", [0, -7, 10**12, 0.1, -1e-300, True, None, "it's", (), (1,), [1, "a"], {"a": (1, 2.5)}, 2j]
)
def test_what_is_short_is_shown_as_it_would_be_typed(value):
    assert ast.literal_eval(shown(value)) == value


def test_what_stands_for_itself_is_plain():
    for value in (0, 1.5, True, None, "a", (1, 2), [3]):
        assert plain(value) == value
        assert type(plain(value)) is type(value)
