"""The lectern: reset is the page as it opened; prompts fill and start; its words are there, and short."""

import inspect
import json

import pytest
from repository import ROOT

from course_utils.errors import SettingsError
from course_utils.experiments.readers import ready_items
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import release_stage
from course_utils.widgets.access_regimes.access_regimes import AccessRegimes
from course_utils.widgets.blind_test.blind_test import BlindTest
from course_utils.widgets.classroom.class_results import ClassResults
from course_utils.widgets.detector_bench.detector_bench import DetectorBench
from course_utils.widgets.lecture.demos import Prompt, demo, demos
from course_utils.widgets.lecture.presenter import AWAY, fill, lectern
from course_utils.widgets.lecture.recording import recorded_traits
from course_utils.widgets.playground.playground import Playground
from course_utils.widgets.side_by_side.side_by_side import SideBySide
from course_utils.widgets.timeline.timeline import ReleaseTimeline
from course_utils.widgets.token_map.token_map import TokenMap

pytestmark = pytest.mark.slow

SOON = 120
ONE_LINE = 90  # characters that a projector shows in one line
PANELS = {
    "playground": lambda tiny: Playground(tiny, "Mine", Settings(max_new_tokens=4)),
    "sizes": lambda tiny: SideBySide(["pocket-small", "pocket-medium"], "Mine", blind=True),
    "token_map": lambda tiny: TokenMap("Mine", "pocket-small"),
    "human_or_machine": lambda tiny: BlindTest(ready_items.items()),
    "detector": lambda tiny: DetectorBench("pocket-small"),
    "timeline": lambda tiny: ReleaseTimeline(free=True),
    "access": lambda tiny: AccessRegimes(tiny),
    "class_results": lambda tiny: ClassResults(),
}


@pytest.fixture(autouse=True)
def _all_open():
    yield
    release_stage.open_all()


@pytest.fixture(params=PANELS)
def stand(request, tiny):
    stand = lectern(PANELS[request.param](tiny), request.param)
    yield stand
    stand.panel.close()
    if hasattr(stand.panel, "wait"):
        assert stand.panel.wait(SOON)


def hear(stand, **content) -> None:
    stand.frame._on_message(stand.frame, content, [])


def state(stand) -> dict:
    return recorded_traits(stand.panel) | {
        "stage": release_stage.now(),
        "recorded": stand.panel.recorded,
        "note": stand.frame.note,
    }


def test_reset_after_anything_is_the_page_as_it_opened(stand):
    fresh = state(stand)
    for place in range(len(stand.demo.prompts)):
        hear(stand, kind="prompt", place=place)
    if stand.demo.key == "playground":
        stand.panel.wait(SOON)
    hear(stand, kind="reset")
    assert state(stand) == fresh
    hear(stand, kind="play")
    hear(stand, kind="reset")
    assert state(stand) == fresh
    assert stand.children == (stand.frame, stand.panel)


def test_play_plays_and_pressing_again_stops(tiny):
    stand = lectern(PANELS["human_or_machine"](tiny), "human_or_machine")
    hear(stand, kind="play")
    assert stand.frame.is_playing and stand.panel.recorded["is_playing"]
    hear(stand, kind="play")
    assert not stand.frame.is_playing
    assert stand.panel.recorded["is_playing"] is False
    stand.panel.close()


def test_a_prompt_fills_the_panel_and_starts_it(tiny):
    stand = lectern(PANELS["playground"](tiny), "playground")
    hear(stand, kind="prompt", place=1)
    assert stand.panel.wait(SOON)
    prompt = demo("playground").prompts[1]
    assert stand.panel.prompt == prompt.set["prompt"]
    assert len(stand.panel.samples) == prompt.set["values"]["n_samples"]
    assert stand.panel.values["top_p"] == 1.0, "what a prompt does not name stays"
    stand.panel.close()


def test_a_prompt_ends_a_recording_unless_a_recording_can_answer(tiny):
    stand = lectern(PANELS["detector"](tiny), "detector")
    assert stand.panel.recorded, "this demo opens with its recording"
    hear(stand, kind="prompt", place=2)
    assert stand.panel.one_in == 10_000 and stand.panel.recorded
    stand.panel.close()
    stand = lectern(PANELS["timeline"](tiny), "timeline")
    stand.play(speed=1000)
    assert stand.panel.playback.wait(SOON)
    hear(stand, kind="prompt", place=0)
    assert stand.panel.recorded == {} and stand.panel.stage == "Feb 2019"
    stand.panel.close()


def test_a_prompt_that_cannot_be_says_why_in_the_panel(tiny):
    panel = ReleaseTimeline(free=False)
    stand = lectern(panel, "timeline")
    hear(stand, kind="prompt", place=3)
    assert "not open to you" in panel.message
    for place in (-1, 99):
        hear(stand, kind="prompt", place=place)
    panel.close()


def test_without_a_model_the_lectern_offers_the_recording(monkeypatch, no_family):
    monkeypatch.setenv("COURSE_MODELS", "")
    stand = lectern(Playground(), "playground")
    assert stand.frame.note == AWAY
    stand.play(speed=1000)
    assert stand.panel.playback.wait(SOON)
    assert stand.panel.samples and stand.frame.note == ""
    stand.panel.close()


