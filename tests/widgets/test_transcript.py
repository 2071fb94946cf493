"""The transcript: everything needed to write the text again, and text that can only be text."""

import dataclasses

import mistune
import pytest

from course_utils.models.settings import Settings
from course_utils.models.steps import Generation, Step
from course_utils.widgets.transcript import Run, transcript, visible

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


def run(text: str = " went on.", prompt: str = "It", n_samples: int = 2, **settings: float) -> Run:
    chosen = Settings(**settings)
    steps = (Step(0, text, 1, 0.5, 0.5, 1, 1.0),)
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
