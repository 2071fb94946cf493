"""Properties of training: the text is read whole, numbers are repeatable, a kill loses nothing, bad input is told."""

import dataclasses
import itertools
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import plain_network
from repository import ROOT

from course_utils.errors import DamagedFile, NoSpace, SettingsError, TextError
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.training import block_attention, checkpoint
from course_utils.models.training.data import END, Batches, pack, read_documents, train_tokenizer
from course_utils.models.training.determinism import repeatable
from course_utils.models.training.recipe import OPTIMIZERS, Recipe
from course_utils.models.training.trainer import Training

pytestmark = pytest.mark.slow

TINY = Recipe(n_layers=2, width=32, n_heads=2, context=32, vocabulary=300, batch=4, epochs=3)
AVERAGED = dataclasses.replace(TINY, epochs=1, schedule="wsd", warm_up_steps=5, average_steps=6, optimizer="muon")
WORDS = "the a cat dog king small old saw told found and of to in Anna Bern river stone bread was is slowly".split()  # noqa: SIM905


def story(seed: int, n_words: int = 120) -> str:
    """Text with something to learn: words of few letters, sentences of few words."""
    words = random.Random(seed).choices(WORDS, k=n_words)
    return ". ".join(" ".join(words[i : i + 6]).capitalize() for i in range(0, n_words, 6)) + "."


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return [story(seed) for seed in range(30)]


@pytest.fixture(scope="module")
def tokenizer(documents):
    return train_tokenizer(documents, TINY.vocabulary)


@pytest.fixture(scope="module")
def row(documents, tokenizer) -> np.ndarray:
    return pack(documents, tokenizer)


def train(recipe, tokenizer, row, folder, **options) -> list:
    return list(Training(recipe, tokenizer, row, folder, device=torch.device("cpu"), **options))


def losses(lines) -> list[float]:
    return [line["loss_nats"] for line in lines]


# -- text --------------------------------------------------------------------------------------------------------------


def test_every_document_comes_back_from_the_packed_row(documents, tokenizer, row):
    ends = np.flatnonzero(row == tokenizer.eos_token_id)
    assert row[0] == row[-1] == tokenizer.eos_token_id
    assert [tokenizer.decode(row[a + 1 : b]) for a, b in itertools.pairwise(ends)] == documents


def test_any_bytes_survive_the_vocabulary(tokenizer):
    odd = "naïve 😀 \t\n  <|endoftext|x 字 ﷺ"
    assert tokenizer.decode(tokenizer.encode(odd, add_special_tokens=False)) == odd


def test_a_folder_and_its_joined_file_hold_the_same_documents(tmp_path, documents):
    for number, document in enumerate(documents):
        (tmp_path / f"{number:03}.txt").write_text(document + "\n", "utf-8")
    one = tmp_path / "all.md"
    one.write_text(f"\n{END}\n".join(documents) + f"\n{END}\n", "utf-8")
    assert read_documents(tmp_path) == read_documents(one) == documents