@pytest.mark.parametrize("make, key", [(Playground, "playground"), (SideBySide, "sizes"), (TokenMap, "token_map")])
def test_a_hall_without_a_model_reads_no_weights_and_offers_the_recording(make, key, monkeypatch):
    monkeypatch.setenv("COURSE_HALL", "1")
    monkeypatch.delenv("COURSE_MODEL_SERVER", raising=False)
    stand = lectern(make(), key)
    assert stand.panel.models == [] and stand.frame.note == AWAY
    hear(stand, kind="prompt", place=0)
    assert stand.panel.wait(SOON) and "No model is at work in this hall" in stand.panel.message
    stand.panel.close()


def test_a_refusal_and_a_slip_are_no_failures_of_the_machine(tiny):
    stand = lectern(PANELS["access"](tiny), "access")
    stand.panel.ask("demo", "The letter said that", "inside")
    assert stand.panel.wait(SOON)
    assert stand.panel.state == "failed" and stand.frame.note == ""
    stand.panel.close()
    stand = lectern(PANELS["playground"](tiny), "playground")
    stand.panel._on_message(None, {"kind": "generate", "prompt": "A", "values": {**stand.panel.values, "seed": -1}}, [])
    assert stand.panel.state == "failed" and "Seed" in stand.panel.message and stand.frame.note == ""
    stand.panel.show_error(RuntimeError("the disk has gone"))
    assert stand.frame.note == AWAY
    stand.panel.close()


def test_a_text_of_one_s_own_is_not_placed_by_a_recording_and_takes_nothing_away(tiny):
    stand = lectern(PANELS["detector"](tiny), "detector")
    shown = recorded_traits(stand.panel)
    stand.panel._on_message(None, {"kind": "judge", "text": "A text of my own."}, [])
    assert stand.panel.recorded and "Press Run first" in stand.panel.problem
    assert recorded_traits(stand.panel) == shown | {"problem": stand.panel.problem}
    stand.panel.close()


@pytest.mark.parametrize("make, key", [(Playground, "playground"), (TokenMap, "token_map"), (AccessRegimes, "access")])
def test_while_the_models_process_is_away_the_recording_plays(make, key, monkeypatch):
    monkeypatch.setenv("COURSE_MODEL_SERVER", "http://127.0.0.1:9")  # the discard port: nobody answers
    stand = lectern(make(), key)
    assert stand.frame.note == AWAY
    stand.play(speed=1000)
    assert stand.panel.playback.wait(SOON)
    assert stand.frame.note == "" and stand.panel.recorded["by"]
    stand.reset()
    assert stand.frame.note == AWAY
    stand.panel.close()


def test_dark_is_dark_for_both(tiny):
    stand = lectern(PANELS["timeline"](tiny), "timeline")
    stand.frame.theme = "dark"
    assert stand.panel.theme == "dark"
    stand.reset()
    assert stand.panel.theme == "dark", "looks are the lecturer's, not the page's"
    stand.panel.close()


# -- what is told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", demos(), ids=lambda told: told.key)
def test_a_demo_says_what_it_shows_in_few_words(told):
    assert told.title.endswith("?")
    assert 0 < len(told.takeaway) <= ONE_LINE and told.takeaway.endswith(".")
    assert 1 <= told.minutes <= 15
    assert told.shows.endswith(".")
    assert len({prompt.title for prompt in told.prompts}) == len(told.prompts) <= 9
    assert told.recording() is not None or not told.opens_with_recording


@pytest.mark.parametrize("told", demos(), ids=lambda told: told.key)
def test_every_prompt_names_what_its_panel_has(told, tiny):
    panel = PANELS[told.key](tiny)
    for prompt in told.prompts:
        assert all(panel.has_trait(name) for name in prompt.set), prompt
        if prompt.do:
            named = prompt.with_ if isinstance(prompt.with_, dict) else {}
            given = () if named else prompt.with_
            inspect.signature(getattr(panel, prompt.do)).bind(*given, **named)
        assert not prompt.then or callable(getattr(panel, prompt.then))
    panel.close()


@pytest.mark.parametrize("told", demos(), ids=lambda told: told.key)
def test_a_demo_s_notebook_is_a_title_and_its_panel_on_the_lectern(told):
    cells = json.loads((ROOT / "notebooks/demos" / told.notebook).read_text("utf-8"))["cells"]
    title, code = ("".join(cell["source"]) for cell in cells)
    assert title == f"# {told.title}"
    assert code.splitlines()[-1].startswith("lectern(") and code.endswith(f', "{told.key}")')


def test_an_unknown_demo_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match="playground"):
        demo("nothing")


def test_a_dictionary_is_filled_key_by_key(tiny):
    panel = PANELS["playground"](tiny)
    before = dict(panel.values)
    fill(panel, Prompt("Hot", {"values": {"temperature": 1.5}}))
    assert panel.values == before | {"temperature": 1.5}
    panel.close()


def test_the_texts_of_the_blind_test_are_half_human_and_of_one_length_after_their_first_sentence():
    items = ready_items.items()
    assert [item.source for item in items].count("human") == len(items) / 2
    assert len({item.id for item in items}) == len({item.text for item in items}) == len(items)
    assert all((item.weights_sha256 == "") == (item.source == "human") for item in items)
