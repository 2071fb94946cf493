"""Laws of the release data: rows say where they are from, numbers are counted anew, nothing is known too early."""

import datetime
import json

import pandas as pd
import pytest

from course_utils.data import bibliography
from course_utils.errors import SettingsError
from course_utils.experiments.release import arguments, history
from course_utils.experiments.release.release_plan import OPENAI
from course_utils.experiments.replication import distill
from course_utils.models.architecture import GPT2
from course_utils.models.registry.catalogue import CATALOGUE

FILE = json.loads(history.ROWS.read_text("utf-8"))
TABLES = list(FILE)
NAMES = ["Feb 2019", "May 2019", "Aug 2019", "Nov 2019"]


def all_tables() -> list[pd.DataFrame]:
    own = [history.timeline(), history.family(), history.evidence(), arguments.strategies(), arguments.levels()]
    own += [arguments.disagreements(wide=False), arguments.may_factors(), arguments.checklist()]
    return [*own, arguments.essay_claims()]


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_a_known_source_and_a_tag_that_vouches(name):
    for row in FILE[name]:
        assert row["source"] and set(row["source"]) <= set(bibliography.ids()), row
        assert row["tag"] in history.TAGS, row
    assert "GK" not in history.TAGS


def test_every_table_shows_its_sources_in_words():
    for table in [*all_tables(), arguments.corrections()]:
        assert table["source"].str.len().min() > 10
    assert set(arguments.corrections()["told_by"]) <= {bibliography.in_words([key]) for key in bibliography.ids()}


def test_the_tags_mean_what_they_mean_beside_the_costs():
    assert set(distill.TAGS) <= set(history.TAGS)
    assert all(history.TAGS[tag] == words for tag, words in distill.TAGS.items() if tag != "SEED")


def test_no_table_says_general_knowledge_or_has_an_empty_answer():
    assert "GK" not in history.ROWS.read_text("utf-8")
    for table in all_tables():
        told = table.drop(columns=["size", "kind"], errors="ignore")
        assert not told.isna().any(axis=None)
        assert (told.astype(str) != "").all(axis=None)


# -- dates -------------------------------------------------------------------------------------------------------------


def test_the_timeline_is_in_order_and_its_precision_is_that_of_the_date():
    table = history.timeline()
    assert table["first_day"].is_monotonic_increasing
    for row in table.itertuples():
        parts = [int(part) for part in row.date.split("-")]
        assert row.precision == {1: "year", 2: "month", 3: "day"}[len(parts)]
        assert row.first_day.date() == datetime.date(*(parts + [1, 1])[:3])


def test_intervals_are_those_between_the_dates():
    table = history.intervals()
    begun, done = datetime.date(2019, 2, 14), datetime.date(2019, 11, 5)
    for row in table.itertuples():
        day = datetime.date.fromisoformat(row.date)
        assert row.days_after_announcement == (day - begun).days
        assert row.days_before_full_release == (done - day).days
    assert table["days_after_announcement"].tolist() == [0, 78, 187, 189, 215, 264, 272]
    of_others = table[table["event"].str.contains("OpenGPT-2")].iloc[0]
    assert of_others["days_before_full_release"] == 75


def test_the_releases_are_on_the_days_that_the_other_rooms_know():
    ours = history.timeline("OpenAI").set_index("size")["date"]
    for row, size in zip(OPENAI.itertuples(), history.family()["later_name"], strict=True):
        assert datetime.datetime.strptime(row.released, "%d %B %Y").date().isoformat() == ours[size]
        assert CATALOGUE[row.model].released == row.released
    assert OPENAI["days_after_announcement"].tolist() == [
        (history.stage(name).begins - history.stage(NAMES[0]).begins).days for name in NAMES
    ]


def test_an_unknown_kind_or_part_is_told_the_known_ones():
    with pytest.raises(SettingsError, match="OpenAI, comment"):
        history.timeline("OpenAl")
    with pytest.raises(SettingsError, match="benefit, threat, strategy"):
        arguments.checklist("benefits")


