"""The skeleton of an essay: every gap is named once, and an argument without gaps has none."""

import dataclasses

import pytest

from course_utils.errors import SettingsError
from course_utils.evidence.essay.argument_map import READINGS, Reason, argument_map, gaps
from course_utils.evidence.ledger.ledger import append

THESIS = "Release it in stages."
WHOLE = Reason("It buys time", READINGS, objection="Others replicate", answer="Not at once")
NUMBER = {"metric": "share", "of": "m", "value": 0.5, "unit": "share", "low": None, "high": None, "n": 8, "row": None}
ORIGIN = {"rows": [], "settings": {}, "models": {}, "seed": None, "versions": {}, "experiment": "", "inputs": None}
MEASURED = {"finding": "4 of 8 texts.", "note": "", **NUMBER, **ORIGIN}


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "evidence.jsonl"


@pytest.fixture
def whole(ledger) -> Reason:
    return dataclasses.replace(WHOLE, evidence=[append(MEASURED, ledger, say=lambda _: None).id])


def test_a_whole_argument_has_no_gap(whole, ledger):
    assert gaps(THESIS, [whole], ledger) == []


@pytest.mark.parametrize("part", ["claim", "readings", "evidence", "objection", "answer"])
def test_what_is_taken_away_is_missed(whole, ledger, part):
    empty = "" if isinstance(getattr(whole, part), str) else []
    found = gaps(THESIS, [whole, dataclasses.replace(whole, **{part: empty})], ledger)
    assert len(found) == 1
    assert found[0].startswith("Reason 2: ")


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_that_is_never_met_is_missed(whole, ledger, reading):
    others = dataclasses.replace(whole, readings=[each for each in READINGS if each != reading])
    assert gaps(THESIS, [others], ledger) == [f"Nothing builds on {reading}, or answers it."]


def test_evidence_that_was_never_kept_is_named(whole, ledger):
    stranger = dataclasses.replace(whole, evidence=[*whole.evidence, "E-0000"])
    assert gaps(THESIS, [stranger], ledger) == ["Reason 1: E-0000 does not stand in your ledger."]


def test_nothing_at_all_lacks_everything(ledger):
    assert gaps(" ", [], ledger)[:2] == ["There is no thesis yet.", "There is no reason yet."]


@pytest.mark.parametrize("wrong", [{"readings": ["reading 5"]}, {"readings": "reading 1"}, {"evidence": "E-07f3"}])
def test_what_is_no_reading_or_no_list_is_told(wrong):
    with pytest.raises(SettingsError, match="reading|evidence"):
        Reason("A claim", **wrong)


@pytest.mark.parametrize("words", ["short", "a long claim " * 20, "", "$x_1$ </script> ünïcode"])
def test_the_map_says_in_words_all_that_it_draws(words):
    reason = Reason(words, ["reading 2"], ["E-07f3"], objection="But why", answer=words)
    picture = argument_map(THESIS, [reason, WHOLE])
    assert picture.png()
    for told in (THESIS, words or "missing", "E-07f3", "But why", "Not at once"):
        assert told in picture.alt
