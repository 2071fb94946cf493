"""Properties of training in turns: equal tokens for all, stops and pauses change no number, copies can be continued."""

import dataclasses
import importlib.util
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from repository import ROOT
from transformers import PreTrainedTokenizerFast

from course_utils.models.training import checkpoint
from course_utils.models.training.data import pack, train_tokenizer
from course_utils.models.training.recipe import Recipe

pytestmark = pytest.mark.slow

SHARED = Recipe(
    context=16, vocabulary=270, batch=2, epochs=0.5, optimizer="muon", learning_rate=1e-2, schedule="wsd",
    warm_up_steps=3, average_steps=4,
)  # fmt: skip
FAMILY = {
    "small": dataclasses.replace(SHARED, n_layers=1, width=16, n_heads=1),
    "large": dataclasses.replace(SHARED, n_layers=2, width=32, n_heads=2),
}
OFTEN = {"slice_steps": 4, "held_out_every": 5, "checkpoint_s": 0.0}
DOCUMENTS = ["A small house by a small river. The river was wide, the house was not. " * 12] * 3


def load_script(name: str):
    """Import a script of the folder models/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "models" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


in_turns = load_script("in_turns")


@pytest.fixture(scope="module")
def laid_out() -> tuple[PreTrainedTokenizerFast, np.ndarray, dict[str, np.ndarray]]:
    tokenizer = train_tokenizer(DOCUMENTS, SHARED.vocabulary)
    return tokenizer, pack(DOCUMENTS, tokenizer), {"same": pack(DOCUMENTS[:1], tokenizer)}


@pytest.fixture(scope="module")
def whole(laid_out, tmp_path_factory):
    """A finished training that nobody stopped, with copies of its checkpoints."""
    work = tmp_path_factory.mktemp("whole")
    turns = in_turns.Turns(FAMILY, *laid_out, work, work / "copies", **OFTEN)
    turns.run()
    return turns


@pytest.fixture
def make(laid_out, tmp_path):
    def make_turns(folder: str, family=FAMILY):
        (tmp_path / folder).mkdir(exist_ok=True)
        return in_turns.Turns(family, *laid_out, tmp_path / folder, **OFTEN)

    return make_turns


def outcome(turns) -> dict:
    """All that must be the same: losses, readings of the held-out text, weights."""
    return {
        name: (
            [(line["step"], line["loss_nats"], line["held_out_bits"]) for line in checkpoint.read(turns.work / name)],
            (turns.work / name / "model.safetensors").read_bytes(),
        )
        for name in turns.family
    }


def test_all_models_finish_and_none_runs_far_ahead(whole):
    slices = [json.loads(line) for line in (whole.work / in_turns.SLICES).read_text().splitlines()]
    done = dict.fromkeys(FAMILY, 0)
    for line in slices:
        done[line["model"]] = line["step"]
        assert max(done.values()) - min(done.values()) <= whole.slice_steps
    (last,) = {checkpoint.read(whole.work / name)[-1]["step"] for name in FAMILY}
    assert done == dict.fromkeys(FAMILY, last)
    assert all((whole.work / name / "model.safetensors").exists() for name in FAMILY)


@pytest.mark.parametrize("stops", [{1}, {3, 9, 10, 25}])
def test_a_stop_changes_no_number(whole, make, stops):
    stopped = make("stopped")
    calls = itertools.count()
    for _ in range(len(stops) + 1):
        stopped.run(lambda: next(calls) in stops)
    stopped.run()
    assert outcome(stopped) == outcome(whole)


def test_while_the_pause_file_lies_there_no_step_is_taken(whole, make):
    paused = make("paused")
    pause = paused.work / in_turns.PAUSE
    calls, steps_while_paused = itertools.count(), []

    def stop() -> bool:  # is asked between the steps, and while it waits
        number = next(calls)
        if number == 3:
            pause.touch()
        if pause.exists():
            steps_while_paused.append(tuple(paused.steps_done().values()))
        if number == 12:
            pause.unlink()
        return False

    paused.run(stop, wait_s=0.0)
    assert len(steps_while_paused) > 5
    assert len(set(steps_while_paused[2:])) == 1
    assert outcome(paused) == outcome(whole)


def test_copies_hold_the_last_checkpoints_and_the_one_before_the_decay(whole):
    n_steps = checkpoint.read(whole.work / "large")[-1]["n_steps"]
    kept = sorted(folder.name for folder in (whole.copies / "large").iterdir())
    assert kept[0] == "before-decay"
    assert len(kept) == 1 + in_turns.N_COPIES
    assert kept[-1] == f"step-{n_steps:07}"
    before = checkpoint.read(whole.copies / "large/before-decay")[-1]
    assert before["step"] == n_steps - round(SHARED.decay * n_steps)
    assert before["learning_rate"] == SHARED.learning_rate


def test_from_the_copy_before_the_decay_a_longer_training_goes_on(whole, make):
    longer = {"small": dataclasses.replace(FAMILY["small"], epochs=0.8)}
    long, extended = make("long", longer), make("extended", longer)
    long.run()
    shutil.copytree(whole.copies / "small/before-decay", extended.work / "small")
    extended.run()
    assert outcome(extended) == outcome(long)


@pytest.fixture
def command(laid_out, tmp_path) -> list[str]:
    """The command `models/family.py turns` on the tiny family, with a long training."""
    tokenizer, row, held_out = laid_out
    tokenizer.save_pretrained(tmp_path / "vocabulary")
    np.save(tmp_path / "train.npy", row)
    for kind in ("stories", "news"):
        np.save(tmp_path / f"{kind}.npy", held_out["same"])
    code = (
        "import sys; sys.path[:0] = ['models', 'tests', 'tests/models/training']; import family, test_in_turns as t\n"
        "family.NEXT_FAMILY = {n: t.dataclasses.replace(r, epochs=50) for n, r in t.FAMILY.items()}\n"
        "family.main()"
    )
    return [sys.executable, "-c", code, "turns", str(tmp_path)]


def test_a_process_that_is_told_to_stop_stops_and_two_others_finish_the_work(command, tmp_path):
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not any((tmp_path / name / checkpoint.STATE).exists() for name in FAMILY):
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=120) == 0
    assert any(checkpoint.read(tmp_path / name) for name in FAMILY)
    both = [subprocess.Popen([*command, "--passes", "4"], cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [worker.wait(timeout=300) for worker in both] == [0, 0]
    for name in FAMILY:
        steps = [line["step"] for line in checkpoint.read(tmp_path / name)]
        assert steps == list(range(1, steps[-1] + 1))
        assert (tmp_path / name / "model.safetensors").exists()
