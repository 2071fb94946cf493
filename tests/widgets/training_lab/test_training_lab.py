"""The training lab without a browser: what is typed in, what is shown, and that nothing learnt is ever lost."""

import time
from pathlib import Path

import pytest
from sentences import sentences

from course_utils.errors import TextError
from course_utils.experiments.replication.train_small import Plan
from course_utils.models.inference.language_model import load
from course_utils.widgets.base.worker import the_worker
from course_utils.widgets.playground.playground import Playground
from course_utils.widgets.training_lab.training_lab import N_POINTS, OVERTAKEN, TrainingLab, thinned

pytestmark = pytest.mark.slow

SOON = 120
PLAN = Plan(size="smallest", n_tokens=6_000, prompt="The old bridge", n_said=8)
LONG = Plan(size="smallest", n_tokens=1_000_000, prompt="The old bridge", n_said=8)
TEXTS = [sentences(20_000)]


@pytest.fixture
def make(tmp_path):
    """Make labs over one folder; every one is closed at the end."""
    labs = []

    def lab(plan: Plan = PLAN, text=TEXTS) -> TrainingLab:
        labs.append(TrainingLab(text, plan, tmp_path / "apprentices"))
        return labs[-1]

    yield lab
    for each in labs:
        each.close()
        assert each.wait(SOON)


def finish(lab: TrainingLab) -> TrainingLab:
    lab.start()
    assert lab.wait(SOON)
    return lab


def wait_for_steps(lab: TrainingLab, n_steps: int = 2) -> None:
    end = time.monotonic() + SOON
    while lab.state != "training" or len(lab.apprentice.log) < n_steps:
        assert time.monotonic() < end, lab.message
        time.sleep(0.01)


def hear(lab: TrainingLab, content: dict, *buffers: bytes) -> None:
    lab._on_message(lab, content, [memoryview(buffer) for buffer in buffers])


def test_what_is_shown_is_what_was_learnt(make):
    lab = finish(make())
    assert lab.state == "done"
    assert lab.progress["step"] == lab.progress["n_steps"] == len(lab.apprentice.log)
    assert lab.curve[-1][0] == lab.progress["tokens"]
    assert [each["text"] for each in lab.said] == [each.text for each in lab.apprentice.said]
    assert lab.said[-1]["share"] == 1.0


def test_the_trained_model_speaks_in_any_panel(make):
    lab = make()
    with pytest.raises(TextError, match="Nothing has been trained yet"):
        lab.trained  # noqa: B018
    finish(lab)
    assert load(lab.trained, precision="fp32").name == "apprentice-1"
    panel = Playground(lab.trained, prompt="The")
    panel.generate()
    assert panel.wait(SOON)
    assert panel.state == "done", panel.message
    panel.close()


def test_stop_and_go_on_also_after_the_kernel_has_gone(make):
    lab = make(LONG)
    lab.start()
    wait_for_steps(lab)
    lab.stop()
    assert lab.wait(SOON)
    assert (lab.state, lab.message) == ("stopped", "")
    again = make()
    assert again.state == "stopped"
    assert (again.curve, again.said, again.progress) == (lab.curve, lab.said, lab.progress)
    again.go_on()
    wait_for_steps(again, len(lab.apprentice.log) + 1)
    steps = [line["step"] for line in again.apprentice.log]
    assert steps == list(range(1, len(steps) + 1))
    again.stop()
    assert again.wait(SOON)


def test_a_new_start_loses_no_old_training(make):
    first = finish(make()).trained
    lab = make(LONG)
    lab.start()
    wait_for_steps(lab)
    lab.plan = {**lab.plan, "n_tokens": PLAN.n_tokens, "seed": 1}
    finish(lab)
    assert lab.state == "done"
    assert lab.trained.name == "apprentice-3"
    assert first.name == "apprentice-1"
    assert load(first, precision="fp32")


