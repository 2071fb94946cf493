"""Laws of the staged release: what holds is let out, the unmeasured is held, no rule changes without a trace."""

import json
import math
import random

import pandas as pd
import pytest

from course_utils.errors import DamagedFile, SettingsError
from course_utils.experiments.release.release_plan import DIRECTIONS, OF, OPENAI, SOURCES, Plan, Rule, decide


def measured(*values: float, **columns) -> pd.DataFrame:
    return pd.DataFrame({"model": [f"size {i}" for i in range(len(values))], "score": values, **columns})


def decisions(rule: Rule, table: pd.DataFrame) -> list[str]:
    return decide(rule, table)["decision"].tolist()


RANDOM = [[random.Random(seed).uniform(0, 1) for _ in range(4)] for seed in range(30)]


@pytest.mark.parametrize("values", RANDOM)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("of", OF)
def test_after_the_first_size_held_back_none_is_released(values, direction, of):
    table = decide(Rule("score", direction, 0.3, of), measured(*values))
    released = (table["decision"] == "released").tolist()
    assert released[0]
    assert released == sorted(released, reverse=True)
    for i in range(1, 4):
        value = values[i] if of == "the size itself" else values[i] - values[i - 1]
        holds = value >= 0.3 if direction == "at least" else value <= 0.3
        assert table["holds"][i] == holds
        assert released[i] == (released[i - 1] and holds)


@pytest.mark.parametrize("values", RANDOM)
def test_a_stricter_rule_never_releases_more(values):
    n_released = [
        decisions(Rule("score", "at least", threshold / 10), measured(*values)).count("released")
        for threshold in range(11)
    ]
    assert n_released == sorted(n_released, reverse=True)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("of", OF)
def test_a_size_that_was_not_measured_is_held_back(direction, of):
    for sign in (-1e9, 1e9):
        rule = Rule("score", direction, sign, of)
        assert decisions(rule, measured(1, math.nan, 1, 1))[1:] == ["held back"] * 3


def test_of_two_rules_both_must_hold():
    table = measured(1, 2, 3, other=[9, 9, 1])
    told = decide([Rule("score", "at least", 2), Rule("other", "at least", 5)], table)
    assert len(told) == 6
    assert told.groupby("stage")["decision"].first().tolist() == ["released", "released", "held back"]


def test_an_interval_across_the_threshold_is_not_clear():
    table = measured(1, 2, 3, 4, score_low=[0, 1.5, 2.4, math.nan], score_high=[2, 2.4, 3.5, 5])
    told = decide(Rule("score", "at most", 2.5), table)
    assert told["is_clear"].tolist() == [None, True, False, None]
    assert told["decision"].tolist() == ["released", "released", "held back", "held back"]


@pytest.mark.parametrize(
    "wrong", [{"direction": "above"}, {"threshold": math.nan}, {"threshold": "much"}, {"threshold": True}, {"of": "it"}]
)
def test_a_rule_that_could_not_be_decided_is_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Rule(**({"measure": "score", "direction": "at most", "threshold": 1} | wrong))


def test_a_measure_that_nobody_took_is_named_with_those_that_were():
    with pytest.raises(SettingsError, match="'detectors' was not measured(.|\n)*score"):
        decide(Rule("detectors", "at most", 1), measured(1, 2))


def test_a_rule_says_itself_in_one_sentence():
    for direction in DIRECTIONS:
        for of in OF:
            sentence = str(Rule("score", direction, 0.5, of))
            assert sentence.startswith("release the next size if ")
            assert sentence.endswith(f"score is {direction} 0.5")
            assert ("the step" in sentence) == (of != "the size itself")


# -- the plan ----------------------------------------------------------------------------------------------------------

RULES = [Rule("score", "at least", threshold) for threshold in (1, 2, 3)]


def test_rules_fixed_after_a_look_say_so_for_ever(tmp_path):
    plan = Plan(tmp_path / "plan.jsonl")
    plan.fix(RULES[0])
    plan.fix(RULES[1], reason="thought again")
    plan.decide(measured(1, 2))
    plan.fix(RULES[2])
    for each in (plan, Plan(tmp_path / "plan.jsonl")):
        assert each.history()["fixed"].tolist() == ["before looking", "before looking", "after looking"]
        assert each.history()["reason"].tolist() == ["", "thought again", ""]
        assert len(set(each.history()["seal"])) == 3


def test_the_rule_fixed_last_decides(tmp_path):
    plan = Plan()
    for rule in RULES:
        plan.fix(rule)
        assert plan.decide(measured(1, 2, 3)).equals(decide(rule, measured(1, 2, 3)))


def test_a_look_that_failed_is_no_look():
    plan = Plan()
    plan.fix(Rule("nothing", "at most", 1))
    with pytest.raises(SettingsError):
        plan.decide(measured(1, 2))
    plan.fix(RULES[0])
    assert plan.history()["fixed"].tolist() == ["before looking"] * 2


def test_without_a_rule_nothing_is_decided():
    with pytest.raises(SettingsError, match="has no rule yet"):
        Plan().decide(measured(1))
    with pytest.raises(SettingsError, match="No rule is given"):
        Plan().fix()


def test_the_same_rule_fixed_twice_has_two_seals():
    plan = Plan()
    assert plan.fix(RULES[0]) != plan.fix(RULES[0])


def changed(lines: list[str], how: str) -> list[str]:
    if how == "a threshold":
        return [line.replace('"threshold": 2', '"threshold": 1') for line in lines]
    if how == "its seal too":
        entry = json.loads(lines[1])
        entry["rules"][0]["threshold"] = 1
        return [lines[0], json.dumps(entry), *lines[2:]]
    return {"one left out": lines[:1] + lines[2:], "swapped": lines[::-1], "not JSON": [*lines, "{"]}[how]


@pytest.mark.parametrize("how", ["a threshold", "its seal too", "one left out", "swapped", "not JSON"])
def test_a_plan_that_was_tampered_with_is_found_out(how, tmp_path):
    file = tmp_path / "plan.jsonl"
    plan = Plan(file)
    plan.fix(RULES[0])
    plan.fix(RULES[1])
    plan.decide(measured(1, 2, 3))
    lines = changed(file.read_text("utf-8").splitlines(), how)
    file.write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(DamagedFile, match=r"Entry \d"):
        Plan(file)


# -- OpenAI's own ------------------------------------------------------------------------------------------------------


def test_every_number_of_openai_has_its_source():
    assert set(SOURCES) == set(OPENAI.columns) - {"model"}
    assert all(SOURCES.values())


def test_the_days_are_those_between_the_dates():
    dates = pd.to_datetime(OPENAI["released"], format="%d %B %Y")
    assert (dates - dates[0]).dt.days.tolist() == OPENAI["days_after_announcement"].tolist()


def test_the_releases_agree_with_the_catalogue():
    from course_utils.models.registry.catalogue import CATALOGUE

    for row in OPENAI.itertuples():
        assert CATALOGUE[row.model].released == row.released
