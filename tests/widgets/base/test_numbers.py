"""Typed numbers: what is shown is what is used; what has two meanings is refused, with a reason and no Python."""

import json

import pytest

from course_utils.models.inference.settings import RANGES, Settings
from course_utils.widgets.base.numbers import number_in, problem_of
from course_utils.widgets.base.sampling_form import LIMITS, settings_of
from course_utils.widgets.detector_bench.detector_bench import DetectorBench
from course_utils.widgets.marking.rubric_view import points_in
from course_utils.widgets.playground.playground import Playground
from course_utils.widgets.training_lab.training_lab import TrainingLab

READ = {
    "0,3": 0.3, "0.3": 0.3, "0.3 ": 0.3, " 0,3": 0.3, "\u00a00,3\u202f": 0.3, "٠٫٣": 0.3, "۰٫۳": 0.3, "０．３": 0.3,
    "+0.3": 0.3, "−0,3": -0.3, ".5": 0.5, ",5": 0.5, "5.": 5, "5,": 5, "1e-3": 0.001, "1E2": 100, "007": 7, "-0": 0,
    "२": 2, "0,30": 0.3, "1,25": 1.25,
}  # fmt: skip
REFUSED = [
    "", " ", "½", "0,3,1", "1.234,5", "1,234.5", "1.234.567", "1 000", "1'000", "١٬٠٠٠", "many", "nan", "inf", "-inf",
    "1e999", "1_0", "0x10", "--1", "+", ".", ",", "e5", "1 2", "1/2", "50%", "0.3\n0.4", "²", "9" * 400, "Ⅳ",
]  # fmt: skip


@pytest.mark.parametrize("typed", READ)
def test_a_number_is_read_whatever_its_decimal_mark(typed):
    assert number_in(typed) == READ[typed]


@pytest.mark.parametrize("typed", REFUSED)
def test_what_is_no_number_or_could_be_two_is_refused_in_words(typed):
    assert number_in(typed) is None and number_in(typed, is_whole=True) is None
    told = problem_of("temperature", typed, 0, 5, False)
    assert told.startswith("Temperature") and "Expected: " in told
    assert len(told) < 200 and not any(word in told for word in ("None", "float", "temperature", "Traceback"))


@pytest.mark.parametrize("thousand", ["1,000", "1.000", "1,234", "12.000"])
def test_a_thousand_with_a_mark_is_refused_where_whole_numbers_are_wanted(thousand):
    assert number_in(thousand, is_whole=True) is None
    told = problem_of("seed", thousand, 0, 2**31 - 1, True)
    assert "can mean" in told and thousand in told


def test_numbers_stay_numbers_and_other_things_are_none():
    assert [number_in(value) for value in (0, 1.5, True, None, [1], float("nan"))] == [0, 1.5, None, None, None, None]
    assert isinstance(number_in("5.0", is_whole=True), int)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("mark", [".", ","])
def test_every_number_in_a_range_is_used_as_it_was_typed(name, mark):
    lowest, highest, is_whole, _ = LIMITS[name]
    for value in (lowest, highest, (lowest + highest) // 2 if is_whole else round((lowest + highest) / 2, 3)):
        typed = str(value).replace(".", mark)
        assert problem_of(name, typed, lowest, highest, is_whole) == ""
        assert number_in(typed, is_whole) == value
        if name in RANGES:
            assert getattr(settings_of({**vars(Settings()), name: typed}), name) == value


def test_a_comma_in_a_panel_s_field_is_a_decimal_comma(tiny, tmp_path):
    panel = Playground(tiny)
    panel.set_state({"values": {**panel.values, "temperature": "0,3", "top_p": "٠٫٩", "seed": "12"}})
    assert (panel.values["temperature"], panel.values["top_p"], panel.values["seed"]) == (0.3, 0.9, 12)
    assert panel.settings.temperature == 0.3 and not panel.problems
    panel.values = {**panel.values, "temperature": "0,3,1"}
    assert panel.values["temperature"] == "0,3,1", "what cannot be read stays as it was typed"
    bench = DetectorBench(tiny)
    bench.compose(temperature="0,7", seed="1,000")
    assert bench.values["temperature"] == 0.7 and list(bench.problems) == ["seed"]
    bench._on_message(bench, {"kind": "base", "one_in": "1.000"}, [])
    assert bench.one_in == 100 and "can mean 1 or 1000" in bench.problem
    bench._on_message(bench, {"kind": "base", "one_in": "250"}, [])
    assert bench.one_in == 250 and bench.problem == ""
    lab = TrainingLab("A text.", folder=tmp_path)
    lab.plan = {**lab.plan, "seed": "7"}
    assert lab.plan["seed"] == 7
    for each in (panel, bench, lab):
        json.dumps(each.get_state(), default=str)
        each.close()


def test_the_page_is_told_which_typing_was_read(tiny):
    """An answer to the typing before must not replace what stands in the field by now."""
    panel, sent = Playground(tiny), []
    panel.send = lambda content, buffers=None: sent.append(content)
    for n, typed in enumerate(("0", "0,", "0,3"), start=1):
        fields = {"temperature": typed, "unknown": 1}
        panel._on_message(panel, {"kind": "typed", "fields": fields, "n": n, "view": "v"}, [])
    assert panel.values["temperature"] == 0.3 and "unknown" not in panel.values
    assert sent == [{"kind": "read", "n": n, "view": "v"} for n in (1, 2, 3)]
    panel.close()


def test_points_are_read_by_the_same_rule():
    assert [points_in(typed) for typed in ("2,5", "٢٫٥", " ", "many", "1.234,5")] == [2.5, 2.5, None, "many", "1.234,5"]
