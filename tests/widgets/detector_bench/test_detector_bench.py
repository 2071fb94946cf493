"""The detector bench without a browser: what is composed is run, what cannot be is told, and no text gets a verdict."""

import dataclasses
import json
import math

import numpy as np
import pytest
from made_pairs import made_pairs, wordy_model

from course_utils.core.paths import cache_folder
from course_utils.errors import SettingsError, TextError
from course_utils.evidence.ledger import ledger
from course_utils.experiments.detection import trial
from course_utils.experiments.detection.compare import compare_detectors
from course_utils.experiments.detection.detectors import DETECTORS
from course_utils.experiments.detection.trial import Trial, place_text, run_trial, worth
from course_utils.widgets.detector_bench.detector_bench import DetectorBench

pytestmark = pytest.mark.slow

SOON = 120
FEW = made_pairs(24, apart=0.3)
SMALL = {"n_pairs": 20, "n_words": 12, "seed": 3}


@pytest.fixture(scope="module")
def wordy(tmp_path_factory):
    return wordy_model(tmp_path_factory.mktemp("wordy") / "wordy")


@pytest.fixture
def news(real_cache):
    if not (real_cache / "texts" / "NewsArticles.zip").exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    (cache_folder() / "texts").symlink_to(real_cache / "texts")


def finish(panel: DetectorBench, **asked) -> DetectorBench:
    panel.run(**asked)
    assert panel.wait(SOON)
    return panel


def hear(panel: DetectorBench, **content) -> None:
    panel._on_message(panel, content, [])
    assert panel.wait(SOON)


def on_dice(wordy, **composed) -> DetectorBench:
    panel = DetectorBench(wordy)
    panel.compose(reader=wordy.name, **composed)
    return finish(panel, pairs=FEW)


