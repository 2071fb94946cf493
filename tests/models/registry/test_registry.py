"""The shelf: what it lists, what it finds, and what it says when something is wrong."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils.core.paths import cache_folder
from course_utils.core.wheels import sha256_of
from course_utils.errors import DamagedFile, ModelNotHere, NotEnoughMemory, UnknownModel
from course_utils.models.registry import checksums, registry
from tests.conftest import SMOLLM2, save_random_gpt2

NAME = "random-gpt2"


@pytest.fixture
def own(tiny_folder, tmp_path, monkeypatch) -> Path:
    """A COURSE_MODELS folder of the test's own, holding a copy of the tiny model."""
    shutil.copytree(tiny_folder, tmp_path / "own" / NAME)
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "own"))
    return tmp_path / "own"


def put_in_cache(source: Path, name: str) -> Path:
    """Place a sealed copy where fetch would."""
    folder = shutil.copytree(source, cache_folder() / "models" / name)
    checksums.write(folder, name=name)
    return folder


def test_the_catalogue_holds_the_four_releases_and_a_stand_in():
    assert [known.n_parameters for known in registry.CATALOGUE.values()] == [
        124_439_808, 354_823_168, 774_030_080, 1_557_611_200, 134_515_008]  # fmt: skip
    for known in registry.CATALOGUE.values():
        assert known.about and known.released and known.file_mb
        assert (known.origin == "hub") == bool(re.fullmatch("[0-9a-f]{40}", known.revision))
        assert (known.origin == "package") == (known.package is not None)


def test_own_models_are_listed_after_the_catalogue_and_the_pocket_family_with_what_they_are():
    *others, last = registry.entries()
    assert [known.name for known in others] == [*registry.CATALOGUE, *registry.POCKET]
    assert (last.name, last.origin) == (NAME, "own")
    assert "GPT2LMHeadModel, 2 layers, width 64" in last.about


def test_parameters_are_counted_as_torch_counts_them(tiny_folder):
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(tiny_folder)
    assert registry.entry(NAME).n_parameters == sum(p.numel() for p in model.parameters())


def test_a_folder_without_config_or_weights_is_no_model(own):
    (own / "notes").mkdir()
    (own / "half").mkdir()
    (own / "half" / "config.json").write_text("{}")
    assert [known.name for known in registry.entries() if known.origin == "own"] == [NAME]


@pytest.mark.parametrize("folder", ["", "/no/such/folder"])
def test_no_folder_of_own_models_is_no_fault(monkeypatch, folder):
    monkeypatch.setenv("COURSE_MODELS", folder)
    assert [known.name for known in registry.entries()] == [*registry.CATALOGUE, *registry.POCKET]


@pytest.mark.parametrize(
    ("typed", "meant"), [("gpt-2", "gpt2"), ("GPT2-XL", "gpt2-xl"), ("smolm", SMOLLM2), ("gpt2medium", "gpt2-medium")]
)
def test_an_unknown_name_is_answered_with_the_nearest(typed, meant):
    with pytest.raises(UnknownModel, match=f"(?s){re.escape(typed)}.*Did you mean '{meant}'"):
        registry.find(typed)


def test_a_name_near_to_none_is_answered_with_the_list():
    with pytest.raises(UnknownModel, match="course_utils models"):
        registry.entry("zzz")


def test_a_path_is_no_name():
    with pytest.raises(UnknownModel):
        registry.find(f"../{NAME}")


def test_a_model_that_is_not_here_is_told_with_the_command():
    assert not registry.is_here("gpt2-large")
    with pytest.raises(ModelNotHere, match="course_utils fetch gpt2-large"):
        registry.find("gpt2-large")


def test_the_classs_folder_comes_before_the_cache(own, tiny_folder):
    put_in_cache(tiny_folder, "gpt2-medium")
    shutil.copytree(tiny_folder, own / "gpt2-medium")
    assert registry.find("gpt2-medium") == own / "gpt2-medium"


