"""Calibration without a browser: ours stays closed until one's own is given, and what was given first counts."""

import json

import pytest

from course_utils.errors import DamagedFile, SettingsError
from course_utils.grading.marking.agreement import agreement
from course_utils.grading.marking.sample_essays import load_samples
from course_utils.widgets.marking.calibration import NAME, Calibration

SAMPLES = {sample.name: sample for sample in load_samples()}


@pytest.fixture
def calibration(tmp_path):
    return Calibration(tmp_path)


def hear(calibration, **content) -> None:
    calibration._on_message(calibration, content, [])


def give(calibration, number: int, levels: dict[str, int] | int) -> None:
    calibration.choose(number)
    for criterion in calibration.desk.rubric.criteria:
        calibration.mark_level(criterion.id, levels if isinstance(levels, int) else levels[criterion.id])


def ours(calibration) -> dict[str, int]:
    return SAMPLES[calibration.paper.key].levels


def told(calibration) -> str:
    return json.dumps(calibration.get_state(), default=str)


def test_our_levels_and_reasons_are_not_sent_before_ones_own_are_given(calibration):
    for number, sample in enumerate(SAMPLES.values(), 1):
        calibration.choose(number)
        for reason in (*sample.reasons.values(), *sample.doubts.values()):
            assert json.dumps(reason)[1:-1] not in told(calibration)
        assert calibration.comparison == {} and calibration.agreed == {}


def test_comparing_needs_a_level_for_every_criterion(calibration):
    calibration.mark_level("thesis", 2)
    with pytest.raises(SettingsError, match="No level yet for Use of the four readings"):
        calibration.compare()
    hear(calibration, kind="compare")
    assert "No level yet" in calibration.saved["why"] and calibration.comparison == {}


def test_comparing_tells_both_levels_how_far_apart_and_why(calibration):
    give(calibration, 1, 2)
    hear(calibration, kind="compare")
    assert set(calibration.comparison) == set(ours(calibration))
    for id, found in calibration.comparison.items():
        assert found["apart"] == 2 - ours(calibration)[id] and found["ours"] == ours(calibration)[id]
        assert "You gave Developing" in found["words"] and found["reason"] == SAMPLES["one"].reasons[id]
        assert ("The same." in found["words"]) == (found["apart"] == 0)
        assert ("above ours" in found["words"]) == (found["apart"] > 0)


def test_agreement_is_told_from_the_second_essay_on(calibration):
    give(calibration, 1, 2)
    calibration.compare()
    assert calibration.agreed == {}
    give(calibration, 2, 3)
    calibration.compare()
    table = calibration.agreement()
    yours = {name: dict.fromkeys(SAMPLES["one"].levels, level) for name, level in (("one", 2), ("two", 3))}
    expected = agreement({name: SAMPLES[name].levels for name in yours}, yours, calibration.desk.rubric)
    assert table.equals(expected)
    shown = {row[0]: row[1:] for row in calibration.agreed["rows"]}
    for _, row in expected.iloc[:-1].iterrows():
        name = calibration.desk.rubric.criterion(row["criterion"]).name
        assert shown[name][0] == "2" and float(shown[name][2]) == pytest.approx(row["mean_absolute_error"], abs=0.005)


def test_whoever_gives_our_levels_agrees_with_us(calibration):
    for number, sample in enumerate(SAMPLES.values(), 1):
        give(calibration, number, sample.levels)
        calibration.compare()
    everything = calibration.agreement().iloc[-1]
    assert (everything["n"], everything["kappa"], everything["mean_absolute_error"]) == (20, 1, 0)
    assert "100% of your levels are ours" in calibration.agreed["words"][0]
    assert any("On no criterion" in each for each in calibration.agreed["words"])


@pytest.mark.parametrize(("by", "words"), [(1, "more generous on"), (-1, "stricter on")])
def test_a_leaning_is_told_in_words_and_by_how_much(calibration, by, words):
    numbers = [n for n, sample in enumerate(SAMPLES.values(), 1) if 0 <= sample.levels["evidence"] + by <= 4][:2]
    for number in numbers:
        levels = list(SAMPLES.values())[number - 1].levels
        give(calibration, number, levels | {"evidence": levels["evidence"] + by})
        calibration.compare()
    leanings = [each for each in calibration.agreed["words"] if "You are on average" in each]
    assert leanings == [f"You are on average a whole level {words} Use of own evidence."]


def test_what_was_given_first_counts_also_when_levels_are_changed_after_looking(calibration):
    give(calibration, 1, 0)
    calibration.compare()
    first = calibration.comparison
    give(calibration, 1, ours(calibration))
    calibration.compare()
    assert calibration.comparison == first
    assert calibration.agreement().iloc[-1]["exact_share"] < 1


def test_all_is_there_again_after_a_reload_and_anew_forgets_one_essay(calibration, tmp_path):
    for number in (1, 2):
        give(calibration, number, 2)
        calibration.comment("thesis", "“the only moment”")
        calibration.compare()
    again = Calibration(tmp_path)
    assert again.agreed == calibration.agreed != {} and again.paper.number == 3
    again.choose(1)
    assert again.comparison["thesis"]["apart"] == 2 - SAMPLES["one"].levels["thesis"]
    assert again.marks["comments"]["thesis"] == "“the only moment”"
    hear(again, kind="anew")
    assert again.comparison == {} and again.agreed == {} and again.papers[0]["state"] == "to mark"
    assert Calibration(tmp_path).counts["marked"] == 1


def test_the_essays_stand_there_with_their_evidence_and_what_the_checks_say(calibration):
    for number, sample in enumerate(SAMPLES.values(), 1):
        calibration.choose(number)
        assert set(calibration.sheet["evidence"]) == set(sample.essay.cited_evidence)
        assert [each["title"] for each in calibration.sheet["sections"]][0] == "Thesis"
        known = {id: card for id, card in calibration.sheet["evidence"].items() if card["status"] == "not sampled"}
        assert len(known) >= 1 and all(card["finding"] for card in known.values())


def test_a_picture_is_drawn_from_the_record_or_the_reason_told(calibration):
    drawn = set()
    for number in range(1, 5):
        calibration.choose(number)
        for id in calibration.sheet["evidence"]:
            hear(calibration, kind="picture", id=id)
            drawn.add("src" if "src" in calibration.pictures[id] else bool(calibration.pictures[id]["why"]))
    assert "src" in drawn and False not in drawn


def test_it_is_kept_beside_the_ledger_and_undone_like_every_mark(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    calibration = Calibration()
    calibration.mark_level("clarity", 4)
    assert (tmp_path / NAME).is_file()
    hear(calibration, kind="undo")
    assert calibration.papers[0]["state"] == "to mark"
    (tmp_path / NAME).write_text("[1, 2]")
    with pytest.raises(DamagedFile, match="holds no marks"):
        Calibration()
