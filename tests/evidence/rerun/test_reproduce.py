"""A record is done again from what it says, and nothing that a file says is run, opened or believed beyond that."""

import dataclasses
import json
import threading

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from course_utils.evidence.ledger.ledger import keep, read
from course_utils.evidence.ledger.record import FIRST, Record, seal
from course_utils.evidence.rerun import can_rerun, rerun
from course_utils.experiments.core.result import MAX_KEPT_CHARACTERS
from course_utils.experiments.sizes.compare import compare_sizes
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.training.data import train_tokenizer

pytestmark = pytest.mark.slow

DOCUMENTS = [f"The {word} met again, and it could not agree on the {word}. " * n for n, word in enumerate(
    ["committee", "council", "senate", "board", "crowd"], start=1)]  # fmt: skip
BITS = "bits_per_character"


def save_model(folder, width: int, seed: int = 0):
    torch.manual_seed(seed)
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(n_layer=1, n_embd=width, n_head=2, n_positions=64, vocab_size=280, **ids)
    GPT2LMHeadModel(config).save_pretrained(folder)
    train_tokenizer(DOCUMENTS, 280).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def class_models(tmp_path_factory):
    place = tmp_path_factory.mktemp("family")
    for width in (32, 64):
        save_model(place / f"size-{width}", width)
    return place


@pytest.fixture(autouse=True)
def _shelf(class_models, monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", str(class_models))


@pytest.fixture(scope="module")
def result(class_models, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COURSE_MODELS", str(class_models))
        return compare_sizes(["size-32", "size-64"], DOCUMENTS)


@pytest.fixture
def record(result, tmp_path) -> Record:
    """The headline, read back from a ledger."""
    path = tmp_path / "evidence.jsonl"
    kept = keep(result, ledger=path)
    return read(path).check().find(kept.id)


def forged(record: Record, **changes) -> Record:
    """The record with other content, sealed as if it had been measured so."""
    measured = json.loads(json.dumps(record.measured())) | changes
    return seal(measured, record.time, FIRST, ())


# -- what is true comes out again --------------------------------------------------------------------------------------


def test_what_was_measured_here_is_reproduced(record):
    told = []
    again = rerun(record, progress=lambda share, what: told.append(share))
    assert again.status == "reproduced" and again.why
    assert again.again == pytest.approx(again.recorded, rel=1e-6) == record.value
    assert told[-1] == 1 and can_rerun(record)
    assert str(again).startswith("reproduced: bits_saved of size-64 against size-32 was")


@pytest.mark.parametrize(("metric", "row"), [(BITS, "size-32"), (BITS, 1), ("perplexity", "size-64"), ("file_mb", 0)])
def test_a_number_of_one_row_is_reproduced(result, tmp_path, metric, row):
    record = keep(result, metric=metric, row=row, ledger=tmp_path / "evidence.jsonl")
    assert rerun(record).status == "reproduced"


def test_a_speed_is_never_twice_the_same_and_still_within_tolerance(result, tmp_path):
    record = keep(result, metric="tokens_per_s", row=0, ledger=tmp_path / "evidence.jsonl")
    assert rerun(forged(record, value=record.value * 1.3)).status != "reproduced"


def test_nothing_remembered_serves_as_a_second_measurement(record, class_models, monkeypatch, tmp_path):
    """Whoever plants a measurement in the cache folder plants it in vain."""
    compare_sizes(["size-32", "size-64"], DOCUMENTS)
    (results,) = [folder for folder in _cache().iterdir() if folder.name == "results"]
    times = {file: file.stat().st_mtime_ns for file in results.iterdir()}
    assert times and rerun(record).status == "reproduced"
    assert all(file.stat().st_mtime_ns > before for file, before in times.items())


def _cache():
    from course_utils.core.paths import cache_folder

    return cache_folder()


# -- what is not true does not -----------------------------------------------------------------------------------------


def elsewhere(record: Record, **changes) -> Record:
    """The record as if it had been made with another version of PyTorch."""
    return forged(record, versions=record.versions | {"torch": "2.0.0"}, **changes)


def older(record: Record, **changes) -> Record:
    """The record as the course wrote it before it named its procedure, processor and device."""
    names = ("procedure", "engine", "processor", "device")
    versions = {name: told for name, told in record.versions.items() if name not in names}
    return forged(record, versions=versions, **changes)


@pytest.mark.parametrize("by", [1e-6, 1e-3, 0.01, 0.1, -0.001, -0.5])
def test_where_all_is_the_same_only_the_same_number_is_reproduced(record, by):
    moved = {name: getattr(record, name) + by for name in ("value", "low", "high")}
    again = rerun(forged(record, **moved))
    assert again.status == "not reproduced" and again.tolerance == 0 and "must be equal" in again.why, again
    assert "same versions, processor and device" in again.why
    again = rerun(forged(record, low=record.low + by))
    assert again.status == "not reproduced" and "its interval was" in again.why


def test_elsewhere_there_is_a_narrow_tolerance_and_its_reason_is_told(record):
    again = rerun(elsewhere(record, value=record.value * 1.0005))
    assert again.status == "within tolerance" and "torch 2.0.0, here" in again.why
    assert 0 < again.tolerance < (record.high - record.low) / 2
    far = {name: getattr(record, name) + 2 * again.tolerance for name in ("value", "low", "high")}
    assert rerun(elsewhere(record, **far)).status == "not reproduced"
    # A wide interval of its own does not make a record true.
    wide = elsewhere(record, value=record.value + 3 * again.tolerance, low=-9.0, high=9.0)
    assert rerun(wide).status == "not reproduced"
    assert rerun(elsewhere(record, value=record.value * 1.0005, low=-9.0)).status == "not reproduced"


def test_the_interval_of_an_older_procedure_is_told_and_its_number_must_agree(record):
    again = rerun(older(record, low=record.low - 0.01))
    assert again.status == "within tolerance" and "older procedure" in again.why and "interval was" in again.why
    assert rerun(older(record)).status == "reproduced"
    assert rerun(older(record, value=record.value + 0.1)).status == "not reproduced"
    assert rerun(older(record, seed=3)).status == "not reproduced"


@pytest.mark.parametrize("name", ["processor", "device", "python", "torch", "transformers", "model-release-course"])
def test_a_tolerance_needs_another_machine_or_version(record, name):
    changed = forged(record, versions=record.versions | {name: "another"}, value=record.value * 1.0002)
    again = rerun(changed)
    assert again.status == "within tolerance" and f"{name} another, here" in again.why


def test_a_speed_is_compared_only_where_it_is_cited(record, result, tmp_path):
    rows = json.loads(json.dumps(record.rows))
    rows[0]["tokens_per_s"] *= 3
    assert rerun(forged(record, rows=rows)).status == "reproduced"
    speed = keep(result, metric="tokens_per_s", row=0, ledger=tmp_path / "speeds.jsonl")
    assert rerun(forged(speed, value=speed.value * 10)).status == "not reproduced"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"n": 400}, "counted n = 400"),
        ({"low": None, "high": None}, "interval was None"),
        ({"low": -5.0}, "interval was -5"),
        ({"seed": 1}, "seed"),
        ({"settings": {"n_documents": 400}}, "settings"),
        ({"finding": "Larger is always better."}, "finding was told as"),
        ({"rows": []}, "0 rows"),
        ({"rows": [{}, {}]}, "bits_per_character"),
    ],
)
def test_a_record_that_tells_more_than_was_measured_is_not_reproduced(record, changes, what):
    again = rerun(forged(record, **changes))
    assert again.status == "not reproduced" and what in again.why, again


