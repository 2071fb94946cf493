"""Recordings: what a panel sent is sent again, at the same pace, with no model; and the panel comes back as it was."""

import json
import threading

import pytest

from course_utils.errors import DamagedFile, SettingsError
from course_utils.experiments.readers import ready_items
from course_utils.models.inference.language_model import load
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import release_stage
from course_utils.widgets.access_regimes.access_regimes import AccessRegimes
from course_utils.widgets.blind_test.blind_test import BlindTest
from course_utils.widgets.classroom.class_results import ClassResults
from course_utils.widgets.detector_bench.detector_bench import DetectorBench
from course_utils.widgets.lecture.demos import RECORDINGS, demos
from course_utils.widgets.lecture.recording import (
    BUSY,
    FASTEST,
    LARGEST_BYTES,
    Playback,
    Recording,
    TooLong,
    lean,
    play,
    record,
    recorded_traits,
    show_end,
)
from course_utils.widgets.playground.playground import Playground
from course_utils.widgets.side_by_side.side_by_side import SideBySide
from course_utils.widgets.timeline.timeline import ReleaseTimeline
from course_utils.widgets.token_map.token_map import TokenMap

SOON = 120
ALL_BYTES = 1_500_000
RECORDED = sorted(RECORDINGS.glob("*.json"))
# Each demo's panel, as a machine without any model makes it.
PANELS = {
    "playground": Playground,
    "sizes": lambda: SideBySide(blind=True),
    "token_map": TokenMap,
    "human_or_machine": lambda: BlindTest(ready_items.items()),
    "detector": DetectorBench,
    "timeline": lambda: ReleaseTimeline(free=True),
    "access": AccessRegimes,
    "class_results": ClassResults,
}


@pytest.fixture(autouse=True)
def _all_open():
    yield
    release_stage.open_all()


@pytest.fixture
def bare_shelf(monkeypatch, no_family):
    """A machine without any model."""
    monkeypatch.setenv("COURSE_MODELS", "")


def write(panel) -> None:
    panel.generate()
    assert panel.wait(SOON)


def rank(panel) -> None:
    write(panel)
    panel.rank("BA")


def read(panel) -> None:
    panel.texts = ["The letter said that it rained."]
    panel.read()
    assert panel.wait(SOON)


def judge(panel) -> None:
    while panel.item:
        panel.answer("human", 2)


def travel(panel) -> None:
    for name in release_stage.NAMES:
        panel.choose(name)


def knock(panel) -> None:
    for door in ("open", "api"):
        panel.ask(door, "The letter")
        assert panel.wait(SOON)


def two_models(tiny) -> SideBySide:
    models = [tiny, load("pocket-small", precision="fp32")]
    return SideBySide(models, "A", Settings(max_new_tokens=8), blind=True)


PLAYS = {
    "playground": (lambda tiny: Playground(tiny, "The letter", Settings(max_new_tokens=8), n_samples=2), write),
    "sizes": (
        lambda tiny: SideBySide(
            [tiny, load("pocket-small", precision="fp32")], "A", Settings(max_new_tokens=8), blind=True
        ),
        rank,
    ),
    "token_map": (lambda tiny: TokenMap("", tiny), read),
    "human_or_machine": (lambda tiny: BlindTest(ready_items.items()), judge),
    "timeline": (lambda tiny: ReleaseTimeline(free=True), travel),
    "access": (lambda tiny: AccessRegimes(tiny), knock),
}


def recorded(panel, do) -> Recording:
    with record(panel, "the tiny model") as recorder:
        do(panel)
    return recorder.recording()


def without_run(told: dict) -> dict:
    return {name: value for name, value in told.items() if name != "run"}


@pytest.fixture
def written(tiny) -> Recording:
    """A recording of the playground."""
    make, do = PLAYS["playground"]
    panel = make(tiny)
    yield recorded(panel, do)
    panel.close()


@pytest.mark.parametrize("key", PLAYS)
def test_a_recording_ends_where_the_run_ended(key, tiny, tmp_path):
    make, do = PLAYS[key]
    first, second = make(tiny), make(tiny)
    recorded(first, do).save(tmp_path / "r.json")
    before = recorded_traits(first)
    release_stage.open_all()
    recording = Recording.read(tmp_path / "r.json")
    assert recording.end, key
    assert play(second, recording, FASTEST).wait(SOON)
    assert second.recorded == {"by": "the tiny model", "day": recording.day, "is_playing": False}
    after = recorded_traits(second)
    expected = {name: value for name, value in before.items() if name in recording.end}
    assert without_run(expected) == without_run({name: after[name] for name in expected})
    for panel in (first, second):
        panel.close()


def test_a_page_gets_the_same_messages_in_the_same_order(tiny):
    make, do = PLAYS["playground"]
    panel, sent, again = make(tiny), [], []
    panel.listeners.append(lambda content: sent.append(lean(content)))
    recording = recorded(panel, do)
    other = make(tiny)
    write(other)
    other.listeners.append(lambda content: again.append(lean(content)))
    assert play(other, recording, FASTEST).wait(SOON)
    shift = other.run - panel.run
    assert shift > 0
    assert [{**message, "run": message["run"] - shift} for message in again] == sent
    panel.close()
    other.close()


@pytest.mark.usefixtures("bare_shelf")
@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_the_demos_recordings_play_without_a_model(file):
    recording, panel = Recording.read(file), PANELS[file.stem]()
    assert play(panel, recording, FASTEST).wait(SOON)
    assert without_run(recording.end) == {name: recorded_traits(panel)[name] for name in without_run(recording.end)}
    panel.close()
    shown = PANELS[file.stem]()
    show_end(shown, recording)
    assert without_run(recording.end) == {name: recorded_traits(shown)[name] for name in without_run(recording.end)}
    shown.close()


