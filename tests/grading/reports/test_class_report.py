"""A class is told in groups of five at least: nothing that is told, and no difference of it, is about fewer people."""

import itertools
import random
import re

import nbformat
import pandas as pd
import pytest
from made_course import ROOT
from made_marks import HOSTILE, give
from read_page import Page

from course_utils.grading.course.course import ESSAY, EXERCISES
from course_utils.grading.reports.class_report import OTHERS, class_report, write_class_report
from course_utils.grading.reports.k_anonymity import MIN_GROUP_SIZE, merge_neighbours, merge_smallest, out_of
from course_utils.plots.marking import groups_picture

pytestmark = pytest.mark.slow


def made_groups(seed: int) -> dict[str, list[str]]:
    """Up to six groups of one person or many, all told twenty at most."""
    draw = random.Random(seed)
    sizes = [draw.choice([0, 0, 1, 2, 4, 5, 6, 11]) for _ in range(draw.randrange(1, 7))]
    people = itertools.count()
    return {f"group {i}": [f"person {next(people)}" for _ in range(size)] for i, size in enumerate(sizes)}


# -- small groups ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_no_group_is_smaller_than_five_and_nobody_is_left_out(seed):
    groups = made_groups(seed)
    n = sum(map(len, groups.values()))
    for told in (merge_neighbours(list(groups.items())), merge_smallest(groups, OTHERS)):
        assert all(len(each.people) >= MIN_GROUP_SIZE for each in told)
        assert sum(each.n for each in told) == (n if n >= MIN_GROUP_SIZE else 0)
        assert len(frozenset().union(*(each.people for each in told))) == sum(each.n for each in told)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_left_of_the_total_is_never_of_few_people(seed):
    """Whichever groups are taken from the total, what remains is nothing, or five people at least."""
    groups = made_groups(seed)
    n = sum(map(len, groups.values()))
    for told in (merge_neighbours(list(groups.items())), merge_smallest(groups, OTHERS)):
        for some in itertools.chain.from_iterable(itertools.combinations(told, r) for r in range(1, len(told) + 1)):
            left = n - sum(each.n for each in some)
            assert left == 0 or left >= MIN_GROUP_SIZE


@pytest.mark.parametrize("seed", range(30))
def test_steps_are_merged_with_their_neighbours_only_and_into_as_many_as_can_be(seed):
    groups = list(made_groups(seed).items())
    told = merge_neighbours(groups)
    names = [name for each in told for name in each.names]
    assert names == [name for name, _ in groups] or not told
    sizes = [len(people) for _, people in groups]
    best = max(
        (len(cut) + 1 for r in range(len(sizes)) for cut in itertools.combinations(range(1, len(sizes)), r)
         if all(sum(sizes[i:j]) >= MIN_GROUP_SIZE for i, j in itertools.pairwise([0, *cut, len(sizes)]))),
        default=0,
    )  # fmt: skip
    assert len(told) == best


def test_groups_in_which_people_stand_several_times_are_counted_by_people():
    records = {"same": ["a"] * 20, "near": ["a", "b", "c", "d", "e", "f"], "other": ["b"]}
    told = merge_smallest(records, "rest")
    assert [(each.name, each.n) for each in told] == [("rest", 27)]
    assert merge_smallest({"same": ["a"] * 20}, "rest") == []


def test_a_rest_that_is_too_small_is_left_out_only_where_there_is_no_total():
    people = {"x": list("abcdefgh"), "y": list("ab")}
    assert [each.name for each in merge_smallest(people, "rest", adds_up=False)] == ["x"]
    assert [each.n for each in merge_smallest(people, "rest")] == [10]


@pytest.mark.parametrize("total", range(5, 30))
def test_a_number_out_of_a_total_hides_those_few_who_do_not_belong_to_it(total):
    for n in range(MIN_GROUP_SIZE, total + 1):
        shown, words = out_of(n, total)
        assert shown >= MIN_GROUP_SIZE and str(shown) in words
        if total - n < MIN_GROUP_SIZE:
            assert (shown, words) == out_of(total, total)  # nearly all and all look alike
        else:
            assert shown == n


# -- a class -----------------------------------------------------------------------------------------------------------


def fill(class_of_many, n: int = 14) -> list[str]:
    own = ["burn it all", HOSTILE, "Staged  Release"]
    names = [f"student-{i}" for i in range(n)]
    for i, name in enumerate(names):
        strategy = own[i] if i < len(own) else ("full release" if i % 2 else "staged release")
        again = ["reproduced", "within tolerance"] if i % 3 else ["not reproduced"]
        class_of_many.add(name, 4 if i % 3 else 2, 6 if i % 2 else 3, strategy=strategy, again=again, n_words=15 + i)
    return names


def test_a_class_is_told_without_a_name_a_text_or_a_small_number(class_of_many, tmp_path):
    names = fill(class_of_many)
    report = class_report(class_of_many.course)
    assert report.n == 14 and list(report.tables) == ["levels", "strategies", "words", "experiments", "reproduction"]
    for name, rows in report.tables.items():
        assert (rows["n"] >= MIN_GROUP_SIZE).all(), name
    file = write_class_report(class_of_many.course, tmp_path / "page" / "class.html")
    told = file.read_text("utf-8") + repr(report) + report._repr_html_()
    for secret in (*names, "burn it all", "</script>", "__xss", "E-0000", "Found"):
        assert secret not in told, secret


