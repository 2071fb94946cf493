"""Laws of the apprentice: the same plan ends in the same model, however often it was stopped, and nothing is lost."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sentences import sentences

from course_utils.errors import SettingsError, TextError
from course_utils.experiments.replication.corpus import (
    MIN_CHARACTERS,
    MIN_UNCUT_DOCUMENTS,
    VOCABULARIES,
    enough,
    fitting_tokenizer,
    split,
)
from course_utils.experiments.replication.train_small import (
    SAMPLE_AT,
    SIZES,
    Plan,
    TrainingRun,
    begin,
    next_folder,
    training_runs,
)
from course_utils.models.inference.language_model import load
from course_utils.models.training import checkpoint

pytestmark = pytest.mark.slow

PLAN = Plan(size="smallest", n_tokens=10_000, seed=3, prompt="The old bridge", n_said=8)
TEXTS = [sentences(30_000)]
WITHOUT_TIMES = ("step", "tokens", "loss_nats", "learning_rate", "held_out_bits")


def whole(folder: Path, plan: Plan = PLAN) -> TrainingRun:
    apprentice = begin(folder, TEXTS, plan)
    for _ in apprentice:
        pass
    return apprentice


def learnt(apprentice: TrainingRun) -> tuple:
    """All that must be the same: the curve, what was said, the weights."""
    log = [{name: line[name] for name in WITHOUT_TIMES} for line in checkpoint.read(apprentice.folder)]
    return log, apprentice.said, (apprentice.folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> TrainingRun:
    return whole(tmp_path_factory.mktemp("finished") / "apprentice-1")


def test_same_plan_and_text_same_apprentice(finished, tmp_path):
    assert learnt(whole(tmp_path / "again")) == learnt(finished)


@pytest.mark.parametrize("stops", [[1], [4], [2, 3, 9]])
def test_left_and_taken_up_it_ends_as_if_never_left(finished, tmp_path, stops):
    begin(tmp_path / "a", TEXTS, PLAN)
    for stop in stops:
        for progress in TrainingRun(tmp_path / "a"):
            if progress.step == stop:
                break
    apprentice = TrainingRun(tmp_path / "a")
    assert apprentice.log[-1]["step"] == stops[-1]
    for _ in apprentice:
        pass
    assert learnt(apprentice) == learnt(finished)


def test_killed_and_taken_up_it_ends_as_if_never_killed(finished, tmp_path):
    begin(tmp_path / "a", TEXTS, PLAN)
    code = (
        "import sys, time, pathlib; from course_utils.experiments.replication import train_small\n"
        "train_small.CHECKPOINT_S = 0.0\n"
        "for p in train_small.TrainingRun(pathlib.Path(sys.argv[1])):\n"
        "    time.sleep(p.step == 6 and 60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, tmp_path / "a"])
    end = time.monotonic() + 240
    while len(checkpoint.read(tmp_path / "a")) < 6:
        assert time.monotonic() < end
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    apprentice = TrainingRun(tmp_path / "a")
    assert not apprentice.is_finished
    for _ in apprentice:
        pass
    assert learnt(apprentice) == learnt(finished)


def test_it_learns_what_it_reads(tmp_path):
    held_out = [point["held_out"] for point in whole(tmp_path / "a", Plan("smallest", 20_000)).curve()]
    held_out = [bits for bits in held_out if bits is not None]
    assert held_out == sorted(held_out, reverse=True)
    assert held_out[-1] < 0.9 * held_out[0]


def test_it_speaks_at_the_set_moments_and_last_when_it_is_done(finished):
    shares = [said.share for said in finished.said]
    assert shares == sorted(set(shares))
    assert set(shares) <= set(SAMPLE_AT)
    assert shares[-1] == 1.0
    assert all(said.step / finished.log[-1]["n_steps"] >= said.share for said in finished.said)


def test_a_finished_one_is_a_model_like_any_other_and_reads_no_more(finished):
    assert finished.is_finished
    assert list(finished) == []
    model = load(finished.folder, precision="fp32")
    assert model.n_parameters == PLAN.architecture(finished._recipe.vocabulary).n_parameters
    assert model.generate(PLAN.prompt)[0].text


def test_a_folder_that_holds_something_is_refused(finished, tmp_path):
    with pytest.raises(SettingsError, match="not empty"):
        begin(finished.folder, TEXTS, PLAN)
    with pytest.raises(TextError, match="holds no training run"):
        TrainingRun(tmp_path)


def test_every_beginning_has_a_new_number(tmp_path):
    for number in range(1, 12):
        folder = next_folder(tmp_path)
        assert folder.name == f"apprentice-{number}"
        folder.mkdir()
        (folder / "half a beginning").touch()
        assert next_folder(tmp_path) == folder
        assert not folder.exists()
        folder.mkdir()
        (folder / "plan.json").touch()
    assert [path.name for path in training_runs(tmp_path)] == [f"apprentice-{number}" for number in range(1, 12)]


@pytest.mark.parametrize(
    "wrong", [{"size": "giant"}, {"n_tokens": 1}, {"n_tokens": 1e6}, {"seed": -1}, {"seed": None}, {"n_said": True}]
)
def test_a_plan_that_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Plan(**wrong)


def test_sizes_grow_as_they_are_listed():
    counts = [Plan(size=size).architecture().n_parameters for size in SIZES]
    assert counts == sorted(counts)


# -- the text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_documents", [1, 2, 4, MIN_UNCUT_DOCUMENTS - 1, MIN_UNCUT_DOCUMENTS, 101])
def test_a_fifth_is_kept_apart_and_nothing_is_in_both(n_documents):
    documents = [sentences(2 * MIN_CHARACTERS // n_documents, seed) for seed in range(n_documents)]
    learned, kept = split(documents)
    n_kept, n_all = sum(map(len, kept)), sum(map(len, documents))
    assert 0.18 <= n_kept / n_all <= 0.22
    assert sum(map(len, learned)) + n_kept <= n_all
    if n_documents < MIN_UNCUT_DOCUMENTS:
        assert all(one.startswith(part) for one, part in zip(documents, learned, strict=True))
    else:
        assert sorted(learned + kept) == sorted(documents)


@pytest.mark.parametrize("documents", [[], [""], ["word " * 100], ["a"] * 500])
def test_too_little_text_is_told(documents):
    with pytest.raises(TextError, match="At least"):
        split(documents)


def test_no_more_text_is_taken_than_will_be_read():
    documents = [sentences(1000, seed) for seed in range(100)]
    for n_tokens in (1000, 5000, 10_000_000):
        taken = enough(documents, n_tokens, seed=0)
        assert set(taken) <= set(documents)
        assert len(set(taken)) == len(taken)
        assert sum(map(len, taken)) >= min(n_tokens, sum(map(len, documents)))
        assert len(taken) <= max(10, n_tokens // 100)


def test_a_text_gets_the_largest_vocabulary_that_it_fills():
    rich = " ".join(f"{number:x}" for number in range(60_000, 120_000))
    for n_characters in (10_000, 60_000, 300_000):
        n_entries = len(fitting_tokenizer([rich[:n_characters]]))
        assert n_entries in VOCABULARIES
        assert n_entries * 100 <= n_characters or n_entries == VOCABULARIES[-1]
    assert len(fitting_tokenizer(["to be or not " * 20_000])) == VOCABULARIES[-1]


def test_what_is_no_text_is_told_and_not_brooded_over():
    with pytest.raises(TextError, match="a word of 300,000 characters"):
        fitting_tokenizer(["To be", "or not " + "a" * 300_000])
    assert fitting_tokenizer(["水が流れる、" * 2000])  # no spaces, and yet words
