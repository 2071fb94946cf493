"""Laws of the exercises: nbgrader releases them without answers and marks them justly; their numbers are true."""

import ast
import itertools
import linecache
import math
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from repository import ROOT
from traitlets.config import Config

from course_utils.experiments.core.power_law import fit_power_law
from course_utils.experiments.core.statistics import wilson
from course_utils.experiments.detection.base_rates import share_of_flags_that_are_right
from course_utils.experiments.sizes.gpt2_paper import PAPER
from course_utils.grading.checks.expect import AnswerError
from course_utils.models.architecture import GPT2, Architecture, naming_puzzle

NAME = "size_comparison"
SOURCE = ROOT / "source" / NAME / f"{NAME}.ipynb"
EXERCISES = (
    "parameters", "memory", "surprise", "interval", "overlap", "flags", "accuracy", "line", "promise", "vocabulary"
)  # fmt: skip
POINTS = 20
SHOWN, HIDDEN = ("shown",), ("hidden",)  # tuples: names of tests must be the same in every process
BOTH = SHOWN + HIDDEN
# Wrong answers that people give: the exercise, what was thought, the right lines, the wrong ones, which tests find it.
SLIPS = [
    ("parameters", "no biases in attention", " + 4 * width\n", "\n", BOTH),
    ("parameters", "no biases in the MLP", " + 5 * width\n", "\n", BOTH),
    ("parameters", "one bias of the MLP forgotten", " + 5 * width\n", " + 4 * width\n", BOTH),
    ("parameters", "no norm at the end", " + 2 * norm) + norm", " + 2 * norm)", BOTH),
    ("parameters", "one norm a layer", "2 * norm", "norm", BOTH),
    ("parameters", "norms without biases", "norm = 2 * width", "norm = width", BOTH),
    ("parameters", "no table of places", "(vocabulary + context)", "vocabulary", BOTH),
    ("parameters", "the output layer counted again", "(vocabulary + context)", "(2 * vocabulary + context)", BOTH),
    ("parameters", "GPT-2's vocabulary written in", "(vocabulary + context)", "(50257 + context)", HIDDEN),
    ("parameters", "GPT-2's context written in", "(vocabulary + context)", "(vocabulary + 1024)", HIDDEN),
    ("parameters", "only approximately", "    return tables", "    return 1.0000001 * tables", BOTH),
    ("memory", "GiB", "/ 1e9", "/ 2**30", BOTH),
    ("memory", "bits", "/ 1e9", "* 8 / 1e9", BOTH),
    ("memory", "megabytes", "/ 1e9", "/ 1e6", BOTH),
    ("memory", "int8 as 8 bytes", '"int8": 1', '"int8": 8', HIDDEN),
    ("memory", "what fits exactly does not", "<= memory_gb", "< memory_gb", HIDDEN),
    ("memory", "in alphabetical order", "return [name for name, n_parameters in models.items()",
     "return [name for name, n_parameters in sorted(models.items())", BOTH),
    ("memory", "a precision that fails in its own way", "precision not in n_bytes", "False", BOTH),
    ("memory", "a ValueError that names nothing", 'f"unknown precision: {precision}"', '"unknown"', BOTH),
    ("memory", "always fp32", "gigabytes(n_parameters, precision) <=", 'gigabytes(n_parameters, "fp32") <=', BOTH),
    ("surprise", "2 for e", "math.exp(-sum(log_probabilities) / len(log_probabilities))",
     "2 ** (-sum(log_probabilities) / len(log_probabilities))", BOTH),
    ("surprise", "the sign", "math.exp(-sum", "math.exp(sum", BOTH),
    ("surprise", "no mean", "sum(log_probabilities) / len(log_probabilities))", "sum(log_probabilities))", BOTH),
    ("surprise", "the mean of probabilities", "math.exp(-sum(log_probabilities) / len(log_probabilities))",
     "len(log_probabilities) / sum(math.exp(each) for each in log_probabilities)", BOTH),
    ("surprise", "a product that is too small", "math.exp(-sum(log_probabilities) / len(log_probabilities))",
     "math.prod(math.exp(each) for each in log_probabilities) ** (-1 / len(log_probabilities))", HIDDEN),
    ("surprise", "nats for bits", " / math.log(2)", "", BOTH),
    ("surprise", "times ln 2", "/ math.log(2)", "* math.log(2)", BOTH),
    ("surprise", "over tokens", "/ n_characters", "/ len(log_probabilities)", BOTH),
    ("interval", "the schoolbook's interval", "return middle - reach, middle + reach",
     "p = k / n; e = z * math.sqrt(p * (1 - p) / n); return p - e, p + e", BOTH),
    ("interval", "the schoolbook's interval, cut", "return middle - reach, middle + reach",
     "p = k / n; e = z * math.sqrt(p * (1 - p) / n); return max(0, p - e), min(1, p + e)", BOTH),
    ("interval", "the share in the middle", "middle = (k + z**2 / 2) / (n + z**2)", "middle = k / n", BOTH),
    ("interval", "z not squared", "z**2 / 4", "z / 4", BOTH),
    ("interval", "90 %", "    if n == 0", "    z = 1.645\n    if n == 0", BOTH),
    ("interval", "n = 0 not asked for", "n == 0", "False", BOTH),
    ("interval", "n = 0 gives the whole range", 'raise ValueError("n is 0: nobody was asked, so there is no share")',
     "return 0.0, 1.0", BOTH),
    ("interval", "a message that does not say why", '"n is 0: nobody was asked, so there is no share"', '"no"', BOTH),
    ("interval", "per cent", "return middle - reach, middle + reach",
     "return 100 * (middle - reach), 100 * (middle + reach)", BOTH),
    ("interval", "the high end first", "return middle - reach, middle + reach",
     "return middle + reach, middle - reach", BOTH),
    ("overlap", "ends do not count", "<=", "<", BOTH),
    ("overlap", "the first is the lower one", "max(a[0], b[0]) <= min(a[1], b[1])", "b[0] <= a[1]", HIDDEN),
    ("overlap", "an end of the second within the first", "max(a[0], b[0]) <= min(a[1], b[1])",
     "a[0] <= b[0] <= a[1] or a[0] <= b[1] <= a[1]", HIDDEN),
    ("overlap", "the reverse", "<=", ">", BOTH),
    ("overlap", "1 for True", "return max(a[0], b[0]) <= min(a[1], b[1])",
     "return int(max(a[0], b[0]) <= min(a[1], b[1]))", BOTH),
    ("overlap", "a middle within", "max(a[0], b[0]) <= min(a[1], b[1])", "a[0] <= (b[0] + b[1]) / 2 <= a[1]", BOTH),
    ("flags", "the accuracy", "return right / (right + wrong)", "return accuracy", BOTH),
    ("flags", "all flags", "return right / (right + wrong)", "return right + wrong", BOTH),
    ("flags", "no base rate", "(1 - accuracy) * (1 - machine_share)", "1 - accuracy", BOTH),
    ("flags", "per cent", "return right", "return 100 * right", BOTH),
    ("flags", "the wrong flags", "return right /", "return wrong /", BOTH),
    ("flags", "rounded", "return right / (right + wrong)", "return round(right / (right + wrong), 3)", BOTH),
    ("accuracy", "the other question", "return for_machine / (for_machine + (1 - right) * machine_share)",
     "return right * machine_share / (right * machine_share + (1 - right) * (1 - machine_share))", BOTH),
    ("accuracy", "the share itself", "return for_machine", "return right or for_machine", BOTH),
    ("accuracy", "the shares exchanged", "right * (1 - machine_share)", "(1 - right) * machine_share", BOTH),
    ("accuracy", "by trying thousandths", "return for_machine / (for_machine + (1 - right) * machine_share)",
     "return round(for_machine / (for_machine + (1 - right) * machine_share), 3)", BOTH),
    ("accuracy", "per cent", "return for_machine", "return 100 * for_machine", BOTH),
    ("line", "no logarithms", "[math.log(size) for size, _ in points], [math.log(loss) for _, loss in points]",
     "[size for size, _ in points], [loss for _, loss in points]", BOTH),
    ("line", "the logarithm of one axis", "math.log(loss)", "loss", BOTH),
    ("line", "the axes exchanged", "sum((a - mean_x) ** 2 for a in x)", "sum((b - mean_y) ** 2 for b in y)", BOTH),
    ("line", "the outer points only", "exponent = above / sum((a - mean_x) ** 2 for a in x)",
     "exponent = (y[-1] - y[0]) / (x[-1] - x[0])", BOTH),
    ("line", "ln factor", "math.exp(mean_y - exponent * mean_x)", "mean_y - exponent * mean_x", BOTH),
    ("line", "log10 out, e in", "math.log(", "math.log10(", BOTH),
    ("line", "the factor first", "return exponent, math.exp(mean_y - exponent * mean_x)",
     "return math.exp(mean_y - exponent * mean_x), exponent", BOTH),
    ("promise", "a share", "100 * (2**exponent - 1)", "2**exponent - 1", BOTH),
    ("promise", "what is left", "100 * (2**exponent - 1)", "100 * 2**exponent", BOTH),
    ("promise", "a fall without its sign", "100 * (2**exponent - 1)", "100 * (1 - 2**exponent)", BOTH),
    ("promise", "twice the exponent", "2**exponent - 1", "2 * exponent", BOTH),
    ("promise", "the exponent's sign", "n_parameters**exponent", "n_parameters**-exponent", BOTH),
    ("promise", "the root's sign", "(-1 / exponent)", "(1 / exponent)", BOTH),
    ("promise", "where the loss is 0", "factor ** (-1 / exponent)", "math.inf", BOTH),
    ("vocabulary", "any range", "max(math.ceil", "min(math.ceil", BOTH),
    ("vocabulary", "the whole million", "millions + 0.5", "millions + 1", BOTH),
    ("vocabulary", "floor for both", "math.ceil", "math.floor", BOTH),
    ("vocabulary", "no None", " if smallest <= largest else None", "", BOTH),
    ("vocabulary", "None where one is left", "if smallest <= largest", "if smallest < largest", HIDDEN),
    ("vocabulary", "the rest forgotten", " - rest) / width) for", ") / width) for", BOTH),
    ("vocabulary", "fractions", "math.ceil", "float", BOTH),
]  # fmt: skip


