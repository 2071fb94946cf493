"""The release timeline without a browser: nothing later than the stage is told, and what was committed stays."""

import json

import pandas as pd
import pytest

from course_utils.errors import AccessRefused, DamagedFile, NoSpace, SettingsError, TextError
from course_utils.experiments.release import history
from course_utils.experiments.release.decisions import MAX_REASON_CHARACTERS, Decisions, next_size
from course_utils.models.registry import release_stage
from course_utils.widgets.timeline.timeline import ReleaseTimeline

HOSTILE = "</script><img src=x onerror=window.__xss=1>"
EVES = {"Feb 2019": "2019-05-02", "May 2019": "2019-08-19", "Aug 2019": "2019-11-04", "Nov 2019": "2019-12-31"}


@pytest.fixture(autouse=True)
def all_open():
    yield
    release_stage.open_all()


@pytest.fixture
def record(tmp_path):
    return tmp_path / "new" / "decisions.jsonl"


@pytest.fixture
def timeline(record):
    panel = ReleaseTimeline(record)
    yield panel
    panel.close()


def hear(panel: ReleaseTimeline, **content) -> None:
    panel._on_message(panel, content, [])


def told(panel: ReleaseTimeline) -> str:
    """Everything that the browser knows about what happened."""
    return json.dumps(panel.get_state(["events", "sizes", "shown", "asked", "decided"]))


# -- what is shown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", release_stage.NAMES)
def test_what_is_later_than_the_stage_is_nowhere(name):
    panel = ReleaseTimeline(free=True)
    panel.choose(name)
    assert panel.until == EVES[name]
    assert panel.events and all(event["last"] <= EVES[name] for event in panel.events)
    last_days = pd.to_datetime([event["last"] for event in panel.events])
    assert last_days.max() <= pd.Timestamp(EVES[name])
    assert [each["model"] for each in panel.sizes] == list(release_stage.SIZES[: release_stage.NAMES.index(name) + 1])
    known = history.evidence(EVES[name])
    assert [each["finding"] for each in panel.shown["evidence"]] == known["finding"].tolist()
    assert all(each["source"] and each["how"] for each in [*panel.shown["evidence"], *panel.events])
    later = history.evidence()[len(known) :]
    assert not any(json.dumps(finding)[1:-1] in told(panel) for finding in later["finding"])
    panel.close()


def test_before_a_stage_is_chosen_the_year_is_not_told_and_a_lecturer_sees_all_of_it(timeline):
    assert release_stage.now() is None and timeline.stage is None
    assert all(event["last"] < "2019-02-14" for event in timeline.events)
    assert timeline.sizes == []
    free = ReleaseTimeline(free=True)
    assert len(free.events) == len(history.timeline())
    free.close()
    timeline.open_all()
    assert timeline.events == free.events


def in_words(day: str) -> str:
    date = pd.Timestamp(day)
    return {4: day, 7: f"{date:%b %Y}", 10: f"{date.day} {date:%b %Y}"}[len(day)]


def test_month_and_year_are_told_as_exactly_as_they_are_known():
    panel = ReleaseTimeline(free=True)
    assert [event["date"] for event in panel.events] == list(map(in_words, history.timeline()["date"]))
    panel.close()


# -- the switch --------------------------------------------------------------------------------------------------------


def test_a_stage_opens_after_the_decision_at_the_one_before_and_going_back_is_free(timeline):
    timeline.choose("Feb 2019")
    for name in release_stage.NAMES[1:]:
        before = timeline.stage
        with pytest.raises(AccessRefused, match=f"(?s){name}.*A decision at {before}"):
            timeline.choose(name)
        assert release_stage.now() == before
        timeline.decide("wait", f"because of {before}")
        assert release_stage.now() == timeline.stage == name
    for name in (*reversed(release_stage.NAMES), "Nov 2019"):
        timeline.choose(name)
        assert release_stage.now() == name
    assert timeline.decisions["stage"].tolist() == list(release_stage.NAMES[:3])


def test_a_lecturer_needs_no_decision_and_an_unknown_stage_is_told():
    panel = ReleaseTimeline(free=True)
    for name in ("Nov 2019", "Feb 2019", "Aug 2019"):
        panel.choose(name)
        assert release_stage.now() == name
    with pytest.raises(SettingsError, match="No stage is called"):
        panel.choose("Dec 2019")
    panel.close()


def test_the_panel_follows_a_stage_that_was_set_elsewhere_until_it_is_closed(timeline):
    release_stage.choose("May 2019")
    assert timeline.stage == "May 2019" and timeline.shown["opened"] == "355M"
    timeline.close()
    release_stage.open_all()
    assert timeline.stage == "May 2019"


# -- the decisions -----------------------------------------------------------------------------------------------------


def test_a_decision_stands_beside_what_openai_did_and_is_never_changed(timeline):
    timeline.choose("Feb 2019")
    assert timeline.asked["size"] == "355M" and timeline.decided == []
    timeline.decide("never", f" {HOSTILE} ")
    row = timeline.decisions.iloc[0]
    assert (row["stage"], row["next_size"], row["decision"], row["reason"]) == (
        "Feb 2019",
        "gpt2-medium",
        "never",
        HOSTILE,
    )
    assert row["openai"] == "released 355M on 3 May 2019, 78 days after the announcement"
    assert row["openai_reason"] and row["source"]
    timeline.choose("Feb 2019")
    assert timeline.asked == {}
    with pytest.raises(TextError, match="At Feb 2019 you have decided: never"):
        timeline.decide("release", "I have seen what came")
    assert len(timeline.decisions) == 1 and timeline.stage == "Feb 2019"


