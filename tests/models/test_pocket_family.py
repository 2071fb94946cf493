"""The pocket family in the repository: whole, of one recipe, in the ratio of the real four, the larger the better."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from repository import ROOT

from course_utils.experiments.sizes.compare import held_out_news
from course_utils.models import architecture
from course_utils.models.inference.language_model import load
from course_utils.models.inference.scoring import score_nats
from course_utils.models.registry import checksums, registry
from course_utils.models.registry.catalogue import CATALOGUE, POCKET
from course_utils.models.training import checkpoint
from course_utils.models.training.recipe import Recipe

pytestmark = pytest.mark.slow

FOLDERS = [ROOT / "models" / name for name in POCKET]
SHAPE = {"n_layers", "width", "n_heads"}
REAL = [known.n_parameters for name, known in CATALOGUE.items() if name.startswith("gpt2")]


def recipe(folder: Path) -> dict:
    return json.loads((folder / checkpoint.RECIPE).read_text("utf-8"))


def test_every_stage_is_on_the_shelf_whole():
    found = [registry.entry(name) for name in POCKET]
    assert [registry.find(name) for name in POCKET] == FOLDERS
    assert [known.released for known in found] == [f"pocket stage {stage} of 4" for stage in (1, 2, 3, 4)]
    assert {known.origin for known in found} == {"course"}


def test_the_sizes_stand_in_the_ratio_of_the_real_four():
    sizes = np.array([registry.entry(name).n_parameters for name in POCKET], dtype=float)
    assert sizes / sizes[0] == pytest.approx(np.array(REAL) / REAL[0], rel=0.1)


def test_together_they_take_little_room():
    assert sum(file.stat().st_size for folder in FOLDERS for file in folder.rglob("*")) < 64e6


@pytest.mark.parametrize("folder", FOLDERS, ids=POCKET)
def test_each_is_what_its_recipe_says(folder):
    told = Recipe(**recipe(folder))
    counted = architecture.architecture_of(folder.name)
    assert (counted.n_layers, counted.width, counted.n_heads) == (told.n_layers, told.width, told.n_heads)
    assert counted.n_parameters == registry.entry(folder.name).n_parameters == load(folder.name, "fp32").n_parameters


def test_nothing_but_the_shape_differs_between_their_recipes():
    rest = [{key: value for key, value in recipe(folder).items() if key not in SHAPE} for folder in FOLDERS]
    assert rest == rest[:1] * 4
    assert len({(folder / "tokenizer.json").read_bytes() for folder in FOLDERS}) == 1


def test_all_have_read_as_many_tokens_and_the_larger_have_learnt_more_from_them():
    lasts = [checkpoint.read(folder)[-1] for folder in FOLDERS]
    assert len({(last["tokens"], last["step"]) for last in lasts}) == 1
    assert all(last["step"] == last["n_steps"] for last in lasts)
    for kind in ("stories", "news"):
        bits = [last["held_out_bits"][kind] for last in lasts]
        assert bits == sorted(bits, reverse=True) and len(set(bits)) == 4


@pytest.mark.parametrize("folder", FOLDERS, ids=POCKET)
def test_the_log_holds_a_curve_that_falls(folder):
    log = checkpoint.read(folder)
    read = [line["held_out_bits"]["stories"] for line in log if line["held_out_bits"]]
    assert len(read) >= 20
    assert read[-1] < read[len(read) // 2] < read[0]
    assert [line["step"] for line in log] == sorted(line["step"] for line in log)


@pytest.mark.parametrize("folder", FOLDERS, ids=POCKET)
def test_the_card_tells_what_the_files_say(folder):
    card, last = (folder / "README.md").read_text("utf-8"), checkpoint.read(folder)[-1]
    for told in (registry.entry(folder.name).n_parameters, last["tokens"], last["n_steps"]):
        assert f"{told:,}" in card
    for heading in ("licence", "loss curve", "Held-out bits per character", "Samples, unselected", "Known faults"):
        assert heading in card


def test_on_news_that_none_has_read_every_size_beats_the_one_before(real_cache, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(real_cache))
    articles = held_out_news(12, seed=1)
    bits = [sum(nats.sum() for nats in score_nats(load(name, "fp32"), articles)) for name in POCKET]
    assert bits == sorted(bits, reverse=True)


def test_a_damaged_pocket_model_is_named_with_the_command_that_restores_it(tmp_path):
    shutil.copytree(ROOT / "course_utils", tmp_path / "course_utils")
    shutil.copytree(ROOT / "models", tmp_path / "models")
    weights = tmp_path / "models" / POCKET[0] / checksums.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    command = [sys.executable, "-m", "course_utils", "say", "Once", "--model", POCKET[0]]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert said.returncode == 1
    assert f"git checkout -- models/{POCKET[0]}" in said.stderr