def test_line_ends_and_marks_of_other_systems_make_no_difference(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\n<|endoftext|>\r\ntwo\r\n")
    assert read_documents(tmp_path) == ["one", "two"]


def test_every_pass_shows_every_window_once():
    row = np.random.default_rng(0).permutation(2000)  # no two windows alike
    batches = Batches(row, context=32, batch=1, seed=0)
    for epoch in range(3):
        first = epoch * batches.n_windows
        windows = np.concatenate([batches[step] for step in range(first, first + batches.n_windows)])
        text = row.astype(np.int64).tobytes()
        starts = sorted(text.index(window.tobytes()) // 8 for window in windows)
        assert np.all(np.diff(starts) == 32)


def test_batches_depend_on_seed_and_step_alone(row):
    one, other = Batches(row, 32, 4, seed=1), Batches(row, 32, 4, seed=1)
    later = one[7]
    assert np.array_equal([other[step] for step in range(9)][7], later)
    assert not np.array_equal(Batches(row, 32, 4, seed=2)[7], later)
    assert later.shape == (4, 33)


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_learns_and_its_model_loads(tmp_path, tokenizer, row, documents, name):
    recipe = dataclasses.replace(TINY, optimizer=name, learning_rate=1e-2)
    held_out = {"other stories": pack([story(seed) for seed in range(100, 130)], tokenizer)}
    run = train(recipe, tokenizer, row, tmp_path, held_out=held_out)
    assert run[-1].loss_nats < run[0].loss_nats / 2
    bits = [line.held_out_bits["other stories"] for line in run if line.held_out_bits]
    assert bits[-1] < bits[0] / 1.5
    model = LanguageModel(tmp_path)
    assert model.score(documents[0]).bits_per_character == pytest.approx(bits[-1], rel=0.3)


def test_held_out_bits_are_the_loaded_models_own(tmp_path, tokenizer, row):
    text = story(500, 60)
    recipe = dataclasses.replace(TINY, context=256, batch=2)
    held_out = pack([text] * 40, tokenizer)[: 256 + 2 * 256]
    last = train(recipe, tokenizer, row, tmp_path, held_out={"same": held_out})[-1]
    model = LanguageModel(tmp_path)
    ids = torch.from_numpy(held_out[:513].astype(np.int64))
    with torch.no_grad():
        logits = torch.cat([plain_network(model)(ids[None, a : a + 256]).logits[0] for a in (0, 256)])
    nats = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="sum").item()
    n_characters = len(tokenizer.decode(ids[1:], skip_special_tokens=True))
    assert last.held_out_bits["same"] == pytest.approx(nats / np.log(2) / n_characters, rel=0.01)  # weights in 16 bits


def test_same_recipe_same_numbers(tmp_path, tokenizer, row):
    one, other = (train(TINY, tokenizer, row, tmp_path / name) for name in "ab")
    assert [line.loss_nats for line in one] == [line.loss_nats for line in other]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_training_leaves_the_callers_chance_alone(tmp_path, tokenizer, row):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Training(TINY, tokenizer, row, tmp_path)
    assert torch.rand(1) == expected
    assert not torch.are_deterministic_algorithms_enabled()


def test_every_weight_is_changed_by_one_optimizer(tokenizer, row, tmp_path):
    for name in OPTIMIZERS:
        training = Training(dataclasses.replace(TINY, optimizer=name), tokenizer, row, tmp_path / name)
        held = [id(weight) for each in training.optimizers for group in each.param_groups for weight in group["params"]]
        assert sorted(held) == sorted(id(weight) for weight in training.network.parameters())


def test_the_learning_rate_rises_then_falls():
    rates = [TINY.learning_rate_at(step, 1000) for step in range(1000)]
    top = int(np.argmax(rates))
    assert rates[top] == TINY.learning_rate
    assert np.all(np.diff(rates[: top + 1]) > 0)
    assert np.all(np.diff(rates[top:]) <= 0)
    assert rates[-1] == pytest.approx(TINY.learning_rate / 10, rel=0.01)


@pytest.mark.parametrize("decay", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("warm_up_steps", [0, 1, 30])
def test_under_wsd_the_rate_rises_stays_and_falls_to_zero(decay, warm_up_steps):
    recipe = dataclasses.replace(TINY, schedule="wsd", decay=decay, warm_up_steps=warm_up_steps)
    rates = np.array([recipe.learning_rate_at(step, 500) for step in range(500)])
    n_decay = round(500 * decay)
    stable = rates[max(0, warm_up_steps - 1) : 500 - n_decay]
    assert np.all(stable == recipe.learning_rate)
    assert np.all(np.diff(rates[: min(warm_up_steps, 500 - n_decay)]) > 0)
    fallen = rates[500 - n_decay :]
    assert np.all(np.diff(fallen) <= 0) or decay == 1.0
    if decay:
        assert rates[-1] == pytest.approx(recipe.learning_rate / (n_decay + 1))  # the next one would be zero


def test_a_recipe_of_the_first_version_still_loads_and_means_the_same():
    old = {
        "n_layers": 5, "width": 192, "n_heads": 4, "context": 256, "vocabulary": 4096, "batch": 16, "epochs": 0.75,
        "learning_rate": 0.012, "optimizer": "muon", "warm_up": 0.02, "weight_decay": 0.1, "clip": 1.0, "seed": 0,
    }  # fmt: skip
    recipe = Recipe(**old)
    assert (recipe.schedule, recipe.average_steps) == ("cosine", 0)
    rates = [recipe.learning_rate_at(step, 3375) for step in (0, 11, 67, 68, 1721, 3374)]
    expected = [0.012 / 68, 0.012 * 12 / 68, 0.012, 0.012, 0.0066, 0.0012]  # the log of the published pocket-xl
    assert rates == pytest.approx(expected, rel=0.001)


def test_the_saved_model_is_the_average_of_the_last_weights(tmp_path, tokenizer, row):
    training = Training(AVERAGED, tokenizer, row, tmp_path, device=torch.device("cpu"))
    expected, share = None, AVERAGED.average_steps
    for progress in training:
        weights = {name: weight.detach().clone() for name, weight in training.network.named_parameters()}
        n = min(progress.step, share)
        expected = {
            name: weights[name] / n + (1 - 1 / n) * expected[name] if expected else weights[name] for name in weights
        }
    saved = dict(plain_network(LanguageModel(tmp_path)).named_parameters())
    for name, weight in expected.items():
        assert torch.allclose(saved[name], weight, rtol=2e-3, atol=2e-4), name  # saved in 16 bits
    last = training.network.state_dict()
    assert any(not torch.allclose(saved[name], last[name], rtol=2e-3, atol=2e-4) for name in expected)


def test_averaging_changes_what_is_judged_and_not_what_is_learnt(tmp_path, tokenizer, row):
    held_out = {"same": row[:2000]}
    plain = dataclasses.replace(AVERAGED, average_steps=0)
    one, other = (
        train(recipe, tokenizer, row, tmp_path / str(number), held_out=held_out)
        for number, recipe in enumerate((AVERAGED, plain))
    )
    assert [line.loss_nats for line in one] == [line.loss_nats for line in other]
    assert one[-2 * len(one) // 3].held_out_bits != one[-1].held_out_bits
    assert one[-1].held_out_bits["same"] != other[-1].held_out_bits["same"]
    assert one[-1].held_out_bits["same"] == pytest.approx(other[-1].held_out_bits["same"], rel=0.05)


@pytest.mark.parametrize("n_tokens", [1, 100, 128, 129, 300])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_attention_in_blocks_is_causal_attention(n_tokens, kind):
    torch.manual_seed(n_tokens)
    ours = [torch.randn(2, 3, n_tokens, 16).to(kind).requires_grad_() for _ in "qkv"]
    theirs = [part.detach().float().requires_grad_() for part in ours]
    found, _ = block_attention.attend(None, *ours, None)
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs, is_causal=True).transpose(1, 2)
    exact = {"rtol": 1e-4, "atol": 1e-5} if kind == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    assert torch.allclose(found.float(), expected, **exact)
    direction = torch.randn_like(expected)
    found.backward(direction.to(kind))
    expected.backward(direction)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad.float(), other.grad, **exact)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("warn_only", [True, False])
def test_repeatable_arithmetic_gives_back_what_it_found(enabled, warn_only):
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    try:
        before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        for device in ("cpu", "cuda"):
            with repeatable(torch.device(device)):
                assert torch.are_deterministic_algorithms_enabled()
            after = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
            assert after == before
    finally:
        torch.use_deterministic_algorithms(False)


# -- kill and resume ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [TINY, AVERAGED], ids=["cosine", "wsd, averaged"])
def test_a_stop_anywhere_changes_nothing(tmp_path, tokenizer, row, recipe):
    whole = train(recipe, tokenizer, row, tmp_path / "whole")
    stopped = Training(recipe, tokenizer, row, tmp_path / "stopped", checkpoint_s=0)
    for _ in itertools.islice(stopped, 11):
        pass
    rest = Training(recipe, tokenizer, row, tmp_path / "stopped", checkpoint_s=0)
    assert rest.step in (10, 11)
    list(rest)
    assert losses(checkpoint.read(tmp_path / "stopped")) == losses(checkpoint.read(tmp_path / "whole"))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("stopped", "whole")]
    assert weights[0] == weights[1]
    assert len(whole) == whole[-1].n_steps