def test_days_after_the_announcement_agree_with_the_dates():
    decisions = Decisions()
    for name in release_stage.NAMES[:3]:
        decisions.commit(name, "wait", "because")
    for row in decisions.table().itertuples():
        begun = history.stage(release_stage.opens(row.next_size)).begins
        n_days = (begun - history.stage("Feb 2019").begins).days
        assert f"{n_days} days after" in row.openai and str(begun.day) in row.openai


@pytest.mark.parametrize(
    ("where", "decision", "reason", "error"),
    [
        ("Feb 2019", "maybe", "because", SettingsError),
        ("Feb 2019", "wait", "  ", TextError),
        ("Feb 2019", "wait", "x" * (MAX_REASON_CHARACTERS + 1), TextError),
        ("Nov 2019", "wait", "because", TextError),
        (None, "wait", "because", TextError),
    ],
)
def test_what_cannot_be_decided_is_refused_and_opens_nothing(record, where, decision, reason, error):
    panel = ReleaseTimeline(record, free=True)
    if where:
        panel.choose(where)
    with pytest.raises(error):
        panel.decide(decision, reason)
    assert panel.stage == where and not record.exists() and panel.decisions.empty
    panel.close()


def test_decisions_and_drafts_outlive_the_kernel(timeline, record):
    timeline.choose("Feb 2019")
    timeline.decide("wait", "because")
    hear(timeline, kind="draft", stage="May 2019", text=f"half a rea {HOSTILE}")
    release_stage.open_all()
    again = ReleaseTimeline(record)
    again.choose("May 2019")
    assert again.draft == f"half a rea {HOSTILE}"
    assert again.decisions.equals(timeline.decisions)
    lines = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    assert [set(line) for line in lines] == [{"time", "stage", "decision", "reason"}, {"time", "stage", "draft"}]
    again.close()


def test_a_line_that_was_cut_off_is_set_aside_and_the_record_goes_on(timeline, record):
    timeline.choose("Feb 2019")
    timeline.decide("wait", "because")
    whole = record.read_bytes()
    for n in (1, 20, len(whole) - 2):
        record.write_bytes(whole + whole[:n])
        again = Decisions(record)
        assert len(again.made()) == 1
        again.commit("May 2019", "never", "because")
        assert len(Decisions(record).made()) == 2
        assert record.with_name("decisions.jsonl.torn").read_bytes().endswith(whole[:n] + b"\n")


@pytest.mark.parametrize(
    "line",
    ["", "[1, 2]", "{}", "x", '{"time": "t", "stage": "Dec 2019", "draft": "x"}', '{"time": "t", "stage": "Feb 2019"}']
    + ['{"time": "t", "stage": "Feb 2019", "decision": "maybe", "reason": "x"}'],
)
def test_a_record_of_something_else_is_refused_with_its_line(tmp_path, line):
    record = tmp_path / "other.jsonl"
    record.write_text(f"\n{line}\n")
    if not line:
        assert ReleaseTimeline(record).decisions.empty
        return
    with pytest.raises(DamagedFile, match="line 2, is no decision"):
        ReleaseTimeline(record)
    with pytest.raises(TextError, match="is a folder"):
        ReleaseTimeline(tmp_path)


def test_where_nothing_can_be_written_the_decision_counts_and_the_panel_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    panel = ReleaseTimeline(tmp_path / "file" / "folder" / "decisions.jsonl")
    panel.choose("Feb 2019")
    with pytest.raises(NoSpace):
        panel.decide("wait", "because")
    assert panel.stage == "May 2019" and len(panel.decisions) == 1
    hear(panel, kind="decide", decision="release", reason="because")
    assert "cannot be written" in panel.message and panel.stage == "Aug 2019"
    panel.close()


def test_the_browser_s_messages_do_the_same_and_their_errors_are_shown(timeline):
    hear(timeline, kind="choose", stage="Aug 2019")
    assert "is not open to you yet" in timeline.message and timeline.stage is None
    hear(timeline, kind="choose", stage="Feb 2019")
    assert timeline.message == "" and timeline.stage == "Feb 2019"
    hear(timeline, kind="decide", decision="", reason="typed, and no choice made")
    assert "No decision is chosen" in timeline.message and timeline.stage == "Feb 2019"
    assert Decisions(timeline._decisions._record).drafts() == {"Feb 2019": "typed, and no choice made"}
    hear(timeline, kind="decide", decision="wait", reason="because")
    assert (timeline.message, timeline.stage) == ("", "May 2019")
    hear(timeline, kind="open all")
    assert timeline.stage is None and len(timeline.events) == len(history.timeline())


def test_each_stage_but_the_last_asks_about_the_size_that_the_next_one_opened():
    for name, following in zip(release_stage.NAMES, release_stage.NAMES[1:], strict=False):
        assert next_size(name) == history.stage(following).opened
    assert next_size("Nov 2019") == next_size(None) == ""