def test_the_whole_trial_can_be_kept_and_done_again(wordy, news, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    panel = DetectorBench(wordy)
    panel.compose(**SMALL, top_k=0, top_p=0.9)
    told = []
    panel.observe(lambda change: told.append(change["new"].get("share", 1)), "progress")
    assert finish(panel).state == "done", panel.message
    record = json.loads(json.dumps(panel.result.record()))
    inputs = record["inputs"]
    assert record["experiment"] == "detection_trial.run_trial" and inputs["generator"] == wordy.name
    assert inputs == {**SMALL, "generator": "wordy", "reader": "wordy", "kinds": list(DETECTORS), "temperature": 1.0,
                      "top_k": 0, "top_p": 0.9}  # fmt: skip
    again = run_trial(**{**inputs, "generator": wordy, "reader": wordy})
    assert again.rows.equals(panel.result.rows) and again.finding == panel.finding
    assert "top-p 0.9" in panel.runs[0]["sampling"] and panel.runs[0]["n_words"] == 12
    row = record["row"]
    assert again.metric("auc", row) == again.metric() == panel.result.metric()  # or a record could not be tried again
    citation = panel.keep()
    assert ledger.read().find(citation).value == panel.result.rows["auc"].max() and citation in panel.kept


def test_only_the_detectors_that_were_chosen_judge(wordy):
    whole = compare_detectors(FEW, [wordy])
    for kinds in (["ranks", "words"], ["likelihood"]):
        panel = on_dice(wordy, kinds=kinds)
        assert panel.state == "done", panel.message
        names = [each.name for each in Trial(kinds).detectors(wordy)]
        kept = whole.rows[whole.rows["detector"].isin(names)]
        assert panel.result.rows["auc"].tolist() == kept["auc"].tolist()
        assert [row["detector"] for row in panel.rows] == names == list(panel.result.details["detector"].unique())
        assert panel.result.metric().value == kept["auc"].max() and panel.picture["alt"].count("AUC") == len(kinds)


@pytest.mark.parametrize("kinds", [("ranks",), ("likelihood",), ("words", "ranks"), tuple(DETECTORS)])
def test_a_trial_that_needs_a_reader_says_so_where_there_is_none(kinds):
    with pytest.raises(SettingsError, match="no reader is given"):
        Trial(kinds).detectors(None)
    assert [each.name for each in Trial(("words",)).detectors(None)] == ["word counts"]


def test_a_rate_that_cannot_be_measured_is_not_told(wordy):
    few = on_dice(wordy, kinds=["words"])
    assert few.rows[0]["caught"] == "not measurable below 100 human test texts (12 here)"
    many = finish(few, pairs=made_pairs(210, apart=0.04))
    assert many.rows[0]["caught"].startswith(f"{100 * many.result.rows['caught'][0]:.0f} % (")
    assert len(many.runs) == len(many.results) == 2
    assert [run["n_test"] for run in many.runs] == [12, 105]


def test_a_text_of_one_s_own_is_placed_among_the_test_texts(wordy):
    panel = on_dice(wordy)
    human, machine = FEW.test.human[0], FEW.test.machine[0]
    for text in (human, f"{machine} and more words"):
        panel.judge(text)
        assert panel.wait(SOON) and panel.problem == ""
        assert panel.judgement["n_words"] == 30
        for row in panel.judgement["rows"]:
            table = panel.result.details[panel.result.details["detector"] == row["detector"]]
            known = table[table["text"].isin([human, machine]) & (table["text"].map(text.startswith))]["score"].iloc[0]
            assert row["score"] == pytest.approx(known, abs=1e-3)
            for author in ("human", "machine"):
                assert row[f"n_{author}"] == np.sum(np.array(row[author]) >= row["score"])
            assert "verdict" not in row["worth"]


def test_what_a_flag_is_worth_follows_the_base_rate(wordy):
    panel = on_dice(wordy, kinds=["words"])
    panel.judge(FEW.test.human[0])  # scores no higher than one of the human texts: itself
    assert panel.wait(SOON)
    (row,), told = panel.judgement["rows"], []
    assert row["n_human"] > 0
    for one_in in (1, 2, 100, 10_000):
        panel.one_in = one_in
        right = worth(row["n_machine"], 12, row["n_human"], 12, one_in)
        assert right[1] <= right[0] <= right[2]
        told.append(right[0])
        words = panel.judgement["rows"][0]["worth"]
        assert f"1 in {one_in:,} texts" in words and "e-" not in words.replace("one-", "") and "e+" not in words
    assert told == sorted(told, reverse=True) and "right 100 % of the time" not in words
    with pytest.raises(SettingsError, match="one_in is 0"):
        panel.one_in = 0
    assert math.isnan(worth(0, 12, 0, 12, 100)[0])


def test_no_flag_is_called_always_right(wordy):
    panel = on_dice(wordy, kinds=["words"])
    panel.judge(FEW.test.machine[int(np.argmax(panel.result.details.query("half == 'test'")["score"][-12:]))])
    assert panel.wait(SOON)
    (row,) = panel.judgement["rows"]
    assert row["n_human"] == 0 and "right at least" in row["worth"] and "100 %" not in row["worth"]


def test_a_text_too_short_or_too_early_is_told_beside_it(wordy):
    panel = DetectorBench(wordy)
    hear(panel, kind="judge", text="word " * 40)
    assert "no result yet" in panel.problem
    panel = on_dice(wordy, kinds=["words"])
    for text in ("", "one", "word " * 29):
        hear(panel, kind="judge", text=text)
        assert "At least 30" in panel.problem and panel.judgement == {} and panel.state == "done"
    hear(panel, kind="base", one_in=0)
    assert "Base rate is 0" in panel.problem and panel.one_in == 100


@pytest.mark.parametrize(
    ("values", "told"),
    [({"n_pairs": 4}, "Headlines is 4"), ({"n_words": None}, "Words a text is empty"), ({"top_p": 0}, "Top-p is 0"),
     ({"kinds": []}, "No detector is chosen"), ({"kinds": ["eyes"]}, "The detectors are"), ({"seed": 0.5}, "Seed is")],
)  # fmt: skip
def test_a_field_that_is_wrong_is_told_before_and_when_run(wordy, values, told):
    panel = DetectorBench(wordy)
    panel.compose(**values)
    assert told in panel.estimate
    assert finish(panel).state == "failed" and told.split(" is")[0] in panel.message
    panel.compose(**dataclasses.asdict(Trial()))
    assert not panel.problems and ("No detector" in told or "detectors" in told or panel.message == "")


def test_what_is_missing_on_this_machine_is_told_with_its_cure(wordy):
    panel = DetectorBench(wordy)
    assert finish(panel).state == "failed" and "fetch texts" in panel.message
    panel.compose(reader="gpt2-xl")
    assert finish(panel, pairs=FEW).state == "failed" and "gpt2-xl" in panel.message
    with pytest.raises(SettingsError, match="no field n_word"):
        panel.compose(n_word=3)


def test_texts_that_do_not_fit_into_the_model_are_refused(wordy, news):
    panel = DetectorBench(wordy)
    panel.compose(n_words=150)
    assert finish(panel).state == "failed" and "Lower the number of words" in panel.message


def test_the_estimate_tells_how_long_and_whether_the_rate_can_be_measured():
    panel = DetectorBench()
    assert panel.values["generator"] == "pocket-xl"
    assert "seconds" in panel.estimate and "120 human texts" in panel.estimate and "enough" in panel.estimate
    panel.compose(n_pairs=100)
    assert "too few" in panel.estimate
    small = sum(Trial().seconds(265_536, 265_536))
    assert small < sum(Trial().seconds(3_060_288, 3_060_288)) < sum(Trial().seconds(124_439_808, 124_439_808))


def test_placing_needs_as_many_words(wordy):
    result = trial.judge_pairs(Trial(["words"]), FEW, None)
    with pytest.raises(TextError, match="The text has 1 word"):
        place_text(Trial(["words"]), result, "one", None)
