"""Eight-bit weights stay close to the model they stand for."""

import json

import pytest
import torch

from course_utils.models import precision
from course_utils.models.language_model import LanguageModel
from course_utils.models.quantize import Int8Linear, Int8Output


@pytest.mark.parametrize("shape", [(64, 64), (192, 64), (128, 320), (1536, 576)])
def test_an_int8_layer_is_within_one_percent(shape):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(shape[1], shape[0]), torch.randn(5, 3, shape[1])
    expected, found = layer(x), Int8Linear(layer.weight.detach(), layer.bias.detach())(x)
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert (found - expected).norm() < 0.015 * expected.norm()


def test_a_rows_result_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    layer, x = Int8Linear(torch.randn(256, 128), None), torch.randn(9, 128)
    whole = layer(x)
    assert all(torch.equal(whole[i : i + 1], layer(x[i : i + 1])) for i in range(9))


def test_logits_of_the_int8_output_are_as_fine_as_fp32():
    """Large logits, as GPT-2's: bfloat16 would leave a few hundred different values, ranks would tie."""
    torch.manual_seed(0)
    weight, x = torch.randn(5000, 64), torch.randn(4, 64) + 3
    expected, layer = x @ weight.t(), Int8Output(weight)
    found = layer(x)
    assert (found - expected).norm() < 0.01 * expected.norm()
    assert all(len(row.unique()) > 4900 > len(row.bfloat16().unique()) for row in found)
    assert all(torch.equal(found[i : i + 1], layer(x[i : i + 1])) for i in range(4))


def test_a_weight_of_zeros_stays_zero():
    assert not Int8Linear(torch.zeros(8, 64), None)(torch.randn(2, 64)).any()


def test_int8_scores_are_close_to_fp32_and_named(tiny, tiny_folder):
    text = "The second model was better than the first, and the third was better still."
    int8 = LanguageModel(tiny_folder, "int8")
    assert "int8" in int8.label and "fp32" in tiny.label and int8.n_parameters == tiny.n_parameters
    assert int8.score(text).bits_per_character == pytest.approx(tiny.score(text).bits_per_character, rel=0.02)
    assert any(isinstance(layer, Int8Linear) for layer in int8.network.modules())
    assert isinstance(int8.network.lm_head, Int8Output)


def test_the_self_test_runs_once_and_its_answer_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    answer = precision.fastest()
    written = (tmp_path / "precision.json").read_text()
    assert answer in precision.PRECISIONS and precision.fastest() == answer
    assert (tmp_path / "precision.json").read_text() == written
    (measured,) = json.loads(written).values()
    assert all(milliseconds > 0 for milliseconds in measured.values())
    assert (measured["fp32_ms"] >= 1.2 * measured["int8_ms"]) == (answer == "int8")


@pytest.mark.parametrize("damaged", ["{half", "[1]", "3", '{"this machine": {"other": 1}}', ""])
def test_a_damaged_memory_of_the_self_test_is_made_anew(tmp_path, monkeypatch, damaged):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    (tmp_path / "precision.json").write_text(damaged)
    assert precision.fastest() in precision.PRECISIONS
    json.loads((tmp_path / "precision.json").read_text())
