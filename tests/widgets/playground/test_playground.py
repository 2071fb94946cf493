"""The playground without a browser: model in, traits out."""

import re
import threading
import time

import pytest

from course_utils.core.paths import cache_folder
from course_utils.errors import SettingsError
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import RANGES, Settings
from course_utils.widgets.base.numbers import LABELS
from course_utils.widgets.base.panel import LOG
from course_utils.widgets.base.sampling_form import LIMITS
from course_utils.widgets.base.worker import the_worker
from course_utils.widgets.playground.playground import Playground

pytestmark = pytest.mark.slow

SOON = 120
PROMPT = "The letter said"


@pytest.fixture
def panel(tiny) -> Playground:
    panel = Playground(tiny, PROMPT, Settings(max_new_tokens=12, seed=3))
    yield panel
    panel.close()
    assert panel.wait(SOON)


@pytest.fixture
def sent(panel, monkeypatch) -> list[dict]:
    """What the browser would get."""
    messages = []
    monkeypatch.setattr(panel, "send", messages.append)
    return messages


def finish(panel: Playground) -> None:
    assert panel.wait(SOON)


def wait_for_text(panel: Playground, sent: list[dict]) -> None:
    end = time.monotonic() + SOON
    while not any(message["kind"] == "steps" for message in sent):
        assert time.monotonic() < end
        time.sleep(0.005)


def long(panel: Playground) -> Playground:
    panel.settings = Settings(max_new_tokens=100)
    return panel


def test_what_is_written_is_what_the_model_writes(panel, tiny):
    panel.generate()
    finish(panel)
    assert panel.state == "done"
    assert panel.samples[0]["text"] == tiny.generate(PROMPT, panel.settings)[0].text
    assert panel.generations[0].text == panel.samples[0]["text"]


def test_every_sample_has_its_text_and_seed(panel, tiny):
    panel.values = {**panel.values, "n_samples": 3}
    panel.generate()
    finish(panel)
    expected = tiny.generate(PROMPT, panel.settings, n_samples=3)
    assert [(s["text"], s["seed"]) for s in panel.samples] == [(g.text, g.seed) for g in expected]


def test_messages_join_to_the_finished_text(panel, sent):
    panel.values = {**panel.values, "n_samples": 2}
    panel.generate()
    finish(panel)
    steps = [step for message in sent if message["kind"] == "steps" for step in message["steps"]]
    for i, sample in enumerate(panel.samples):
        assert "".join(step[1] for step in steps if step[0] == i) == sample["text"]
        assert sample["steps"] == [step for step in steps if step[0] == i]
    assert {message["run"] for message in sent} == {panel.run}


def test_every_step_carries_ten_alternatives_and_the_place_of_the_chosen(panel):
    panel.generate()
    finish(panel)
    for _, _, probability, own, rank, _, alternatives, place in panel.samples[0]["steps"]:
        assert len(alternatives) == 10
        assert (place == rank - 1) if rank <= 10 else (place == -1)
        assert 0 < own <= probability <= 1 or rank > 40


def test_stop_keeps_what_came(panel, sent):
    long(panel).generate()
    wait_for_text(panel, sent)
    panel.stop()
    finish(panel)
    assert panel.state == "stopped"
    assert 0 < len(panel.generations[0].steps) < 100
    assert panel.samples[0]["ended"] == "stopped"


def test_stop_before_the_first_token_ends_at_once(panel):
    long(panel).generate()
    panel.stop()
    finish(panel)
    assert panel.state == "stopped"
    panel.generate()
    finish(panel)
    assert panel.state == "done"


def test_continue_goes_on_with_the_same_text(panel, tiny):
    panel.generate()
    finish(panel)
    before = panel.samples[0]["text"]
    panel.resume()
    finish(panel)
    assert panel.samples[0]["text"].startswith(before.rstrip("�"))
    assert panel.samples[0]["text"] == tiny.generate(PROMPT, Settings(max_new_tokens=24, seed=3))[0].text
    assert panel.transcript.count("## Request") == 1


def test_continue_without_a_text_is_explained(panel):
    panel.resume()
    assert panel.state == "failed"
    assert "no text to go on with" in panel.message


