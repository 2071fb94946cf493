"""Records that an older version of the course wrote are still read, sound, and done again."""

import json
import shutil

import pytest
from repository import TESTS

from course_utils.core.paths import cache_folder
from course_utils.evidence.ledger.ledger import keep, read
from course_utils.evidence.ledger.record import looks_like_ledger, read_ledger_bytes
from course_utils.evidence.rerun import rerun
from course_utils.experiments.detection.base_rates import base_rates
from course_utils.models.registry import registry

pytestmark = pytest.mark.slow

# Written by the course before its records named a procedure, with the pocket models in fp32.
LEDGERS = sorted((TESTS / "evidence" / "ledgers").glob("*.jsonl"))
IDS = [(ledger, record.id) for ledger in LEDGERS for record in read(ledger).records]


@pytest.fixture(autouse=True)
def news(real_cache):
    if not (real_cache / "texts" / "NewsArticles.zip").exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    (cache_folder() / "texts").symlink_to(real_cache / "texts")


def test_there_are_three_ledgers_with_records_of_many_kinds():
    kinds = {record.experiment for ledger in LEDGERS for record in read(ledger).records}
    assert len(LEDGERS) == 3 and len(IDS) == 17 and len(kinds) >= 11


@pytest.mark.parametrize("ledger", LEDGERS, ids=lambda path: path.stem)
def test_an_older_ledger_is_sound_and_goes_on(ledger, tmp_path):
    path = shutil.copy(ledger, tmp_path / "evidence.jsonl")
    before = read(path).check()
    assert before.notes == () and all("procedure" not in record.versions for record in before.records)
    assert looks_like_ledger(ledger.read_bytes())
    keep(base_rates([0.7], [0.2]), ledger=path)
    assert len(read(path).check().records) == len(before.records) + 1
    assert path.read_bytes().startswith(ledger.read_bytes())


@pytest.mark.parametrize(
    "change", [lambda b: b.replace(b"\n", b"\r\n"), lambda b: b"\xef\xbb\xbf" + b, lambda b: b + b"\n"]
)
@pytest.mark.parametrize("ledger", LEDGERS, ids=lambda path: path.stem)
def test_an_older_ledger_that_another_program_saved_is_sound(ledger, tmp_path, change):
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(change(ledger.read_bytes()))
    assert len(read(path).check().records) == len(read(ledger).records)


def test_sorted_keys_of_an_older_record_are_told_as_that():
    """Their seal depends on the order of the keys, which is lost; newer ones have a seal that does not."""
    lines = [json.loads(line) for line in LEDGERS[0].read_bytes().splitlines()]
    content = b"".join(json.dumps(each, sort_keys=True).encode() + b"\n" for each in lines)
    assert all("keys sorted by another program" in what for _, what in read_ledger_bytes(content).faults)
    assert looks_like_ledger(content)


@pytest.mark.parametrize(("ledger", "id"), IDS, ids=lambda value: value if isinstance(value, str) else value.stem)
def test_an_older_record_is_done_again(ledger, id):
    record = read(ledger).find(id)
    again = rerun(record)
    here = {name: registry.weights_sha256(name) for name in record.models}
    if here != record.models:  # the pocket models were trained anew since
        assert again.status == "cannot be tried" and "other weights" in again.why, again
        return
    assert again.status in ("reproduced", "within tolerance") and "older procedure" in again.why, again
    assert again.again == pytest.approx(record.value, rel=1e-3, abs=1e-9)
