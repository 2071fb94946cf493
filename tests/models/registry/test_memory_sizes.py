"""Memory of models: the numbers for the precision that the machine will use, without importing torch."""

import json
import os
import subprocess
import sys

import pytest
import torch

from course_utils.core import limits
from course_utils.core.paths import REPOSITORY, cache_folder, python_path
from course_utils.errors import NotEnoughMemory
from course_utils.models import loading
from course_utils.models.quantization import precision
from course_utils.models.registry import registry, stored_answer
from course_utils.models.registry.catalogue import CATALOGUE

SIZES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")


@pytest.fixture
def stored(monkeypatch):
    """Return a function that stores times as the self-test would, under its own name of this machine."""
    monkeypatch.setattr(stored_answer, "has_graphics_card", lambda: False)

    def store(fp32_ms: object, int8_ms: object, is_right: object = True, name: str = "") -> None:
        found = {"fp32_ms": fp32_ms, "int8_ms": int8_ms, "is_right": is_right, "threads": 1}
        cache_folder().mkdir(parents=True, exist_ok=True)
        (cache_folder() / precision.FILE).write_text(json.dumps({name or precision.machine(): found}))

    return store


@pytest.mark.parametrize(("free_gb", "largest"), [(6.5, "gpt2-xl"), (2.4, "gpt2-xl"), (2.0, "gpt2-large")])
def test_an_8_gb_machine_is_offered_xl_and_a_4_gb_machine_large(stored, monkeypatch, free_gb, largest):
    stored(10, 3)
    monkeypatch.setattr(registry, "memory_available_mb", lambda: free_gb * 1000)
    assert [name for name in SIZES if registry.fits(CATALOGUE[name])][-1] == largest


def test_the_stored_answer_is_that_of_the_self_test(stored, monkeypatch):
    for times, expected in (((10, 3), "int8"), ((10, 8.4), "fp32"), ((12, 10), "int8"), ((10, 3, False), "fp32")):
        stored(*times)
        monkeypatch.setattr(precision, "_found", {})
        assert stored_answer.expected() == precision.fastest() == expected


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 3}', "3", "null", '{"a": {}}'])
def test_a_file_that_tells_nothing_leaves_the_usual_answer(stored, content):
    stored(10, 10)
    (cache_folder() / precision.FILE).write_text(content)
    assert stored_answer.expected() == "int8"


@pytest.mark.parametrize("times", [("nan", 1), (10, 0), (None, 3), (10, -1), (10, "inf")])
def test_times_that_are_none_leave_the_usual_answer(stored, times):
    stored(*times)
    assert stored_answer.expected() == "int8"


def test_another_machines_answer_is_not_taken(stored):
    stored(10, 10, name=f"another processor, 1 threads, torch {torch.__version__}")
    assert stored_answer.expected() == "int8"
    stored(10, 10, name=f"{limits.processor()}, 1 threads, torch 1.0")
    assert stored_answer.expected() == "int8"


def test_fp32_needs_four_bytes_and_int8_one_and_the_embedding():
    xl = CATALOGUE["gpt2-xl"]
    assert registry.memory_needed_mb(xl, "fp32") - registry.OVERHEAD_MB == pytest.approx(6230.4, abs=0.1)
    assert registry.memory_needed_mb(xl, "int8") - registry.OVERHEAD_MB == pytest.approx(1718.4, abs=0.1)


def test_a_message_names_the_precision_and_a_model_that_fits_in_it(stored, monkeypatch):
    stored(10, 3)
    monkeypatch.setattr(registry, "memory_available_mb", lambda: 2000.0)
    with pytest.raises(NotEnoughMemory, match=r"(?s)2,318 MB of memory in int8.*largest is gpt2-large"):
        registry.require_memory(CATALOGUE["gpt2-xl"])
    with pytest.raises(NotEnoughMemory, match="in fp32"):
        registry.require_memory(CATALOGUE["gpt2-large"], "fp32")


def test_the_classs_own_model_has_sizes_of_int8_where_it_is_read_by_tensor(stored, tiny_folder):
    stored(10, 3)
    own = next(each for each in registry.entries() if each.origin == "own")
    config = json.loads((tiny_folder / "config.json").read_text("utf-8"))
    assert own.n_embedding == config["vocab_size"] * config["n_embd"]
    assert registry.memory_needed_mb(own) == pytest.approx(
        registry.OVERHEAD_MB + (own.n_parameters + 2 * own.n_embedding) / 1e6
    )


def test_the_documentation_has_the_computed_numbers():
    text = (REPOSITORY / "docs" / "models.md").read_text("utf-8")
    for known in registry.entries():
        if known.origin != "own":
            (row,) = (line for line in text.splitlines() if line.startswith(f"| `{known.name}` |"))
            sizes = [f"{registry.memory_needed_mb(known, each) / 1000:.1f} GB" for each in ("int8", "fp32")]
            assert row.split(" | ")[3:5] == sizes and f"| {known.n_parameters:,} |" in row


def test_the_list_of_models_needs_no_torch():
    code = (
        "import sys; from course_utils.__main__ import main; from course_utils.models import loading;"
        "assert main(['models']) == 0 and main(['cache']) == 0; loading.family(2); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": python_path()},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False" and "gpt2-xl" in done.stdout
    assert loading.family(1)
