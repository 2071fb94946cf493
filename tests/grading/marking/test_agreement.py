"""Agreement is 1 with oneself, the same both ways but for the bias, and unknown where nothing can be known."""

import json
import random

import numpy as np
import pytest
from made_course import RUBRIC

from course_utils.errors import SettingsError, TextError
from course_utils.grading.assignments.rubric import load_rubric, rubric_of
from course_utils.grading.marking.agreement import agreement, far_apart, first_levels, two_graders
from course_utils.grading.marking.marks import FileMarks, Mark

RUBRIC_OF_FIVE = rubric_of(
    RUBRIC
    | {"levels": [{"name": f"level {i}", "share": i / 4} for i in range(5)]}
    | {"criteria": [each | {"descriptors": list("abcde"), "next": list("abcd")} for each in RUBRIC["criteria"]]}
)


def marks(n: int, seed: int) -> dict[str, dict[str, int]]:
    draw = random.Random(seed)
    return {f"paper{i}": {"thesis": draw.randrange(5), "evidence": draw.randrange(5)} for i in range(n)}


def by_hand(one: list[int], other: list[int], n_levels: int = 5) -> float:
    """Cohen's kappa with quadratic weights, from its definition."""
    seen, expected = 0.0, 0.0
    for i in range(n_levels):
        for j in range(n_levels):
            weight = (i - j) ** 2
            seen += weight * sum(a == i and b == j for a, b in zip(one, other, strict=True)) / len(one)
            expected += weight * one.count(i) * other.count(j) / len(one) ** 2
    return 1 - seen / expected


@pytest.mark.parametrize("seed", range(5))
def test_everybody_agrees_with_themselves(seed):
    table = agreement(marks(12, seed), marks(12, seed), RUBRIC_OF_FIVE)
    assert table["criterion"].tolist() == ["thesis", "evidence", "all"] and table["n"].tolist() == [12, 12, 24]
    assert np.allclose(table[["kappa", "exact_share"]], 1) and np.allclose(table[["mean_absolute_error", "bias"]], 0)


@pytest.mark.parametrize("seed", range(5))
def test_changing_places_changes_nothing_but_the_sign_of_the_bias(seed):
    a, b = marks(15, seed), marks(15, seed + 100)
    one, other = agreement(a, b, RUBRIC_OF_FIVE), agreement(b, a, RUBRIC_OF_FIVE)
    assert np.allclose(one["bias"], -other["bias"])
    assert np.allclose(one.drop(columns=["criterion", "bias"]), other.drop(columns=["criterion", "bias"]))


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_what_its_definition_says(seed):
    a, b = marks(9, seed), marks(9, seed + 7)
    table = agreement(a, b, RUBRIC_OF_FIVE).set_index("criterion")
    for id in ("thesis", "evidence"):
        assert np.isclose(table.loc[id, "kappa"], by_hand([m[id] for m in a.values()], [m[id] for m in b.values()]))


def test_a_level_that_nobody_gave_still_counts_as_a_step():
    a = {"p": {"thesis": 0}, "q": {"thesis": 4}, "r": {"thesis": 2}}
    near, far = ({"p": {"thesis": step}, "q": {"thesis": 4}, "r": {"thesis": 2}} for step in (1, 4))
    kappas = [agreement(a, b, RUBRIC_OF_FIVE).iloc[0]["kappa"] for b in (near, far)]
    assert kappas[0] > 0.8 > kappas[1]


def test_the_bias_is_of_the_second(seed=3):
    a = {f"p{i}": {"thesis": i % 4} for i in range(8)}
    b = {paper: {"thesis": each["thesis"] + 1} for paper, each in a.items()}
    table = agreement(a, b, RUBRIC_OF_FIVE)
    assert table.iloc[0][["mean_absolute_error", "bias", "exact_share"]].tolist() == [1, 1, 0]
    assert "the second gives 1.00 levels more" in table.attrs["in_words"]


def test_only_what_both_have_marked_is_compared():
    a = {"p": {"thesis": 1, "evidence": 2}, "q": {"thesis": 3}, "only a": {"thesis": 0}}
    b = {"p": {"thesis": 1}, "q": {"thesis": 2, "evidence": 0}, "only b": {"evidence": 4}}
    assert agreement(a, b, RUBRIC_OF_FIVE)["n"].tolist() == [2, 0, 2]