def cells_of(file: Path) -> list:
    return nbformat.read(file, as_version=4).cells


@pytest.fixture(scope="module")
def source() -> dict:
    """The instructor's cells by their ids."""
    return {cell.id: cell for cell in cells_of(SOURCE)}


def without_markers(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not re.search("### (BEGIN|END) ", line))


def run(source: dict, answers: dict[str, str]) -> dict[str, str]:
    """Run all code cells as a kernel would, with some answers in the place of the model's; what each test says."""
    said, names = {}, {}
    for name, cell in source.items():
        if cell.cell_type != "code":
            continue
        text = answers.get(name, cell.source)
        linecache.cache[f"<{name}>"] = (len(text), None, text.splitlines(keepends=True), f"<{name}>")
        try:
            exec(compile(text, f"<{name}>", "exec"), names)
        except AnswerError as error:
            said[name] = str(error)
        else:
            said[name] = ""
    return {name: text for name, text in said.items() if name.endswith(("-shown", "-hidden"))}


def slip(source: dict, exercise: str, old: str, new: str) -> str:
    right = source[exercise].source
    assert old in right
    return right.replace(old, new)


# -- form --------------------------------------------------------------------------------------------------------------


def test_it_is_stored_without_outputs_and_its_ids_are_words():
    cells = cells_of(SOURCE)
    assert len({cell.id for cell in cells}) == len(cells)
    for cell in cells:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id), cell.id
        assert cell.get("outputs", []) == [], cell.id
        assert cell.get("execution_count") is None, cell.id
        assert cell.metadata.nbgrader.grade_id == cell.id