def test_a_new_request_replaces_the_old_one_unmixed(panel, sent, tiny):
    long(panel).generate()
    wait_for_text(panel, sent)
    panel.prompt, panel.settings = "Another", Settings(max_new_tokens=9, seed=5)
    panel.generate()
    finish(panel)
    assert panel.state == "done"
    assert panel.samples[0]["text"] == tiny.generate("Another", panel.settings)[0].text
    runs = [message["run"] for message in sent]
    assert runs == sorted(runs)


def test_a_second_panel_takes_the_turn_and_the_first_says_so(panel, sent, tiny):
    other = Playground(tiny, "Another", Settings(max_new_tokens=9))
    long(panel).generate()
    wait_for_text(panel, sent)
    other.generate()
    finish(panel)
    finish(other)
    assert (panel.state, other.state) == ("stopped", "done")
    assert "another panel" in panel.message
    assert other.samples[0]["text"] == tiny.generate("Another", other.settings)[0].text


def test_clear_forgets_everything(panel, sent):
    long(panel).generate()
    wait_for_text(panel, sent)
    panel.clear()
    finish(panel)
    assert (panel.state, panel.samples, panel.generations, panel.transcript) == ("idle", [], [], "")


def test_a_closed_panel_writes_no_more(tiny):
    panel = long(Playground(tiny, PROMPT))
    panel.generate()
    panel.close()
    finish(panel)
    assert the_worker().submit(lambda cancel: None, print).wait(SOON)


def test_the_pick_is_in_trait_and_transcript(panel):
    panel.values = {**panel.values, "n_samples": 3}
    panel.generate()
    finish(panel)
    panel.pick(2)
    assert panel.best == 2
    assert "Picked as the best of 3: sample 3 (seed 5)" in panel.transcript
    panel.pick(7)
    assert panel.best == 2


def test_a_new_request_keeps_the_pick_of_the_old_one(panel):
    for _ in range(2):
        panel.generate()
        finish(panel)
        panel.pick(0) if panel.run == 1 else None
    assert panel.best == -1
    assert panel.transcript.count("Picked as the best") == 1
    assert panel.transcript.count("## Request") == 2


def test_the_line_names_model_precision_settings_and_seed(panel, tiny):
    panel.generate()
    finish(panel)
    for part in (tiny.label, "fp32", "temperature 1", "top-k 40", "top-p 1", "repetition penalty 1", "seed 3"):
        assert part in panel.line
    assert panel.timing["n_tokens"] == 12
    assert panel.timing["first_s"] > 0
    assert panel.timing["per_s"] > 0


@pytest.mark.parametrize("name", LIMITS)
def test_a_number_out_of_range_is_explained_and_starts_nothing(panel, name):
    for wrong in (LIMITS[name][0] - 1, LIMITS[name][1] + 1, None, "many"):
        panel.values = {**panel.values, name: wrong}
        assert list(panel.problems) == [name]
        assert str(LIMITS[name][1]) in panel.problems[name]
        panel.generate()
        assert panel.state == "failed"
        assert LABELS[name] in panel.message and len(panel.message.splitlines()) <= 3
    assert panel.samples == []
    panel.values = {**panel.values, name: LIMITS[name][0]}
    assert (panel.problems, panel.message, panel.state) == ({}, "", "idle")


def test_settings_are_read_as_settings(panel):
    panel.settings = Settings(temperature=0, seed=9)
    assert panel.settings == Settings(temperature=0, seed=9)
    panel.values = {**panel.values, "seed": -1}
    with pytest.raises(SettingsError):
        _ = panel.settings


def test_limits_come_from_the_model_room(panel):
    assert {name: panel.ranges[name] for name in RANGES} == RANGES


def test_settings_that_the_model_cannot_serve_are_explained(panel):
    panel.settings = Settings(max_new_tokens=500)
    panel.generate()
    finish(panel)
    assert panel.state == "failed"
    assert "128 tokens" in panel.message


def test_the_best_model_of_the_shelf_is_chosen_and_loaded_by_the_worker(tiny_folder, no_family):
    panel = Playground(prompt=PROMPT, settings=Settings(max_new_tokens=3))
    assert panel.model == tiny_folder.name
    assert [choice["name"] for choice in panel.models] == [tiny_folder.name]
    panel.generate()
    assert panel.state == "loading"
    finish(panel)
    assert panel.state == "done"


def test_a_folder_will_do(tiny_folder):
    panel = Playground(tiny_folder, PROMPT, Settings(max_new_tokens=3))
    panel.generate()
    finish(panel)
    assert panel.state == "done"