def test_a_checkpoint_of_the_first_version_goes_on(tmp_path, tokenizer, row):
    whole = train(TINY, tokenizer, row, tmp_path / "whole")
    training = Training(TINY, tokenizer, row, tmp_path / "old")
    list(itertools.islice(training, 5))
    training.save_checkpoint()
    state = torch.load(tmp_path / "old" / checkpoint.STATE, weights_only=True)
    for name in ("schedule", "warm_up_steps", "decay", "average_steps"):
        del state["recipe"][name]
    torch.save(state, tmp_path / "old" / checkpoint.STATE)
    rest = train(TINY, tokenizer, row, tmp_path / "old")
    assert [line.loss_nats for line in rest] == [line.loss_nats for line in whole[-len(rest) :]]


def test_before_the_decay_the_number_of_passes_may_change_and_later_not(tmp_path, tokenizer, row):
    longer = dataclasses.replace(AVERAGED, epochs=1.7)
    whole = train(longer, tokenizer, row, tmp_path / "whole")
    training = Training(AVERAGED, tokenizer, row, tmp_path / "longer")
    n_stable = training.n_steps - round(AVERAGED.decay * training.n_steps)
    steps = iter(training)
    list(itertools.islice(steps, n_stable))
    training.save_checkpoint()
    train(longer, tokenizer, row, tmp_path / "longer")
    assert losses(checkpoint.read(tmp_path / "longer")) == losses(checkpoint.read(tmp_path / "whole"))
    next(steps)  # the first step of the decay
    training.save_checkpoint()
    with pytest.raises(SettingsError, match="another recipe"):
        Training(longer, tokenizer, row, tmp_path / "longer")
    assert len(whole) > training.n_steps