def test_the_tables_say_what_is_so(class_of_many):
    fill(class_of_many)
    tables = class_report(class_of_many.course).tables
    told = {name: rows[["of", "group", "n"]].values.tolist() for name, rows in tables.items()}
    assert told["levels"] == [
        ["Thesis", "None to Some", 5], ["Thesis", "All", 9], ["Evidence", "None to Some", 7], ["Evidence", "All", 7],
    ]  # fmt: skip
    assert told["strategies"] == [["", "full release", 6], ["", OTHERS, 8]]
    assert told["words"] == [["", "under 20", 5], ["", "20 up to 400 or over 400", 9]]
    assert told["experiments"] == [["", "detection.transfer", 10]]
    assert told["reproduction"] == [
        ["", "reproduced", 9], ["", "within tolerance", 9], ["", "not reproduced", 5],
    ]  # fmt: skip
    assert tables["experiments"]["told"].tolist() == ["10 or more of 14"]  # all 14, which is not told


def test_a_strategy_in_own_words_is_another_one_and_spelling_does_not_matter(class_of_many):
    for i in range(6):
        class_of_many.add(f"s{i}", 4, 6, strategy=["STAGED release", " staged\nrelease "][i % 2])
    for i in range(5):
        class_of_many.add(f"t{i}", 4, 6, strategy=f"my own {i}")
    rows = class_report(class_of_many.course).tables["strategies"]
    assert rows[["group", "n"]].values.tolist() == [["staged release", 6], [OTHERS, 5]]


def test_of_fewer_than_five_nothing_is_told(class_of_many):
    for n in range(MIN_GROUP_SIZE):
        report = class_report(class_of_many.course)
        assert (report.n, dict(report.tables)) == (0, {}) and "nothing can be told" in report.html()
        class_of_many.add(f"student-{n}", 4, 6)
    assert class_report(class_of_many.course).n == MIN_GROUP_SIZE


def test_only_those_who_are_marked_count(class_of_many):
    fill(class_of_many, 8)
    before = class_report(class_of_many.course)
    class_of_many.add("half", 4, None)
    assert class_report(class_of_many.course).html() == before.html()


def test_where_all_reached_one_level_it_is_not_told_which(class_of_many):
    """It would be everybody's mark."""
    for i in range(7):
        class_of_many.add(f"s{i}", 4, 0)
    rows = class_report(class_of_many.course).tables["levels"]
    assert rows["group"].tolist() == ["None to All", "None to All"]


def test_a_submission_without_its_report_counts_nowhere(class_of_many):
    """Otherwise the tables of marks would count one person more than the table of words, and tell of that person."""
    fill(class_of_many, 8)
    (class_of_many.course.folder("reports", "student-3", ESSAY) / "report.json").unlink()
    report = class_report(class_of_many.course)
    assert report.n == 7
    for name in ("strategies", "words"):
        assert report.tables[name]["n"].sum() == 7
    for _, rows in report.tables["levels"].groupby("of"):
        assert rows["n"].sum() == 7


def test_exercises_are_told_by_how_much_of_their_points(marked_course):
    report = class_report(marked_course, EXERCISES)
    assert report.n == 0
    give(marked_course, "李", EXERCISES, see=1, unseen=1)
    give(marked_course, "bo", EXERCISES, see=1)
    assert class_report(marked_course, EXERCISES).n == 0  # four


def test_the_page_is_one_file_in_which_nothing_acts(class_of_many):
    fill(class_of_many)
    page = Page(class_report(class_of_many.course).html())
    assert page.faults() == []
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == 5 and all(re.search(r"\d", alt) for alt in alts)


def test_the_same_class_makes_the_same_page(class_of_many):
    fill(class_of_many, 8)
    assert class_report(class_of_many.course).html() == class_report(class_of_many.course).html()


# -- the picture -------------------------------------------------------------------------------------------------------


def test_every_group_is_drawn_as_long_as_it_is_and_told_in_words():
    rows = pd.DataFrame({"of": ["A", "A", "B"], "group": ["$x$", "<b>", "z"], "n": [5, 9, 14]})
    picture = groups_picture(rows, "Title.", "people")
    drawn = [[bar.get_width() for bar in axes.patches] for axes in picture.figure.axes]
    assert drawn == [[5, 9], [14]]
    assert picture.alt == "Title. A, people: $x$ 5; <b> 9. B, people: z 14."
    assert picture.png().startswith(b"\x89PNG") and "<b>" not in picture._repr_html_()


def test_all_panels_share_one_axis():
    rows = pd.DataFrame({"of": ["A", "B"], "group": ["x", "y"], "n": [5, 50]})
    assert groups_picture(rows.iloc[:1].assign(of=""), "T.").alt == "T. People: x 5."
    one, other = groups_picture(rows, "t").figure.axes
    assert one.get_xlim() == other.get_xlim()


def test_the_notebook_shows_the_class_of_the_course_that_it_is_opened_in(class_of_many, monkeypatch):
    fill(class_of_many, 6)
    monkeypatch.chdir(class_of_many.course.root / "source")
    notebook = nbformat.read(ROOT / "source/class_report.ipynb", as_version=4)
    names: dict[str, object] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            exec(cell.source, names)
    assert names["report"].n == 6
    assert (class_of_many.course.root / "reports/class.html").read_text("utf-8") == names["report"].html()
