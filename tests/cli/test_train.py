"""Laws of training from a terminal: what is typed is what is trained, and what is wrong is told before the work."""

import json

import pytest

from course_utils.__main__ import main
from course_utils.models.inference.language_model import load
from course_utils.models.inference.settings import Settings
from course_utils.models.training import checkpoint

pytestmark = pytest.mark.slow

SHAPE = ["--layers", "1", "--width", "16", "--heads", "1", "--context", "16", "--vocabulary", "270", "--batch", "2"]


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "one.txt").write_text("A small house by a small river. " * 40, "utf-8")
    return folder


def train(*words) -> int:
    return main(["train", *map(str, words)])


def test_a_trained_folder_is_a_model_like_any_other(texts, tmp_path, capsys, monkeypatch):
    assert train(texts, "--out", tmp_path / "class/ours", *SHAPE, "--held-out", texts / "one.txt") == 0
    out = capsys.readouterr().out
    assert "1 documents" in out and "held-out bits per character: one " in out and "floating-point operations" in out
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "class"))
    assert load("ours").generate("A small", Settings(max_new_tokens=8))[0].text


def test_a_recipe_file_trains_the_same_again(texts, tmp_path):
    train(texts, "--out", tmp_path / "one", *SHAPE, "--seed", 4)
    train(texts, "--out", tmp_path / "other", "--recipe", tmp_path / "one" / checkpoint.RECIPE)
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_flag_goes_before_the_recipe_file(texts, tmp_path):
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"width": 999, "n_layers": 1}', "utf-8")
    train(texts, "--out", tmp_path / "out", "--recipe", recipe, *SHAPE)
    assert json.loads((tmp_path / "out" / checkpoint.RECIPE).read_text())["width"] == 16


def test_a_finished_training_is_not_done_again(texts, tmp_path, capsys):
    train(texts, "--out", tmp_path / "out", *SHAPE)
    before = checkpoint.read(tmp_path / "out")
    assert train(texts, "--out", tmp_path / "out", *SHAPE) == 0
    assert checkpoint.read(tmp_path / "out") == before
    assert "The model lies in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--width", "15", "--heads", "2"], "cannot be shared by 2 heads"),
        (["--vocabulary", "100"], "vocabulary is 100"),
        (["--context", "4096"], "tokens long"),
        (["--recipe", "nowhere.json"], "nowhere.json"),
        (["--held-out", "nowhere.txt"], "nowhere.txt does not exist"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_left(texts, tmp_path, capsys, words, told):
    assert train(texts, "--out", tmp_path / "out", *SHAPE, *words) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_word_in_a_recipe_is_named(texts, tmp_path, capsys):
    (tmp_path / "recipe.json").write_text('{"wdith": 64}', "utf-8")
    assert train(texts, "--out", tmp_path / "out", "--recipe", tmp_path / "recipe.json") == 1
    assert "wdith" in capsys.readouterr().err
