"""The prediction panel without a browser: guesses are read, stored, compared, and fixed once the result is shown."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.errors import SettingsError, TextError
from course_utils.evidence.predictions import NAME, predictions, read_predictions
from course_utils.widgets.predict.predict import Predict


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "evidence.jsonl"


@pytest.mark.parametrize("typed", ["0.8", "0,8", " 0,80 ", 0.8, "0.8 AUC"])
def test_a_number_is_read_as_people_type_it(ledger, typed):
    panel = Predict("auc", "How high?", "AUC", low=0.5, high=1, ledger=ledger)
    panel.guess(typed)
    assert panel.guessed == 0.8
    assert read_predictions(ledger)["auc"].guess == 0.8


@pytest.mark.parametrize("typed", ["", "much", "1.2", 0.49, math.nan, math.inf, True, "1.234,5"])
def test_what_is_no_number_of_the_axis_is_refused_and_nothing_is_stored(ledger, typed):
    panel = Predict("auc", "How high?", low=0.5, high=1, ledger=ledger)
    with pytest.raises(TextError, match="0.5 to 1"):
        panel.guess(typed)
    panel._on_message(panel, {"kind": "guess", "value": typed}, [])
    assert panel.guessed is None and not ledger.with_name(NAME).exists()


@given(guess=st.floats(1, 1e6), measured=st.floats(1, 1e6))
def test_both_values_are_named_and_the_difference_has_the_right_direction(tmp_path_factory, guess, measured):
    panel = Predict("n", "How many?", "tokens", ledger=tmp_path_factory.mktemp("p") / "evidence.jsonl")
    panel.guess(guess)
    told = panel.reveal(measured)
    assert told.startswith("You predicted ") and "Measured: " in told
    assert ("higher" in told) == (measured > guess) and ("lower" in told) == (measured < guess)


def test_on_a_log_axis_the_difference_is_a_ratio(ledger):
    for measured, words in ((40, "4 times the prediction"), (2, "divided by 5")):
        panel = Predict(f"n{measured}", "How many?", low=1, high=1000, scale="log", ledger=ledger)
        panel.guess(10)
        assert words in panel.reveal(measured)


def test_a_guess_can_be_changed_before_the_result_and_not_after_it(ledger):
    panel = Predict("n", "How many?", ledger=ledger)
    panel.guess(3)
    panel.guess(4)
    panel.reveal(7)
    with pytest.raises(TextError, match="has been shown"):
        panel.guess(7)
    assert read_predictions(ledger)["n"].guess == 4


def test_a_reopened_notebook_shows_the_guess_and_the_result(ledger):
    first = Predict("n", "How many?", "tokens", ledger=ledger)
    first.guess(3)
    again = Predict("n", "How many?", "tokens", ledger=ledger)
    assert again.guessed == 3 and "You predicted 3 tokens" in again.as_text()
    again.reveal(12)
    last = Predict("n", "How many?", "tokens", ledger=ledger)
    assert last.summary == "You predicted 3 tokens. Measured: 12 tokens. The measured value is 9 tokens higher."
    assert last.measured == 12


def test_a_result_without_a_guess_says_so(ledger):
    assert Predict("n", "How many?", ledger=ledger).reveal(12) == "Measured: 12. You made no prediction."


def test_choices_and_texts(ledger):
    choice = Predict("way", "Which is hardest?", choices=("greedy", "pure"), ledger=ledger)
    with pytest.raises(TextError, match="greedy, pure"):
        choice.guess("both")
    choice.guess("pure")
    assert choice.reveal("greedy") == "You predicted “pure”. Measured: “greedy”."
    text = Predict("next", "Which five words?", in_words=True, ledger=ledger)
    for wrong in ("", "  ", "x" * 2001):
        with pytest.raises(TextError):
            text.guess(wrong)
    text.guess("that he would come back")
    assert predictions(ledger).set_index("key")["guess"].to_dict() == {"way": "pure", "next": "that he would come back"}


@pytest.mark.parametrize(
    "axis",
    [
        {"low": 1},
        {"high": 1},
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "scale": "log"},
        {"low": 1, "high": 2, "scale": "x"},
    ],
)
def test_an_axis_that_cannot_be_drawn_is_refused(ledger, axis):
    with pytest.raises(SettingsError):
        Predict("n", "How many?", ledger=ledger, **axis)


def test_lines_of_others_stay_in_the_file_and_stop_nothing(ledger):
    file = ledger.with_name(NAME)
    others = ["[1]", "not json", json.dumps({"key": 3}), json.dumps({"key": "n", "guess": [1]})]
    file.write_text("\n".join(others) + "\n")
    Predict("n", "How many?", ledger=ledger).guess(3)
    lines = file.read_text().splitlines()
    assert lines[: len(others)] == others and read_predictions(ledger)["n"].guess == 3


def test_a_disk_that_takes_nothing_is_said_and_the_guess_stays_in_the_panel(tmp_path):
    (tmp_path / "file").write_text("")
    panel = Predict("n", "How many?", ledger=tmp_path / "file" / "evidence.jsonl")
    panel.guess(3)
    assert panel.guessed == 3 and "Not saved" in panel.message