def test_each_exercise_is_a_text_an_answer_and_two_tests_of_a_point_each(source):
    for exercise in EXERCISES:
        kinds = [f"{exercise}-text", exercise, f"{exercise}-shown", f"{exercise}-hidden"]
        place = list(source).index(kinds[0])
        assert list(source)[place : place + 4] == kinds
        assert source[exercise].metadata.nbgrader.solution
        assert not source[exercise].metadata.nbgrader.locked
        for test in kinds[2:]:
            assert source[test].metadata.nbgrader.grade
            assert source[test].metadata.nbgrader.points == 1
    assert 2 * len(EXERCISES) == POINTS
    assert sum(cell.metadata.nbgrader.grade for cell in source.values()) == POINTS
    assert f"{POINTS} points" in source["title"].source
    assert all(cell.metadata.nbgrader.locked for name, cell in source.items() if name not in EXERCISES)


def test_a_hidden_test_is_all_hidden_but_for_one_comment(source):
    for exercise in EXERCISES:
        comment, begin, *_, end = source[f"{exercise}-hidden"].source.splitlines()
        assert comment.startswith("# ")
        assert (begin, end) == ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")
        assert "HIDDEN" not in source[f"{exercise}-shown"].source


def test_hidden_tests_try_other_values(source):
    for exercise in EXERCISES:
        calls = [set(re.findall(r"expect\((.*?), gives", source[f"{exercise}-{kind}"].source)) for kind in sorted(BOTH)]
        assert not calls[0] & calls[1], exercise