def test_a_start_shows_nothing_of_the_training_before_unless_it_fails(make):
    lab = finish(make())
    before = lab.curve, lab.said, lab.label
    lab.plan = {**lab.plan, "source": "own"}
    assert finish(lab).state == "failed"
    assert (lab.curve, lab.said, lab.label) == before
    lab.plan = {**lab.plan, "source": "given", "n_tokens": LONG.n_tokens}
    seen = []
    lab.observe(lambda change: seen.append(change["new"]), "curve")
    lab.start()
    wait_for_steps(lab)
    lab.stop()
    assert lab.wait(SOON)
    assert seen[0] == []


def test_another_panel_takes_the_turn_and_the_lab_says_so(make, tiny):
    lab = make(LONG)
    lab.start()
    wait_for_steps(lab)
    panel = Playground(tiny, prompt="The")
    panel.generate()
    assert panel.wait(SOON)
    assert lab.wait(SOON)
    assert (lab.state, lab.message) == ("stopped", OVERTAKEN)
    panel.close()


def test_what_is_wrong_is_told_and_nothing_begins(make):
    lab = make()
    for wrong, told in (
        ({"seed": None}, "Seed"),
        ({"n_tokens": 5}, "n_tokens is 5"),
        ({"size": "giant"}, "giant"),
        ({"source": "own"}, "No text is chosen"),
        ({"source": "somewhere"}, "No text is chosen"),
        ({"source": "news"}, "not on this machine"),
    ):
        hear(lab, {"kind": "start", "plan": {**lab.plan, **wrong}})
        assert lab.wait(SOON)
        assert lab.state == "failed"
        assert told in lab.message
        lab.plan = {**lab.plan, "seed": 0, "n_tokens": PLAN.n_tokens, "size": PLAN.size, "source": "given"}
    assert not list(lab.folder.glob("apprentice-*/plan.json"))
    assert finish(lab).state == "done"
    lab.go_on()
    assert "finished" in lab.message


def test_a_file_from_the_browser_is_learnt_from(make):
    lab = make()
    hear(lab, {"kind": "file", "name": "../mine.txt"}, sentences(20_000, seed=5).encode())
    assert lab.plan["source"] == "own"
    assert finish(lab).state == "done"
    assert "mine.txt" in lab.label


@pytest.mark.parametrize(("content", "told"), [(b"\xff\xfe" * 9000, "not UTF-8"), (b"", "no .txt file with words")])
def test_a_file_that_is_no_text_is_told_and_never_learnt_from(make, content, told):
    lab = make()
    hear(lab, {"kind": "file", "name": "mine.txt"}, sentences(20_000).encode())
    hear(lab, {"kind": "file", "name": "bad.txt"}, content)
    assert told in lab.message
    lab.plan = {**lab.plan, "source": "own"}
    assert finish(lab).state == "failed"


def test_a_folder_of_texts_can_be_given(make, tmp_path):
    (tmp_path / "texts").mkdir()
    for i in range(3):
        (tmp_path / "texts" / f"{i}.txt").write_text(sentences(8000, seed=i), "utf-8")
    assert finish(make(text=tmp_path / "texts")).state == "done"
    missing = finish(make(text=Path("nowhere")))
    assert "nowhere does not exist" in missing.message


def test_minutes_are_a_guess_until_they_were_measured(make):
    lab = make()
    assert not any(size["is_measured"] for size in lab.sizes)
    finish(lab)
    assert [size["is_measured"] for size in lab.sizes] == [size["name"] == PLAN.size for size in lab.sizes]


def test_a_long_curve_is_sent_in_few_points_and_no_reading_is_lost():
    for n_steps in (1, 2, 50, 3000):
        curve = [
            {"tokens": 1024 * step, "bits": 8 / step, "held_out": 7 / step if step % 250 == 0 else None}
            for step in range(1, n_steps + 1)
        ]
        points = thinned(curve)
        held = [point["tokens"] for point in curve if point["held_out"] is not None]
        assert {tokens for tokens, _, kept in points if kept is not None} == set(held)
        assert (points[0][0], points[-1][0]) == (curve[0]["tokens"], curve[-1]["tokens"])
        assert len(points) <= N_POINTS + len(held) + 2
        assert points == sorted(points)


def test_the_worker_is_free_afterwards(make):
    finish(make())
    done = []
    assert the_worker().submit(lambda cancel: done.append(1), print).wait(SOON)
    assert done == [1]
