"""Eight-bit weights stay close to the model they stand for."""

import json

import pytest
import torch

from course_utils.core import limits
from course_utils.models.inference.language_model import LanguageModel, best_precision
from course_utils.models.quantization import precision
from course_utils.models.quantization.fast_layers import SweptOutput
from course_utils.models.quantization.quantize import Int8Linear, Int8Output
from course_utils.models.server.engine import Engine
from course_utils.models.server.model_pool import ModelPool
from course_utils.models.server.scheduler import Limits

pytestmark = pytest.mark.slow


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


# -- which precision is taken ------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose self-test takes no time and says what a test wants; a cache folder of its own."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(precision, "_found", {})
    told = {"fp32_ms": 10.0, "int8_ms": 2.0, "is_right": True, "n_runs": 0}

    def measure():
        told["n_runs"] += 1
        return {name: told[name] for name in ("fp32_ms", "int8_ms", "is_right")}

    monkeypatch.setattr(precision, "measure", measure)
    return told


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((10.0, 2.0, True), "int8"),
        ((2.0, 10.0, True), "fp32"),
        ((2.0, 2.0, True), "fp32"),
        ((10.0, 2.0, False), "fp32"),
    ],
)
def test_int8_is_taken_where_it_is_right_and_faster_also_by_the_server(machine, times, expected, caplog):
    machine["fp32_ms"], machine["int8_ms"], machine["is_right"] = times
    assert precision.fastest() == expected
    assert best_precision(torch.device("cpu")) == expected and best_precision(torch.device("mps")) == "fp32"
    assert ModelPool(Engine(Limits())).precision == expected and ModelPool(Engine(Limits()), "int8").precision == "int8"
    assert ("int8 does not work on this processor" in caplog.text) != times[2]


def test_another_processor_number_of_threads_or_pytorch_is_tested_anew(machine, monkeypatch):
    assert precision.fastest() == "int8"
    machine["int8_ms"] = 30.0
    monkeypatch.setattr(limits, "processor", lambda: "an older one")
    assert precision.fastest() == "fp32"
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    assert precision.fastest() == "fp32" and machine["n_runs"] == 3
    torch.set_num_threads(before)
    monkeypatch.undo()


def test_machines_that_share_a_home_remember_each_their_own(machine, monkeypatch, tmp_path):
    names = ["one", "two", "three"]
    for name in names * 2:
        monkeypatch.setattr(limits, "processor", lambda name=name: name)
        monkeypatch.setattr(precision, "_found", {})  # as in another process
        precision.fastest()
    assert machine["n_runs"] == 3
    assert len(json.loads((tmp_path / "cache" / "precision.json").read_text())) == 3


def test_a_cache_that_cannot_be_written_costs_one_self_test_a_process(machine, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
    assert [precision.fastest() for _ in range(3)] == ["int8"] * 3 and machine["n_runs"] == 1


def test_the_kernels_of_this_processor_are_right():
    assert precision.is_int8_right()


@pytest.mark.parametrize("error", [1, 40, 70_000])
def test_a_kernel_that_adds_up_wrongly_is_found(monkeypatch, error):
    real = torch._int_mm

    def saturates(a, b):
        product = real(a, b)
        product[-1, -1] += error
        return product

    monkeypatch.setattr(torch, "_int_mm", saturates)
    assert not precision.is_int8_right()


def test_a_kernel_that_saturates_in_16_bits_is_found(monkeypatch):
    """As some do on processors without VNNI: pairs of products are added in 16 bits."""

    def saturates(a, whole, scale):
        pairs = (a.float()[:, None] * whole.float()).unflatten(2, (-1, 2)).sum(3).clamp(-512, 511)
        return (pairs.sum(2) * scale.float()).bfloat16()

    monkeypatch.setattr(torch, "_weight_int8pack_mm", saturates)
    assert not precision.is_int8_right()


def test_a_processor_without_a_kernel_computes_in_fp32(monkeypatch):
    def missing(*_):
        raise NotImplementedError("no kernel")

    monkeypatch.setattr(torch, "_weight_int8pack_mm", missing)
    found = precision.measure(n_layers=1, width=64, n_vocabulary=100)
    assert not found["is_right"] and found["int8_ms"] > found["fp32_ms"]


@pytest.mark.parametrize(("chosen", "expected"), [("", 3), ("2", 2), ("1", 1), ("64", 4)])
def test_a_core_is_left_free_unless_threads_are_chosen(monkeypatch, chosen, expected):
    monkeypatch.setattr(limits, "thread_limit", lambda: min(4, int(chosen or 4)))
    monkeypatch.setattr(limits, "chosen_threads", lambda: int(chosen) if chosen else None)
    before = torch.get_num_threads()
    try:
        precision.leave_a_core_free()
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)


def test_an_output_layer_keeps_its_bias():
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(64, 300), torch.randn(3, 64)
    assert torch.allclose(SweptOutput(layer.weight, layer.bias)(x), layer(x), atol=1e-5)
    assert torch.allclose(Int8Output(layer.weight.detach(), layer.bias)(x), layer(x), atol=0.02)
