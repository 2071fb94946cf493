"""Eight-bit weights stay close to the model they stand for."""

import json

import pytest
import torch

from course_utils.core import limits
from course_utils.models.inference.language_model import LanguageModel, best_precision
from course_utils.models.quantization import integer_product, precision
from course_utils.models.quantization.packed_linear import PackedLinear
from course_utils.models.server.engine import Engine
from course_utils.models.server.model_pool import ModelPool
from course_utils.models.server.scheduler import Limits

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("shape", [(64, 64), (192, 64), (128, 320), (1536, 576), (301, 577)])
def test_a_packed_layer_rounds_weights_to_8_bits_and_activations_to_14(shape):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(shape[1], shape[0]), torch.randn(5, 3, shape[1])
    packed = PackedLinear.from_weight(layer.weight.detach(), layer.bias.detach())
    expected, found = layer(x), packed(x)
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert (found - expected).norm() < 0.01 * expected.norm()
    whole, scale = packed.whole_and_scale()
    rounded = x @ (whole * scale[:, None]).t() + layer.bias
    assert (found - rounded).norm() < 0.0003 * rounded.norm()
    again = PackedLinear.from_whole(whole, scale, layer.bias)
    assert torch.equal(again(x), found)


@pytest.mark.parametrize("n_rows", [2, 3, 9, 40])
def test_a_rows_result_does_not_depend_on_its_neighbours(n_rows):
    torch.manual_seed(0)
    layer, x = PackedLinear.from_weight(torch.randn(259, 131), torch.randn(259)), torch.randn(n_rows, 131)
    x *= torch.logspace(-6, 6, n_rows)[:, None]  # rows of very different size
    whole = layer(x)
    assert all(torch.equal(whole[i : i + 1], layer(x[i : i + 1])) for i in range(n_rows))


def test_logits_of_a_packed_output_layer_hardly_tie():
    """Large logits, as GPT-2's: bfloat16 would leave a few hundred different values, ranks would tie."""
    torch.manual_seed(0)
    weight, x = torch.randn(5000, 64), torch.randn(4, 64) + 3
    expected, layer = x @ weight.t(), PackedLinear.from_weight(weight)
    found = layer(x)
    assert (found - expected).norm() < 0.01 * expected.norm()
    assert all(len(row.unique()) > 4900 > len(row.bfloat16().unique()) for row in found)


@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e30])
def test_numbers_of_any_size_are_multiplied(factor):
    torch.manual_seed(0)
    weight, x = torch.randn(8, 64), torch.randn(2, 64)
    assert not PackedLinear.from_weight(weight * 0)(x * factor).any()
    found, expected = PackedLinear.from_weight(weight)(x * factor), x * factor @ weight.t()
    assert torch.allclose(found, expected, rtol=0.1, atol=max(0.05 * factor, 1e-12))


def test_int8_scores_are_close_to_fp32_and_named(tiny, tiny_folder):
    text = "The second model was better than the first, and the third was better still."
    int8 = LanguageModel(tiny_folder, "int8")
    assert "int8" in int8.label and "fp32" in tiny.label and int8.n_parameters == tiny.n_parameters
    assert int8.score(text).bits_per_character == pytest.approx(tiny.score(text).bits_per_character, rel=0.02)


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
    told = {"fp32_ms": 10.0, "int8_ms": 2.0, "is_right": True, "threads": 1, "n_runs": 0}

    def measure():
        told["n_runs"] += 1
        return {name: told[name] for name in ("fp32_ms", "int8_ms", "is_right", "threads")}

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


@pytest.fixture
def fresh_kernel():
    """No kernel is chosen yet, neither before nor after the test."""
    integer_product._first_exact.cache_clear()
    yield
    integer_product._first_exact.cache_clear()


@pytest.mark.parametrize("kernel", integer_product.KERNELS, ids=lambda kernel: kernel.name)
def test_the_kernels_of_this_processor_are_exact_and_give_the_weights_back(kernel):
    assert integer_product.is_exact(kernel)
    whole, scale = torch.randint(-127, 128, (70, 33), dtype=torch.int8), torch.rand(70)
    found = kernel.unpack(kernel.pack(whole, scale))
    assert torch.equal(found[0], whole) and torch.equal(found[1], scale)


def wrong_by(error):
    def multiply(rows, packed):
        product = integer_product.FBGEMM.multiply(rows, packed).clone()
        product[-1, -1] *= 1 + error
        return product

    return multiply


def saturating(rows, packed):
    """As some kernels do on processors without VNNI: sums of pairs of products are cut off, here at 14 bits."""
    whole, scale = packed
    pairs = (rows[:, None] * whole).long()
    pairs = torch.nn.functional.pad(pairs, (0, pairs.shape[2] % 2)).unflatten(2, (-1, 2)).sum(3)
    return pairs.clamp(-8192, 8191).sum(2).float() * scale


def missing(*_):
    raise NotImplementedError("no kernel")


@pytest.mark.parametrize(
    "kernel",
    [integer_product.FBGEMM._replace(multiply=wrong_by(error)) for error in (1e-6, 1.0)]
    + [integer_product.FBGEMM._replace(pack=missing), integer_product.INT_MM._replace(multiply=saturating)],
)
def test_a_kernel_that_is_not_exact_gives_way_to_the_next_with_equal_results(monkeypatch, caplog, kernel, fresh_kernel):
    torch.manual_seed(0)
    weight, x = torch.randn(40, 65), torch.randn(3, 65)
    expected = PackedLinear.from_weight(weight)(x)
    integer_product._first_exact.cache_clear()
    monkeypatch.setattr(integer_product, "KERNELS", [kernel, integer_product.FP64])
    assert torch.equal(PackedLinear.from_weight(weight)(x), expected)
    assert f"the kernel {kernel.name} is not exact" in caplog.text
    assert not precision.is_int8_right()


def test_a_processor_without_a_fast_kernel_computes_in_fp32(monkeypatch, fresh_kernel):
    monkeypatch.setattr(integer_product, "KERNELS", [integer_product.FP64])
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


@pytest.mark.parametrize(("fastest", "expected"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_int8_takes_the_number_of_threads_that_is_fastest_and_leaves_a_core_free(monkeypatch, fastest, expected):
    monkeypatch.setattr(limits, "thread_limit", lambda: 4)
    monkeypatch.setattr(limits, "chosen_threads", lambda: None)
    monkeypatch.setattr(precision, "_best_ms", lambda *_: 1.0 + abs(torch.get_num_threads() - fastest))
    before = torch.get_num_threads()
    try:
        precision.leave_a_core_free()
        found = precision.measure.__wrapped__(n_layers=1, width=64, n_vocabulary=100)  # the tests keep the first one
        assert (found["threads"], torch.get_num_threads()) == (expected, 3), found
        monkeypatch.setattr(precision, "self_test", lambda: found | {"fp32_ms": 9.0, "int8_ms": 1.0})
        assert precision.fastest() == "int8" and torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)