# -- sizes and stages --------------------------------------------------------------------------------------------------


def test_every_size_is_counted_from_its_shape():
    for row in history.family().itertuples():
        d, n_layers = row.width, row.n_layers
        by_hand = 50_257 * d + 1024 * d + n_layers * (12 * d * d + 13 * d) + 2 * d
        assert row.n_parameters == by_hand == GPT2[row.model].n_parameters == CATALOGUE[row.model].n_parameters
        assert row.later_name == f"{by_hand / 1e6:.0f}M"
    assert history.family()["share_of_largest"].round(3).tolist() == [0.080, 0.228, 0.497, 1.0]


@pytest.mark.parametrize("place", range(4))
def test_a_stage_opens_one_size_more_than_the_stage_before(place):
    stage = history.stage(NAMES[place])
    assert stage.open_sizes == tuple(GPT2)[: place + 1]
    assert stage.open_sizes[-1] == stage.opened
    assert stage.open_sizes + stage.closed_sizes == tuple(GPT2)
    assert len(stage.open_pocket) == len(stage.open_sizes)
    assert stage.begins == stage.seen_on


def test_the_last_day_of_a_stage_is_the_day_before_the_next():
    for name, after in zip(NAMES, NAMES[1:], strict=False):
        begins = history.stage(after).begins
        assert history.stage_at(begins).name == after
        assert history.stage_at(begins - datetime.timedelta(days=1)).name == name
    assert history.stage_at("2030-01-01").name == NAMES[-1]
    assert [stage.name for stage in history.stages()] == NAMES


@pytest.mark.parametrize("date", ["2019-02-14", "2019-05-03", "2019-06-29", "2019-06-30", "2019-11-05"])
def test_no_evidence_is_known_before_it_was_public(date):
    known = history.stage_at(date).evidence
    for row in known.itertuples():
        assert row.date <= date[: len(row.date)]
    hidden = history.evidence()[~history.evidence()["finding"].isin(known["finding"])]
    assert len(known) + len(hidden) == len(history.evidence())
    assert all(row.date > date[: len(row.date)] or row.precision == "month" for row in hidden.itertuples())
    assert ("2019-06" in set(known["date"])) == (date >= "2019-06-30")  # of a month the last day counts


def test_evidence_only_grows():
    counts = [len(history.stage(name).evidence) for name in NAMES]
    assert counts == sorted(counts) and len(set(counts)) == 4
    assert counts[-1] == len(history.evidence())


@pytest.mark.parametrize("date", ["2019-02-13", "soon", None, 7.5, float("nan")])
def test_a_day_without_a_stage_is_refused(date):
    with pytest.raises(SettingsError, match="no day|nothing was released"):
        history.stage_at(date)


def test_a_stage_of_another_name_is_told_the_four():
    with pytest.raises(SettingsError, match=", ".join(NAMES)):
        history.stage("March 2019")


# -- arguments ---------------------------------------------------------------------------------------------------------


def test_four_readings_answer_nine_questions():
    wide, long = arguments.disagreements(), arguments.disagreements(wide=False)
    assert wide.shape == (9, 5)
    assert not wide.isna().any(axis=None)
    for row in long.itertuples():
        assert wide.set_index("question").loc[row.question, row.reading] == row.answer
    assert list(wide["question"]) == list(long["question"].unique())


def test_seven_factors_six_levels_nine_strategies():
    assert arguments.may_factors()["number"].tolist() == list(range(1, 8))
    assert arguments.levels()["level"].tolist() == list(range(1, 7))
    assert arguments.strategies()["strategy"].is_unique
    assert len(arguments.strategies()) == 9


def test_the_checklist_has_every_part():
    sizes = {part: len(arguments.checklist(part)) for part in arguments.checklist()["part"].unique()}
    assert sizes == {"benefit": 6, "threat": 13, "strategy": 4, "thesis": 1, "question": 6}


def test_what_is_handed_out_can_be_changed_without_changing_the_data():
    table = history.timeline()
    table["event"] = ""
    assert (history.timeline()["event"] != "").all()
