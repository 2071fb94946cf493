"""The blind test without a browser: blind until the end, each answer kept at once, and then counted as by hand."""

import dataclasses
import json

import pytest
from made_pairs import wordy_model
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.proportion import proportion_confint

from course_utils.core.paths import cache_folder
from course_utils.errors import DamagedFile, SettingsError, TextError
from course_utils.evidence.ledger import ledger
from course_utils.experiments.readers import credibility
from course_utils.experiments.readers.blind_items import HUMAN, Item
from course_utils.widgets.blind_test.blind_test import BlindTest

HOSTILE = "</script><img src=x onerror=window.__xss=1>"
MACHINE = "a model called Zyx"


def some_items(n: int = 6) -> list[Item]:
    sources = [HUMAN, MACHINE, MACHINE, HUMAN]
    return [
        Item(f"text {i:02d}", f"Headline {i} {HOSTILE}", f"Text {i} …", sources[i % 4], "ab" * (i % 4 in (1, 2)), 5 * i)
        for i in range(n)
    ]


def play(game: BlindTest, answers: str) -> BlindTest:
    for letter in answers:
        if game.ratings:
            game.rate(3, 2, 3)
        game.answer({"h": "human", "m": "machine"}[letter])
    return game


def hear(game: BlindTest, **content) -> None:
    game._on_message(game, content, [])


def told(game: BlindTest) -> str:
    """All that the browser has."""
    state = game.get_state()
    return json.dumps(
        {name: state[name] for name in state if not name.startswith("_") and name != "layout"}, default=str
    )


# -- blind -------------------------------------------------------------------------------------------------------------


def test_nothing_that_the_browser_has_depends_on_the_sources_before_the_last_answer():
    items = some_items()
    turned = [dataclasses.replace(item, source=MACHINE if item.source == HUMAN else HUMAN) for item in items]
    games = [BlindTest(each, ratings=True) for each in (items, turned)]
    for _ in range(len(items) - 1):
        assert told(games[0]) == told(games[1])
        assert "Zyx" not in told(games[0])
        assert games[0].result is None and games[0].outcomes == {}
        for game in games:
            play(game, "h")
    play(games[0], "h")
    assert "Zyx" in told(games[0]) and "Zyx" not in told(games[1])


def test_the_record_does_not_tell_the_sources(tmp_path):
    game = BlindTest(some_items(), record=tmp_path / "answers.jsonl")
    play(game, "hmhmh")
    assert "Zyx" not in (tmp_path / "answers.jsonl").read_text()


# -- answers are kept --------------------------------------------------------------------------------------------------


def test_each_answer_is_in_the_record_at_once_and_a_test_goes_on_where_it_stopped(tmp_path):
    record, items = tmp_path / "new" / "answers.jsonl", some_items()
    game = BlindTest(items, record=record, ratings=True)
    for number in range(4):
        play(game, "m")
        assert len(credibility.read_answers(record)) == number + 1
    again = BlindTest(items, record=record, ratings=True)
    assert (again.item, again.n_left) == (items[4].shown(), 2)
    play(again, "hh")
    assert again.phase == "done" and again.n_left == 0
    lines = credibility.read_answers(record)
    assert credibility.judge(items, lines).rows.equals(again.result.rows)
    assert credibility.rate(items, lines).rows.equals(again.credibility.rows)
    assert BlindTest(items, record=record, ratings=True).result.rows.equals(again.result.rows)


def test_answers_to_other_texts_in_the_same_record_do_not_count(tmp_path):
    record = tmp_path / "answers.jsonl"
    play(BlindTest(some_items(4), record=record), "hhhh")
    game = BlindTest(some_items(6), record=record)
    assert game.n_left == 6
    assert play(game, "mmmmmm").result.settings["n_answers"] == 6


@pytest.mark.parametrize(
    "line", ["{}", "[1]", "no", '{"item": "a", "rater": "A"}', '{"item": "a", "rater": "A", "answer": "dog"}']
)
def test_a_record_of_something_else_is_refused(tmp_path, line):
    (tmp_path / "answers.jsonl").write_text(line + "\n")
    with pytest.raises(DamagedFile, match="answers.jsonl"):
        BlindTest(some_items(), record=tmp_path / "answers.jsonl")
    with pytest.raises(TextError, match="is a folder"):
        BlindTest(some_items(), record=tmp_path)


# -- and counted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", ["hmmhhm", "hhhhhh", "mhhmmh", "mmmmmm", "hmhmhm"])
def test_the_outcome_is_the_count(answers):
    items = some_items()
    game = play(BlindTest(items), answers)
    is_right = [(item.source == HUMAN) == (letter == "h") for item, letter in zip(items, answers, strict=True)]
    low, high = proportion_confint(sum(is_right), 6, method="wilson")
    headline = game.result.metric()
    assert (headline.value, headline.n) == (sum(is_right) / 6, 6)
    assert (headline.low, headline.high) == pytest.approx((low, high), abs=1e-9)
    assert [text["is_right"] for text in game.outcomes["judged"]["texts"]] == is_right
    right, called = game.outcomes["judged"]["groups"]
    assert right["rows"][0]["words"].endswith(f"{sum(is_right)} of 6")
    for row in called["rows"]:
        said = [letter for item, letter in zip(items, answers, strict=True) if item.source == row["label"]]
        assert row["value"] == pytest.approx(said.count("h") / len(said), abs=1e-4)
    assert game.outcomes["judged"]["agreed"] == []


