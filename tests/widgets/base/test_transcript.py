"""The transcript: everything needed to write the text again, and text that can only be text."""

import dataclasses
import re

import mistune
import pytest

from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Generation, TokenStep
from course_utils.widgets.base.transcript import Run, transcript, visible
from course_utils.widgets.playground.playground import Playground

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


def run(text: str = " went on.", prompt: str = "It", n_samples: int = 2, **settings: float) -> Run:
    chosen = Settings(**settings)
    steps = (TokenStep(0, text, 1, 0.5, 0.5, 1, 1.0),)
    samples = [Generation(prompt, steps, chosen, chosen.seed_of(i), "tiny", "fp32") for i in range(n_samples)]
    return Run("tiny · 3.3 M parameters · fp32", tuple(samples), {"n_tokens": 2, "first_s": 0.08, "per_s": 41.23})


def test_nothing_written_gives_nothing():
    assert transcript([]) == ""


def test_it_says_that_a_machine_wrote_it():
    assert "machine-generated" in transcript([run()]).splitlines()[0]


UNUSUAL = {
    "temperature": 0.7,
    "top_k": 17,
    "top_p": 0.93,
    "repetition_penalty": 1.25,
    "max_new_tokens": 99,
    "seed": 4242,
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_every_setting_stands_in_it(name):
    assert f"{UNUSUAL[name]:g}" in transcript([run(**{name: UNUSUAL[name]})])


def test_every_sample_has_its_own_seed():
    text = transcript([run(seed=7, n_samples=3)])
    assert all(f"seed {seed}," in text for seed in (7, 8, 9))


def test_the_pick_is_recorded_with_its_seed():
    picked = dataclasses.replace(run(seed=7), best=1)
    assert "Picked as the best of 2: sample 2 (seed 8)" in transcript([picked])
    assert "Picked" not in transcript([run()])


MARKUP = [HOSTILE, "```\n# not a heading", "````` <b>", "~~~\n<script>", "    <i>", "[a](javascript:x)", "`", "\n```"]


@pytest.mark.parametrize("text", MARKUP)
def test_text_is_never_markup(text):
    """A Markdown reader finds all text of person and model in code blocks, and no HTML anywhere."""
    blocks = mistune.create_markdown(renderer=None)(transcript([run(text=text, prompt=text)]))
    assert {block["type"] for block in blocks} <= {"heading", "paragraph", "list", "block_code", "blank_line"}
    assert [block["raw"] for block in blocks if block["type"] == "block_code"] == [text + "\n"] * 3


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\u202e", "\x00", "\x9b", "\u2066", "\r"])
def test_nothing_hides_in_it(hidden):
    assert hidden not in transcript([run(text=f"a{hidden}b")])


@pytest.mark.parametrize("plain", ["line\nline", "tab\tstop", "日本語", "👩‍👩‍👧‍👦", "e\u0301", "\u0928\u093f"])
def test_what_people_write_stays_as_it_is(plain):
    assert visible(plain) == plain


# -- is every sentence true? -------------------------------------------------------------------------------------------

SOON = 60


def written(tiny, prompt="The night", n_samples=1, **settings):
    panel = Playground(tiny, prompt, Settings(**{"max_new_tokens": 6, **settings}), n_samples=n_samples)
    panel.generate()
    assert panel.wait(SOON) and panel.state == "done", panel.message
    return panel


def resumed(panel, times: int = 1):
    for _ in range(times):
        panel.resume()
        assert panel.wait(SOON) and panel.state == "done", panel.message
    return panel


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("n_samples", [1, 3])
def test_a_text_that_was_continued_can_be_had_again_as_the_transcript_says(tiny, times, n_samples):
    panel = resumed(written(tiny, n_samples=n_samples), times)
    told = panel.transcript
    assert f"Continued {'once' if times == 1 else '2 times'}, after 6{'; 12' if times == 2 else ''} tokens" in told
    found = re.search(r"One request for up to (\d+) tokens, all else as above, gives the same\.", told)
    again = tiny.generate("The night", Settings(max_new_tokens=int(found[1])), n_samples)
    assert [each.text for each in again] == [sample["text"] for sample in panel.samples]
    assert f"sha256 {tiny.weights_sha256[:16]}" in told
    panel.close()


def test_a_text_that_was_never_stopped_says_nothing_of_it(tiny):
    told = written(tiny).transcript
    assert "Continued" not in told and "Stopped" not in told and "One request" not in told


def test_a_prompt_that_was_edited_or_cut_claims_nothing_false(tiny):
    panel = written(tiny)
    panel.prompt = "Another prompt"
    resumed(panel)
    assert "The night" in panel.transcript and "Another prompt" not in panel.transcript
    long = resumed(written(tiny, "word " * 150))
    assert "did not see all of it at once" in long.transcript and "gives the same" not in long.transcript
    nearly = resumed(written(tiny, "word " * 120))  # the beginning fits, all that was asked for does not
    if found := re.search(r"One request for up to (\d+) tokens, all else as above, gives the same", nearly.transcript):
        again = tiny.generate("word " * 120, Settings(max_new_tokens=int(found[1])))
        assert again[0].text == nearly.samples[0]["text"]
    for each in (panel, long, nearly):
        each.close()


def test_what_a_server_does_not_take_is_said_and_nothing_is_promised():
    remote = dataclasses.replace(run(), continued=((1, 1),), lacks="This server takes no seed.", is_remote=True)
    told = transcript([remote])
    assert "takes no seed" in told and "may give another text" in told and "gives the same" not in told


def test_a_stopped_text_says_how_long_it_is_and_how_to_have_it_again():
    stopped = run(n_samples=1)
    generation = dataclasses.replace(stopped.generations[0], ended="stopped")
    told = transcript([dataclasses.replace(stopped, generations=(generation,), room=100)])
    assert "Stopped before its end. One request for up to 1 tokens, all else as above, gives the same." in told


def test_seeds_beyond_the_largest_are_told_one_by_one():
    assert "seeds 2147483646, 2147483647, 0" in transcript([run(seed=2**31 - 2, n_samples=3)])


def test_more_tokens_than_a_request_may_have_are_not_promised():
    long = run(n_samples=1)
    generation = dataclasses.replace(long.generations[0], steps=long.generations[0].steps * 600)
    told = transcript([dataclasses.replace(long, generations=(generation,), continued=((300,),), room=1000)])
    assert "No single request gives 600 tokens." in told