def test_texts_and_cells_are_short(source):
    for name, cell in source.items():
        if cell.cell_type == "markdown":
            assert len(cell.source.split()) <= 120, name
        elif name not in EXERCISES:
            assert len(cell.source.splitlines()) <= 15, name


# -- nbgrader itself ---------------------------------------------------------------------------------------------------

NOISY = """

def _noisy(function):
    def call(*args, **named):
        import sys, warnings
        print("here", file=sys.stderr)
        warnings.warn("careful")
        return function(*args, **named)

    return call


gigabytes, that_fit = _noisy(gigabytes), _noisy(that_fit)
"""


def answers_of(source: dict) -> dict[str, dict[str, str]]:
    """What five students hand in: nothing, all that is right, that with noise, and every other exercise wrong."""
    model = {exercise: source[exercise].source for exercise in EXERCISES}
    first_slips = {}
    for exercise, _, old, new, found_by in SLIPS:
        if found_by == BOTH:
            first_slips.setdefault(exercise, slip(source, exercise, old, new))
    odd = {exercise: first_slips[exercise] for exercise in EXERCISES[::2]}
    even = {exercise: first_slips[exercise] for exercise in EXERCISES[1::2]}
    even["interval"] = slip(source, "interval", "n == 0", "False")  # an error of Python's own
    noisy = {"memory": model["memory"] + NOISY}
    return {"untouched": {}, "model": model, "noisy": model | noisy, "odd": model | odd, "even": model | even}


@pytest.fixture(scope="module")
def course(tmp_path_factory, source):
    """A course of plain nbgrader's, in which five students have been graded: its folder, and points by student."""
    from nbgrader.apps.api import NbGraderAPI

    root = tmp_path_factory.mktemp("course")
    shutil.copytree(SOURCE.parent, root / "source" / NAME)
    config = Config()
    config.CourseDirectory.root, config.CourseDirectory.course_id = str(root), "a-course"
    config.CourseDirectory.release_directory = "assignments"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("IPYTHONDIR", str(root / "ipython"))
        api = NbGraderAPI(config=config)
        done = api.generate_assignment(NAME)
        assert done["success"], done
        points = {}
        for student, answers in answers_of(source).items():
            notebook = nbformat.read(root / "assignments" / NAME / f"{NAME}.ipynb", as_version=4)
            for cell in notebook.cells:
                cell.source = without_markers(answers.get(cell.id, cell.source))
            folder = root / "submitted" / student / NAME
            folder.mkdir(parents=True)
            nbformat.write(notebook, folder / f"{NAME}.ipynb")
            done = api.autograde(NAME, student)
            assert done["success"], done
            with api.gradebook as gradebook:
                grades = gradebook.find_submission_notebook(NAME, NAME, student).grades
                points[student] = {grade.name: grade.score for grade in grades}
    return root, points


pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:Object of type <Submitted",  # SQLAlchemy 2.1 on nbgrader's way of adding a submission
    ),
]