def test_two_raters_have_a_kappa_and_the_second_is_blind_too():
    game = play(BlindTest(some_items(), rater="A"), "hmmhhm")
    game.play_as("B")
    assert game.n_left == 6 and game.outcomes == {} and game.result is None
    play(game, "hmhmhm")
    (agreed,) = game.outcomes["judged"]["agreed"]
    assert f"kappa {cohen_kappa_score(list('hmmhhm'), list('hmhmhm')):.2f}" in agreed
    assert [row["label"] for row in game.outcomes["judged"]["groups"][0]["rows"]] == [
        "all answers",
        "rater A",
        "rater B",
    ]
    assert game.result.settings["n_raters"] == 2


def test_ratings_stand_beside_openai_s_three_and_only_our_own_can_be_kept():
    game = play(BlindTest(some_items(), ratings=True), "hhhhhh")
    rows = game.outcomes["rated"]["groups"][0]["rows"]
    assert [row["value"] for row in rows] == [6, 6, *credibility.OPENAI.values()]
    assert [row["is_hollow"] for row in rows] == [False, False, True, True, True]
    assert "355M" not in str(game.outcomes["rated"]["numbers"])
    assert game.credibility.metric().of == MACHINE
    assert BlindTest(some_items()).credibility is None


def test_what_was_found_can_be_kept_and_its_citation_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    game = BlindTest(some_items(), ratings=True)
    with pytest.raises(TextError, match="no result"):
        game.keep()
    play(game, "hmmhhm")
    citation = game.keep()
    assert citation in game.kept
    for name, outcome in game.outcomes.items():
        for number in outcome["numbers"]:
            hear(game, kind="keep", of=name, metric=number["metric"], row=number["row"])
            assert game.message == "" and game.kept.startswith("Kept as [@E-")
    assert ledger.read().check().find(citation).value == 1


# -- texts of its own --------------------------------------------------------------------------------------------------


def test_without_the_news_the_panel_says_so():
    game = BlindTest()
    game.start()
    game.wait(60)
    assert game.state == "failed" and "fetch" in game.message and game.phase == "start"


def test_a_round_is_made_taken_up_and_followed_by_another(real_cache, tmp_path):
    if not (real_cache / "texts" / "NewsArticles.zip").exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    (cache_folder() / "texts").symlink_to(real_cache / "texts")
    how = {"model": wordy_model(tmp_path / "wordy"), "n_each": 2, "n_words": 4, "record": tmp_path / "answers.jsonl"}
    game = BlindTest(**how)
    hear(game, kind="start", model="wordy", n_each=2)
    game.wait(60)
    first = game.item
    assert (game.n_items, game.n_left, game.state) == (4, 4, "done")
    play(game, "hmhm")
    game.new_round()
    game.wait(60)
    assert game.seed == 1 and game.n_left == 4 and game.item != first and game.outcomes == {}
    play(game, "h")
    again = BlindTest(**how)
    assert (again.seed, again.n_begun, again.phase) == (1, 1, "start")
    again.start()
    again.wait(60)
    assert (again.item, again.n_left) == (game.item, 3)


# -- what cannot be ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_told():
    game = BlindTest(some_items(2), ratings=True)
    with pytest.raises(TextError, match="not rated yet"):
        game.answer("human")
    with pytest.raises(SettingsError, match="accurate is 5"):
        game.rate(1, 5, 1)
    with pytest.raises(SettingsError, match="answer is 'dog'"):
        game.answer("dog")
    with pytest.raises(SettingsError, match="confidence is 4"):
        game.answer("human", 4)
    with pytest.raises(TextError, match="were given"):
        game.new_round()
    play(game, "hh")
    with pytest.raises(TextError, match="All texts are judged"):
        game.answer("human")
    for rater in ("", " ", "x" * 21, None):
        with pytest.raises(TextError, match="rater is"):
            BlindTest(some_items(), rater=rater)
    for n in (0, 2.5, True, 31):
        with pytest.raises(SettingsError, match="n_each is"):
            BlindTest(n_each=n)


def test_the_browser_s_messages_do_the_same_and_a_late_press_answers_nothing():
    game = BlindTest(some_items(), ratings=True)
    answer = {"kind": "answer", "answer": "human", "confidence": 2}
    hear(game, item="text 00", **answer)
    assert "not rated" in game.message and game.n_left == 6
    hear(game, kind="rate", ratings=[1, 2, 3])
    hear(game, item="text 00", **answer)
    hear(game, item="text 00", **answer)
    assert game.message == "" and game.n_left == 5 and game.rated == {}
    hear(game, kind="play as", rater=" B ")
    assert game.rater == "B" and game.n_left == 6