def test_under_a_cosine_the_number_of_passes_may_not_change(tmp_path, tokenizer, row):
    training = Training(TINY, tokenizer, row, tmp_path)
    list(itertools.islice(training, 2))
    training.save_checkpoint()
    with pytest.raises(SettingsError, match="another recipe"):
        Training(dataclasses.replace(TINY, epochs=4), tokenizer, row, tmp_path)


def test_killed_and_resumed_gives_the_same_curve(tmp_path, documents):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "all.txt").write_text(f"\n{END}\n".join(documents * 2), "utf-8")
    shape = "--layers 2 --width 32 --heads 2 --context 32 --vocabulary 300 --batch 4 --threads 1".split()  # noqa: SIM905
    command = [sys.executable, "-m", "course_utils", "train", str(texts), *shape, "--checkpoint-s", "0.3", "--out"]
    subprocess.run([*command, tmp_path / "whole"], check=True, cwd=ROOT, capture_output=True)
    victim = subprocess.Popen([*command, tmp_path / "killed"], cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / checkpoint.STATE).exists():
        assert victim.poll() is None
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    before = checkpoint.read(tmp_path / "killed")
    assert before[-1]["step"] < before[-1]["n_steps"]
    again = subprocess.run([*command, tmp_path / "killed"], check=True, cwd=ROOT, capture_output=True, text=True)
    assert "Going on from step" in again.stdout
    assert losses(checkpoint.read(tmp_path / "killed")) == losses(checkpoint.read(tmp_path / "whole"))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]


def test_a_line_cut_by_a_kill_is_left_out_of_the_log(tmp_path):
    (tmp_path / checkpoint.LOG).write_text('{"step": 1}\n{"step": 2}\n{"st', "utf-8")
    assert checkpoint.read(tmp_path) == [{"step": 1}, {"step": 2}]
    log = checkpoint.Log(tmp_path, step=1)
    log.write({"step": 2, "loss_nats": 1.23456789})
    log.flush()
    assert checkpoint.read(tmp_path) == [{"step": 1}, {"step": 2, "loss_nats": 1.23457}]


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_a_folder_without_text_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TextError, match=str(folder)):
            read_documents(folder)


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path):
    (tmp_path / "latin.txt").write_bytes("one\ntwo\ncafé".encode("latin-1"))
    with pytest.raises(TextError, match=r"latin\.txt, line 3: byte 0xe9"):
        read_documents(tmp_path)


def test_text_shorter_than_the_context_is_told(tmp_path, tokenizer, row):
    with pytest.raises(TextError, match="60 tokens long"):
        Training(TINY, tokenizer, row[:60], tmp_path)


def test_a_vocabulary_the_text_cannot_fill_is_told(documents):
    with pytest.raises(TextError, match="yields only"):
        train_tokenizer(documents[:1], 4096)
    with pytest.raises(TextError, match="257"):
        train_tokenizer(documents, 100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_layers": 0},
        {"width": 33},
        {"epochs": 0},
        {"learning_rate": -1},
        {"optimizer": "sgd"},
        {"schedule": "linear"},
        {"decay": 1.5},
        {"warm_up_steps": -1},
        {"average_steps": -2},
        {"warm_up": 1},
        {"seed": -1},
    ],
)
def test_an_impossible_recipe_is_refused_by_name(wrong):
    with pytest.raises(SettingsError, match=str(next(iter(wrong.values()))).replace("-", r"\-")):
        dataclasses.replace(TINY, **wrong)


def test_another_recipe_or_text_does_not_go_on_in_the_same_folder(tmp_path, tokenizer, row):
    training = Training(TINY, tokenizer, row, tmp_path)
    next(iter(training))
    training.save_checkpoint()
    kept = (tmp_path / checkpoint.STATE).read_bytes()
    with pytest.raises(SettingsError, match="another recipe"):
        Training(dataclasses.replace(TINY, seed=9), tokenizer, row, tmp_path)
    with pytest.raises(SettingsError, match="another text"):
        Training(TINY, tokenizer, row[:-1], tmp_path)
    assert (tmp_path / checkpoint.STATE).read_bytes() == kept


def test_a_damaged_checkpoint_is_told(tmp_path, tokenizer, row):
    (tmp_path / checkpoint.STATE).write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(DamagedFile, match=checkpoint.STATE):
        Training(TINY, tokenizer, row, tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file size are a thing of Unix")
def test_a_full_disk_is_told_and_the_checkpoint_before_stays(tmp_path, tokenizer, row):
    training = Training(TINY, tokenizer, row, tmp_path, checkpoint_s=0)
    steps = iter(training)
    next(steps)
    next(steps)
    kept = (tmp_path / checkpoint.STATE).read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as a disk without room: writes stop short
    try:
        with pytest.raises(NoSpace):
            next(steps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / checkpoint.STATE).read_bytes() == kept
    assert Training(TINY, tokenizer, row, tmp_path).step >= 1