def test_the_default_is_gpt2_then_the_stand_in_then_a_larger_one_then_an_own_then_a_pocket_model(
    own, tiny_folder, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.delenv("COURSE_MODELS")
        assert registry.best_here() == "pocket-xl"
    (own / "larger").mkdir()
    save_random_gpt2(own / "larger", n_layer=3)
    assert registry.best_here() == "larger"
    for name in ("gpt2-large", SMOLLM2, "gpt2"):
        put_in_cache(tiny_folder, name)
        assert registry.best_here() == name


@pytest.mark.slow
def test_an_empty_shelf_has_no_default(bare_package):
    said = bare_package("say", "Hello")
    assert said.returncode == 1
    assert "fetch --default" in said.stderr


def test_the_weights_hash_is_the_files(tiny_folder):
    assert registry.weights_sha256(NAME) == sha256_of(tiny_folder / checksums.WEIGHTS)


def test_an_own_model_may_change(own):
    before = registry.weights_sha256(NAME)
    save_random_gpt2(own / NAME, seed=1)
    assert registry.weights_sha256(NAME) != before


@pytest.mark.parametrize("n_bytes", [0, 5, 1000, -1])
def test_cut_off_weights_are_found_and_named(own, n_bytes):
    weights = own / NAME / checksums.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:n_bytes])
    assert "damaged" in registry.entry(NAME).about
    with pytest.raises(DamagedFile, match=checksums.WEIGHTS):
        registry.find(NAME)


@pytest.mark.parametrize("name", [checksums.WEIGHTS, "config.json", "tokenizer.json"])
def test_a_changed_file_of_a_fetched_model_is_found_and_named(tiny_folder, name):
    folder = put_in_cache(tiny_folder, "gpt2-large")
    registry.find("gpt2-large")
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DamagedFile, match=rf"(?s){name}.*fetch gpt2-large"):
        registry.find("gpt2-large")


def test_a_lost_file_of_a_fetched_model_is_found_and_named(tiny_folder):
    (put_in_cache(tiny_folder, "gpt2-large") / "tokenizer.json").unlink()
    with pytest.raises(DamagedFile, match="tokenizer.json is missing"):
        registry.find("gpt2-large")


def test_gpt2_must_have_gpt2s_weights(own, tiny_folder):
    shutil.copytree(tiny_folder, own / "gpt2")
    with pytest.raises(DamagedFile, match="248dfc3911869ec4"):
        registry.find("gpt2")


def test_a_damaged_model_of_the_class_is_not_fetched_over(own, tiny_folder):
    shutil.copytree(tiny_folder, own / "gpt2")
    with pytest.raises(DamagedFile, match="COURSE_MODELS"):
        registry.fetch("gpt2", say=lambda line: None)
    assert (own / "gpt2" / checksums.WEIGHTS).is_file()


def test_a_model_too_large_for_the_memory_is_refused_with_one_that_fits():
    huge = dataclasses.replace(registry.CATALOGUE["gpt2-xl"], name="huge", n_parameters=10**13)
    assert not registry.fits(huge, "fp32")
    with pytest.raises(NotEnoughMemory, match=r"(?s)40,000,600 MB.*load\("):
        registry.require_memory(huge, "fp32")


def test_a_model_that_fits_is_let_in():
    assert registry.fits(registry.entry(NAME))
    registry.require_memory(registry.entry(NAME))


def test_fp32_needs_four_bytes_a_parameter():
    grown = registry.memory_needed_mb(registry.CATALOGUE["gpt2-xl"], "fp32") - registry.memory_needed_mb(
        registry.CATALOGUE["gpt2"], "fp32"
    )
    assert grown == pytest.approx(4 * (1_557_611_200 - 124_439_808) / 1e6)


@pytest.mark.slow
def test_the_stand_in_loads_in_silence_and_is_not_hashed_again(real_cache, monkeypatch):
    """Hashing half a gigabyte is what a second load must not wait for: a ratio of two processor times of one run."""
    if not (real_cache / "models" / SMOLLM2 / checksums.WEIGHTS).exists():
        pytest.skip(f"no {SMOLLM2} on this machine: python -m course_utils fetch {SMOLLM2}")
    monkeypatch.setenv("COURSE_CACHE", str(real_cache))
    code = (
        "import time\nfrom course_utils import load, shelf\nfrom course_utils.core.wheels import sha256_of\n"
        f"model = load({SMOLLM2!r}, precision='fp32')\nstart = time.process_time()\nfolder = shelf.find(model.name)\n"
        "found = time.process_time()\nsha256_of(folder / 'model.safetensors')\n"
        "print((time.process_time() - found) / (found - start), model.n_parameters)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True)
    times_as_fast, n_parameters = done.stdout.split()
    assert float(times_as_fast) > 10
    assert int(n_parameters) == registry.CATALOGUE[SMOLLM2].n_parameters
    assert done.stderr == ""


def test_importing_the_shelf_loads_neither_torch_nor_the_hubs_library():
    code = (
        "import sys, course_utils.models.registry.registry, course_utils.cli.doctor\n"
        "print({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