def test_recordings_are_small_plain_and_of_known_demos():
    assert sum(file.stat().st_size for file in RECORDED) < ALL_BYTES
    known = {demo.key: type(PANELS[demo.key]()).__name__ for demo in demos()}
    for file in RECORDED:
        recording = Recording.read(file)
        assert recording.panel == known[file.stem]
        assert recording.text() == file.read_text("utf-8")
        assert all(lean(event) == event for _, event in recording.events)
        assert not {"/root/", "/home/", "/work/", "/tmp/"} & set(file.read_text("utf-8").split('"'))


class NotedPauses(threading.Event):
    """An event that notes how long somebody would wait for it, and returns at once."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        return self.is_set()


@pytest.mark.parametrize("speed", [0.5, 1, 2, 20, FASTEST])
def test_a_speed_divides_all_pauses_and_long_pauses_are_cut(tiny, speed):
    events = tuple((at, {"traits": {"prompt": str(at)}}) for at in (0.0, 0.3, 0.6, 100.0))
    recording = Recording("Playground", "", "2026-11-25", events)
    assert recording.seconds == pytest.approx(2.1)
    panel = Playground(tiny)
    playing = Playback(panel, recording, speed)
    playing._cancel = NotedPauses()
    playing.begin()
    assert playing.wait(SOON)
    assert panel.prompt == "100.0"
    assert playing._cancel.pauses == pytest.approx([0.3 / speed, 0.3 / speed, 1.5 / speed])
    panel.close()


def slow(written: Recording) -> Recording:
    """The same, with the longest pause before each event after the first three."""
    events = [(float(max(0, place - 3)) * 1000, event) for place, (_, event) in enumerate(written.events)]
    return Recording(written.panel, written.by, written.day, tuple(events))


def test_stop_keeps_what_was_shown_and_says_that_it_is_a_recording(tiny, written):
    panel, works = Playground(tiny), threading.Event()
    panel.observe(lambda change: change["new"] in BUSY and works.set(), "state")
    playing = play(panel, slow(written), speed=0.01)
    assert works.wait(SOON)
    assert panel.recorded["is_playing"]
    panel._on_message(panel, {"kind": "stop"}, [])
    assert not playing.is_playing
    assert panel.state == "stopped"
    assert panel.recorded["is_playing"] is False
    panel.close()


@pytest.mark.parametrize("wish", [{"kind": "clear"}, {"kind": "pick", "sample": 0}, {"kind": "resume"}])
def test_any_wish_gives_the_panel_back_as_it_was(tiny, written, wish):
    panels = [Playground(tiny, "Mine"), Playground(tiny, "Mine")]
    play(panels[0], written, FASTEST).wait(SOON)
    assert panels[0].samples
    for panel in panels:
        panel._on_message(panel, wish, [])
    assert without_run(recorded_traits(panels[0])) == without_run(recorded_traits(panels[1]))
    assert panels[0].recorded == {}
    for panel in panels:
        panel.close()


def test_a_page_that_says_hello_ends_no_recording(tiny, written):
    panel = Playground(tiny)
    play(panel, written, FASTEST).wait(SOON)
    panel._on_message(panel, {"kind": "ready"}, [])
    panel._on_message(panel, {"kind": "ping"}, [])
    assert panel.samples and panel.recorded
    panel.close()


def test_after_a_recording_the_model_writes_as_ever(tiny, written):
    fresh, used = (Playground(tiny, "The letter", Settings(max_new_tokens=6)) for _ in range(2))
    play(used, written, FASTEST).wait(SOON)
    for panel in (fresh, used):
        panel._on_message(panel, {"kind": "generate", "prompt": "Again", "values": fresh.values}, [])
        assert panel.wait(SOON)
    assert used.samples == fresh.samples
    assert used.recorded == {}
    fresh.close()
    used.close()


def test_the_base_rate_of_a_recorded_trial_can_be_changed():
    recording, bench = Recording.read(RECORDINGS / "detector.json"), DetectorBench("pocket-small")
    show_end(bench, recording)
    before = [row["worth"] for row in bench.judgement["rows"]]
    bench._on_message(bench, {"kind": "base", "one_in": 10}, [])
    after = [row["worth"] for row in bench.judgement["rows"]]
    assert all("1 in 10 texts" in words for words in after)
    assert before != after and bench.recorded
    bench.close()


def test_what_is_no_recording_of_this_panel_is_refused(tiny, written, tmp_path):
    panel = ReleaseTimeline(free=True)
    with pytest.raises(SettingsError, match="of Playground"):
        play(panel, written)
    with pytest.raises(SettingsError, match="speed"):
        play(panel, written, 0)
    for text in ("", "{}", '{"format": 9, "panel": "", "by": "", "day": "", "events": []}', '{"events": 3}'):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(DamagedFile, match="Record it again"):
            Recording.read(tmp_path / "r.json")
    panel.close()


def test_a_recording_that_no_page_should_wait_for_is_not_kept():
    events = ((0.0, {"traits": {"prompt": "x" * LARGEST_BYTES}}),)
    with pytest.raises(TooLong, match="shorter"):
        Recording("Playground", "", "2026-11-25", events).text()


def test_a_recording_is_json_with_one_event_a_line(written):
    lines = written.text().splitlines()
    assert json.loads(written.text())["format"] == 1
    assert len(lines) == len(written.events) + 2