def test_what_is_released_holds_no_solution_and_no_hidden_test(course, source):
    root, _ = course
    released = {cell.id: cell for cell in cells_of(root / "assignments" / NAME / f"{NAME}.ipynb")}
    assert list(released) == list(source)
    text = (root / "assignments" / NAME / f"{NAME}.ipynb").read_text("utf-8")
    assert not re.search("BEGIN|END |HIDDEN|SOLUTION", text)
    for exercise in EXERCISES:
        assert released[f"{exercise}-hidden"].source.count("\n") == 0
        assert released[f"{exercise}-shown"].source == source[f"{exercise}-shown"].source
        stubs = released[exercise].source.count("raise NotImplementedError()")
        assert stubs == source[exercise].source.count("BEGIN SOLUTION") >= 1
        hidden = re.findall("BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", source[exercise].source, re.DOTALL)
        hidden += re.findall("BEGIN HIDDEN TESTS\n(.*?)### END", source[f"{exercise}-hidden"].source, re.DOTALL)
        shown_too = source[f"{exercise}-shown"].source + source[f"{exercise}-text"].source
        for line in itertools.chain(*(each.splitlines() for each in hidden)):
            if len(line.strip()) > 10 and line.strip() not in shown_too:
                assert line.strip() not in "\n".join(cell.source for cell in released.values()), line


def test_model_answers_earn_all_points_and_an_untouched_sheet_none(course):
    _, points = course
    assert {student: sum(of.values()) for student, of in points.items() if student not in ("odd", "even")} == {
        "untouched": 0, "model": POINTS, "noisy": POINTS
    }  # fmt: skip


def test_a_wrong_answer_costs_the_points_of_its_exercise_only(course):
    _, points = course
    for student, wrong in (("odd", EXERCISES[::2]), ("even", EXERCISES[1::2])):
        lost = {name for name, score in points[student].items() if score == 0}
        kept = {name for name, score in points[student].items() if score == 1}
        hidden_only = {f"{each}-shown" for each in wrong} & kept
        assert lost == {f"{each}-{kind}" for each in wrong for kind in BOTH} - hidden_only
        assert hidden_only == set()
        assert len(lost | kept) == POINTS


def test_in_a_graded_notebook_stand_lines_and_no_traceback_and_nothing_on_stderr(course):
    root, points = course
    for student in points:
        for cell in cells_of(root / "autograded" / student / NAME / f"{NAME}.ipynb"):
            for output in cell.get("outputs", []):
                assert (output.output_type, output.ename) == ("error", "AnswerError"), (student, cell.id, output)
                assert len("\n".join(output.traceback).splitlines()) == 3, cell.id


def test_an_error_of_pythons_own_is_told_with_the_students_line(course):
    root, _ = course
    graded = {cell.id: cell for cell in cells_of(root / "autograded" / "even" / NAME / f"{NAME}.ipynb")}
    told = graded["interval-shown"].outputs[0].evalue
    assert "wilson(0, 0) stopped with ZeroDivisionError" in told
    assert re.search(r", in line \d+ of its cell: reach = z / ", told)
    assert "Expected: A ValueError whose message holds 'n is 0'." in told


# -- typical wrong answers ---------------------------------------------------------------------------------------------


def test_model_answers_are_silent(source, capsys):
    assert set(run(source, {}).values()) == {""}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("exercise", "thought", "old", "new", "found_by"), SLIPS, ids=lambda value: str(value)[:20])
def test_a_typical_wrong_answer_is_found_and_told_and_takes_no_other_along(
    exercise, thought, old, new, found_by, source
):
    said = run(source, {exercise: slip(source, exercise, old, new)})
    assert {name for name, text in said.items() if text} == {f"{exercise}-{kind}" for kind in found_by}, thought
    for text in filter(None, said.values()):
        called, expected, next_step = text.splitlines()
        assert re.match(r"\w+\(.*\) (gave|stopped with) .+", called)
        assert expected.startswith("Expected: ")
        assert next_step.startswith("Next: ")


def test_an_answer_that_is_missing_takes_no_other_along(source):
    for exercise in EXERCISES:
        names = re.findall(r"^def (\w+)", source[exercise].source, re.MULTILINE)
        stub = "\n".join(f"def {name}(*args): raise NotImplementedError()" for name in names)
        said = run(source, {exercise: stub})
        assert {name for name, text in said.items() if text} == {f"{exercise}-{kind}" for kind in BOTH}
        assert all(text.split()[1:5] == ["is", "not", "written", "yet."] for text in said.values() if text)


def test_every_exercise_has_slips_and_each_hidden_test_finds_what_the_shown_one_does_not():
    for exercise in EXERCISES:
        assert len([1 for each in SLIPS if each[0] == exercise]) >= 5
    assert len({each[0] for each in SLIPS if each[4] == HIDDEN}) >= 5


# -- true numbers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers(source) -> dict:
    """The model answers, as functions."""
    names = {"math": math}
    for exercise in EXERCISES:
        exec(source[exercise].source, names)
    return names