def test_what_cannot_be_known_is_told_as_unknown():
    same = {f"p{i}": {"thesis": 2} for i in range(6)}
    table = agreement(same, same, RUBRIC_OF_FIVE)
    assert np.isnan(table["kappa"]).all() and table.iloc[0]["exact_share"] == 1
    assert "unknown" in table.attrs["in_words"]
    nothing = agreement({}, same, RUBRIC_OF_FIVE)
    assert nothing["n"].tolist() == [0, 0, 0] and nothing.iloc[:, 2:].isna().all(axis=None)
    assert "nothing is known" in nothing.attrs["in_words"]


@pytest.mark.parametrize("level", [-1, 5, 1.5, True, "2", None])
def test_a_level_that_there_is_not_is_refused(level):
    with pytest.raises(SettingsError, match="0 to 4"):
        agreement({"p": {"thesis": level}}, {"p": {"thesis": 0}}, RUBRIC_OF_FIVE)


def test_a_criterion_that_there_is_not_is_refused():
    with pytest.raises(SettingsError, match="beauty"):
        agreement({"p": {"beauty": 1}}, {"p": {"thesis": 0}}, RUBRIC_OF_FIVE)


def test_all_that_lie_two_levels_apart_are_to_be_talked_about_the_furthest_first():
    a = {"p": {"thesis": 0, "evidence": 4}, "q": {"thesis": 1}, "r": {"thesis": 0}}
    b = {"p": {"thesis": 2, "evidence": 0}, "q": {"thesis": 2}, "r": {"thesis": 3}}
    table = far_apart(a, b, RUBRIC_OF_FIVE, {"p": 10, "q": 2, "r": 9})
    assert table[["paper", "criterion", "apart"]].values.tolist() == [
        [10, "Evidence", 4],
        [9, "Thesis", 3],
        [10, "Thesis", 2],
    ]


# -- in a course -------------------------------------------------------------------------------------------------------


def test_a_second_reader_is_compared_with_the_marks_that_count(marked_course):
    rubric = load_rubric(marked_course.root / "source/release_strategy/rubric.yaml")
    first = first_levels(marked_course, rubric)
    assert sorted(map(len, first.values())) == [1, 2, 2]  # 李 has one mark so far
    second = FileMarks(marked_course.root / "marking/release_strategy/sam.json", rubric)
    for paper in first:
        second.write(paper, "thesis", Mark(0, "why"))
    table = two_graders(marked_course, "sam").set_index("criterion")
    assert table.loc["thesis", "n"] == 3 and table.loc["evidence", "n"] == 0
    assert table.loc["thesis", "bias"] == pytest.approx(-4 / 3)
    talk = two_graders(marked_course, "sam").attrs["to_talk_about"]
    assert [(each["criterion"], each["first"], each["second"], each["apart"]) for each in talk] == [
        ("Thesis", "All", "None", 2)
    ]
    assert isinstance(talk[0]["paper"], int)  # the number in the list, not a name


def test_the_words_say_how_many_marks_to_talk_about(marked_course):
    rubric = load_rubric(marked_course.root / "source/release_strategy/rubric.yaml")
    file = marked_course.root / "marking/release_strategy/sam.json"
    for paper in first_levels(marked_course, rubric):
        FileMarks(file, rubric).write(paper, "thesis", Mark(0))
    assert "2 levels or more apart: 1. Talk" in two_graders(marked_course, "sam").attrs["in_words"]
    json.dumps(two_graders(marked_course, "sam").attrs)  # plain values: pandas compares them


def test_an_unknown_second_reader_is_told_who_there_is(marked_course):
    with pytest.raises(TextError, match="A second reader who has marked"):
        two_graders(marked_course, "nobody")
    (marked_course.root / "marking/release_strategy").mkdir(parents=True)
    (marked_course.root / "marking/release_strategy/sam.json").write_text('{"marks": {}}')
    with pytest.raises(TextError, match="One of sam"):
        two_graders(marked_course, "../../gradebook")
    assert two_graders(marked_course, "sam").iloc[-1]["n"] == 0