def test_numbers_forged_beside_the_headline_are_found(record):
    for place, column in ((0, "n_parameters"), (1, BITS), (1, "bits_low"), (0, "n_documents")):
        rows = json.loads(json.dumps(record.rows))
        rows[place][column] *= 3
        again = rerun(forged(record, rows=rows))
        assert again.status == "not reproduced" and "of its table" in again.why, (column, again)


def test_a_finding_with_another_number_is_found(record):
    told = record.finding.replace("5 documents", "50 documents")
    assert told != record.finding
    assert rerun(forged(record, finding=told)).status == "not reproduced"


# -- what cannot be tried is told why, and nothing else is run ---------------------------------------------------------


@pytest.mark.parametrize(
    "experiment",
    ["", "os.system", "sizes.held_out_news", "sizes.compare_sizes ", "sizes", "..", "a.b.c", "SIZES.COMPARE_SIZES",
     "course_utils.experiments.sizes.compare.compare_sizes", "sizes.compare_sizes.__call__", "remember.anew",
     "x" * 10_000],
)  # fmt: skip
def test_only_listed_experiments_are_run(record, experiment):
    changed = forged(record, experiment=experiment)
    again = rerun(changed)
    assert again.status == "cannot be tried" and "no experiment" in again.why and len(again.why) < 300
    assert again.again is None and not can_rerun(changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"models": ["../size-32"]}, {"models": ["/etc"]}, {"models": "size-32"}, {"models": []}, {"models": [["s"]]},
        {"models": ["size-32"] * 99}, {"models": None}, {"models": ["gpt2"]}, {"documents": "one"}, {"documents": [1]},
        {"documents": []}, {"n_documents": 10**12}, {"n_documents": True}, {"n_documents": 2.0}, {"seed": -1},
        {"seed": None}, {"stride": 0}, {"stride": "1"}, {"cancel": None}, {"progress": "print"}, {"more": 1},
    ],
)  # fmt: skip
def test_inputs_of_another_kind_are_refused(record, changes):
    again = rerun(forged(record, inputs=record.inputs | changes))
    assert again.status == "cannot be tried" and len(again.why) < 500, again


def test_missing_inputs_are_refused(record):
    for name in record.inputs:
        fewer = {other: value for other, value in record.inputs.items() if other != name}
        assert name in rerun(forged(record, inputs=fewer)).why
    assert rerun(forged(record, inputs=None)).status == "cannot be tried"


def test_a_folder_that_only_the_record_names_is_not_opened(record, tmp_path):
    folder = save_model(tmp_path / "planted", 32)
    inputs = record.inputs | {"models": [str(folder)]}
    again = rerun(forged(record, inputs=inputs, models={str(folder): "0" * 64}))
    assert again.status == "cannot be tried" and "shelf" in again.why


def test_other_weights_of_the_same_name_are_not_taken_for_them(record, tmp_path, monkeypatch):
    for width in (32, 64):
        save_model(tmp_path / f"size-{width}", width, seed=5)
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    again = rerun(record)
    assert again.status == "cannot be tried" and "other weights" in again.why
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "nothing"))
    assert "not on this machine" in rerun(record).why


def test_texts_too_long_to_be_kept_are_told(result, record):
    long = compare_sizes(["size-32"], ["many words " * (MAX_KEPT_CHARACTERS // 10)])
    assert "sha256" in long.inputs["documents"]
    again = rerun(forged(record, inputs=long.inputs, models=dict(long.models)))
    assert again.status == "cannot be tried" and "too long to be kept" in again.why


def test_a_stop_passes_through(record):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        rerun(record, cancel=cancel)


def test_a_reproduction_cannot_be_changed(record):
    again = rerun(forged(record, experiment=""))
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.status = "reproduced"