def test_the_answers_are_the_packages(answers):
    shapes = [*GPT2.values(), Architecture(3, 96, 2, 4096, 256), Architecture(6, 768, 12)]
    for shape in shapes:
        n = answers["n_parameters"](shape.n_layers, shape.width, shape.vocabulary, shape.context)
        assert n == shape.n_parameters
        assert [1e9 * answers["gigabytes"](n, each) for each in ("fp32", "fp16", "int8")] == pytest.approx(
            [4 * n, 2 * n, n]
        )
    for k, n in [(0, 8), (8, 8), (6, 8), (31, 50), (1, 3), (453, 1000)]:
        share = wilson(k, n)
        assert answers["wilson"](k, n) == pytest.approx((share.low, share.high), abs=1e-4)
    for accuracy, share in itertools.product((0.5, 0.95, 0.99, 0.999, 0.9999), (0.5, 0.1, 0.01, 0.001)):
        right = answers["right_flags"](accuracy, share)
        assert right == pytest.approx(share_of_flags_that_are_right(accuracy, 1 - accuracy, share))
        assert answers["accuracy_needed"](right, share) == pytest.approx(accuracy)


def columns(source: dict) -> dict[str, list]:
    """The points that the test of the line holds, by their names there."""
    found = re.findall(r"^(lambada|wikitext) = (.+)$", source["line-shown"].source, re.MULTILINE)
    return {name: ast.literal_eval(points) for name, points in found}


def test_the_papers_points_are_the_papers(source):
    paper = PAPER.dropna(subset="n_parameters")
    for name, column in (("lambada", "LAMBADA perplexity"), ("wikitext", "WikiText103 perplexity")):
        assert columns(source)[name] == list(zip(paper["n_parameters"], paper[column], strict=True))


def test_what_is_said_of_the_lines_is_so(source, answers):
    text = " ".join(source["promise-look"].source.split())
    for name, promised, off, perfect in (("wikitext", "17.6", 1, "25 trillion"), ("lambada", "6.5", 24, "62 billion")):
        points = columns(source)[name]
        law, whole = fit_power_law(*zip(*points[:3], strict=True)), fit_power_law(*zip(*points, strict=True))
        assert answers["power_law"](points) == pytest.approx((whole.exponent, whole.factor))
        size, reported = points[3]
        assert answers["predicted"](law.exponent, law.factor, size) == pytest.approx(law.at(size))
        assert f"{law.at(size):.1f}" == promised
        assert round(100 * abs(law.at(size) / reported - 1)) == off
        assert answers["percent_per_doubling"](whole.exponent) == pytest.approx(100 * (whole.per_doubling - 1))
        found = float(f"{answers['perfect_from'](whole.exponent, whole.factor):.2g}")
        assert found == float(perfect[:2]) * {"trillion": 1e12, "billion": 1e9}[perfect[3:]]
        for each in (promised, str(reported), perfect):
            assert each in text


def test_the_vocabularies_are_those_that_give_the_names(source, answers):
    puzzle = naming_puzzle()
    models = []
    for row in puzzle.itertuples():
        shape = GPT2[row.model]
        models.append((int(row.first_name[:-1]), shape.width, shape.n_parameters - shape.vocabulary * shape.width))
    every = np.arange(100_000)
    fits = [np.rint((every * width + rest) / 1e6) == millions for millions, width, rest in models]
    found = every[np.logical_and.reduce(fits)]
    assert answers["vocabularies"](models) == (found[0], found[-1])
    text = source["vocabulary-look"].source
    assert f"{len(found)} give the four names: {found[0]:,} to {found[-1]:,}" in text
    assert f"{len(found) - 1} other numbers" in text
    assert 40_478 in found
    assert "40,478" in text


def test_the_made_up_surveys_are_wilsons(source):
    shown = source["overlap-shown"].source
    for n, pair in ((100, "(0.63, 0.80), (0.74, 0.89)"), (1000, "(0.69, 0.75), (0.81, 0.85)")):
        ends = [
            f"({share.low:.2f}, {share.high:.2f})" for share in (wilson(72 * n // 100, n), wilson(83 * n // 100, n))
        ]
        assert ", ".join(ends) == pair
        assert pair in shown