def test_no_model_here_is_said_in_the_panel(monkeypatch, tmp_path, no_family):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    panel = Playground()
    assert (panel.state, panel.models) == ("failed", [])
    assert "No model lies on this machine" in panel.message
    panel.generate()
    finish(panel)
    assert panel.state == "failed"
    assert "python -m course_utils fetch" in panel.message


def test_an_unknown_model_is_said_in_the_panel():
    panel = Playground("gpt-too")
    assert panel.state == "failed"
    assert "gpt-too" in panel.message


def test_two_panels_share_one_loaded_model():
    panels = [Playground(prompt=PROMPT, settings=Settings(max_new_tokens=2)) for _ in range(2)]
    for panel in panels:
        panel.generate()
        finish(panel)
    assert panels[0]._model_picker.load(panels[0].model) is panels[1]._model_picker.load(panels[1].model)


# -- what the browser says ---------------------------------------------------------------------------------------------


def say(panel: Playground, **content) -> None:
    panel._handle_custom_msg(content, [])


def test_a_ping_is_answered(panel, sent):
    say(panel, kind="ping")
    assert sent == [{"kind": "pong"}]


def test_a_page_that_comes_later_gets_everything_written_so_far(panel, sent):
    long(panel).generate()
    wait_for_text(panel, sent)
    say(panel, kind="ready")
    finish(panel)
    at = max(i for i, message in enumerate(sent) if message["kind"] == "whole")
    later = [step for message in sent[at + 1 :] for step in message["steps"]]
    whole = sent[at]["samples"][0]["steps"]
    assert [*whole[: 100 - len(later)], *later] == panel.samples[0]["steps"]


def test_a_page_has_the_model_loaded_before_it_is_asked_for(tiny_folder):
    panel = Playground()
    say(panel, kind="ready")
    assert the_worker().submit(lambda cancel: None, print).wait(SOON)
    assert panel._model_picker.is_ready(tiny_folder.name)
    assert panel.state == "idle"


def test_the_form_travels_with_the_wish(panel):
    say(panel, kind="generate", prompt="Other", values={**panel.values, "max_new_tokens": 2})
    finish(panel)
    assert panel.generations[0].prompt == "Other"
    assert len(panel.generations[0].steps) == 2


NONSENSE = [{}, {"kind": "sing"}, {"kind": "generate"}, {"kind": "pick", "sample": "x"}, {"kind": "close"}]


@pytest.mark.parametrize("content", NONSENSE)
def test_a_wish_not_understood_changes_nothing(panel, content):
    panel._on_message(panel, content, [])
    assert (panel.state, panel.samples, panel.best) == ("idle", [], -1)


def test_wishes_from_many_threads_do_no_harm(panel, tiny):
    def play():
        for kind in ("generate", "stop", "ping", "ready", "resume"):
            say(panel, kind=kind, prompt=PROMPT, values=panel.values)

    threads = [threading.Thread(target=play) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    finish(panel)
    panel.generate()
    finish(panel)
    assert panel.state == "done"
    assert panel.samples[0]["text"] == tiny.generate(PROMPT, panel.settings)[0].text


def test_an_error_while_writing_is_shown_and_the_panel_works_again(panel, tiny_folder):
    broken = LanguageModel(tiny_folder)
    del broken.network.blocks
    ill = Playground(broken, PROMPT, Settings(max_new_tokens=3))
    ill.generate()
    finish(ill)
    assert ill.state == "failed"
    assert "blocks" not in ill.message and "did not foresee" in ill.message
    assert "no attribute 'blocks'" in (cache_folder() / LOG).read_text("utf-8"), "the traceback is in the log"
    panel.generate()
    finish(panel)
    assert panel.state == "done"


# -- the browser half --------------------------------------------------------------------------------------------------


def test_every_state_has_words_in_the_browser():
    bundle = Playground._esm
    assert '"Writing…"' in bundle
    words = " ".join(re.findall(r"(?:LABELS\s*=|stateLabels\()\s*\{(.+?)\}", bundle))
    assert {"idle", "loading", "generating", "done", "stopped", "failed"} <= set(re.findall(r"(\w+):", words))


def test_every_prompt_of_the_gallery_has_a_title_and_fits_a_small_context(panel, tiny):
    assert len(panel.gallery) >= 8
    for entry in panel.gallery:
        assert entry["title"]
        assert 0 < len(tiny.encode(entry["prompt"])) < 100
