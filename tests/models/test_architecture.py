"""The arithmetic counts what the true networks hold, and what their products cost."""

import dataclasses
import json
import random

import pytest
import torch
from conftest import N_SMALL
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from course_utils.errors import DamagedFile, ModelNotHere, SettingsError, UnknownModel
from course_utils.models.architecture import (
    FIRST_NAMES,
    GPT2,
    LATER_NAMES,
    Architecture,
    LlamaArchitecture,
    architecture_of,
    naming_puzzle,
)
from course_utils.models.registry import registry

TRUE_COUNTS = {"gpt2": 124_439_808, "gpt2-medium": 354_823_168, "gpt2-large": 774_030_080, "gpt2-xl": 1_557_611_200}


def random_shape(seed: int) -> Architecture:
    draw = random.Random(seed)
    n_heads = draw.randint(1, 6)
    inner = draw.choice([None, draw.randint(1, 300)])
    width = 2 * n_heads * draw.randint(1, 16)
    return Architecture(draw.randint(1, 5), width, n_heads, draw.randint(2, 999), draw.randint(2, 200), inner)


def gpt2_of(shape: Architecture, device: str = "meta") -> GPT2LMHeadModel:
    config = GPT2Config(
        n_layer=shape.n_layers, n_embd=shape.width, n_head=shape.n_heads, vocab_size=shape.vocabulary,
        n_positions=shape.context, n_inner=shape.inner, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    with torch.device(device):
        return GPT2LMHeadModel(config).eval()


def llama_of(seed: int) -> tuple[LlamaConfig, LlamaForCausalLM]:
    draw = random.Random(seed)
    n_kv_heads = draw.randint(1, 3)
    n_heads = n_kv_heads * draw.randint(1, 3)
    config = LlamaConfig(
        num_hidden_layers=draw.randint(1, 4), hidden_size=4 * n_heads, num_attention_heads=n_heads, vocab_size=97,
        num_key_value_heads=n_kv_heads, intermediate_size=draw.randint(1, 99), tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        return config, LlamaForCausalLM(config)


@pytest.mark.parametrize("name", GPT2)
def test_the_four_sizes_count_what_they_are_known_to_hold(name):
    assert GPT2[name].n_parameters == TRUE_COUNTS[name] == registry.entry(name).n_parameters
    assert GPT2[name].width == 64 * GPT2[name].n_heads
    assert gpt2_of(GPT2[name]).num_parameters() == TRUE_COUNTS[name]


@pytest.mark.parametrize("seed", range(20))
def test_any_shape_counts_what_its_network_holds(seed):
    shape = random_shape(seed)
    assert shape.n_parameters == gpt2_of(shape).num_parameters()
    assert shape.n_parameters == sum(shape.parts().values())


@pytest.mark.parametrize("seed", range(10))
def test_every_part_counts_what_its_tensors_hold(seed):
    shape = random_shape(seed)
    counted = dict.fromkeys(shape.parts(), 0)
    words = {
        "wte": "token embedding",
        "wpe": "position embedding",
        "attn": "attention",
        "mlp": "MLP",
        "ln_f": "last layer norm",
    }
    for name, tensor in gpt2_of(shape).named_parameters():
        word = next((word for word in words if f".{word}." in name), "")
        counted[words.get(word, "layer norms")] += tensor.numel()
    assert counted == shape.parts()
    assert {part: shape.n_layers * count for part, count in shape.block().items()}.items() <= counted.items()


@pytest.mark.parametrize("seed", range(10))
def test_a_llama_counts_what_its_network_holds(seed):
    config, network = llama_of(seed)
    shape = LlamaArchitecture.from_config(config.to_dict())
    assert shape.n_parameters == network.num_parameters()


@pytest.mark.parametrize("seed", range(5))
def test_the_operations_are_those_that_a_forward_pass_does(seed):
    shape = random_shape(seed)
    network = gpt2_of(shape, "cpu")
    network.set_attn_implementation("eager")  # which multiplies every pair, masked or not, so that it can count
    n_tokens = shape.context
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, n_tokens, dtype=torch.long), use_cache=False)
    assert n_tokens * shape.flops_per_token(n_seen=n_tokens) == counter.get_total_flops()


def test_a_forward_pass_costs_about_two_operations_a_parameter_and_training_three_times_that():
    for shape in GPT2.values():
        assert 1 < shape.flops_per_token() / (2 * shape.n_parameters) < 1.1
        assert shape.training_flops(10) == 30 * shape.flops_per_token()
        assert shape.flops_per_token(0) < shape.flops_per_token() < shape.flops_per_token(shape.context)


@pytest.mark.parametrize("n_texts", [1, 3])
def test_the_cache_is_as_large_as_the_tensors_in_it(n_texts):
    shape = Architecture(3, 32, 4, 50, 64)
    cache = DynamicCache()
    with torch.inference_mode():
        gpt2_of(shape, "cpu")(torch.zeros(n_texts, 17, dtype=torch.long), past_key_values=cache, use_cache=True)
    held = sum(tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values))
    assert shape.kv_cache_bytes(17, n_texts=n_texts) == held
    assert shape.kv_cache_bytes() == shape.kv_cache_bytes(64) == 2 * shape.kv_cache_bytes(32)


def test_shared_keys_make_a_smaller_cache():
    many, few = (LlamaArchitecture(2, 64, 8, 50, 64, 128, n_kv_heads) for n_kv_heads in (8, 2))
    assert many.kv_cache_bytes() == 4 * few.kv_cache_bytes()


def test_bytes_are_parameters_times_the_precisions_own():
    for shape in GPT2.values():
        assert shape.bytes() == shape.bytes("fp32") == 2 * shape.bytes("bf16") == 4 * shape.bytes("int8")
        assert shape.bytes("int8") == shape.n_parameters


def test_heads_change_no_count():
    for n_heads in (1, 2, 3, 4, 6, 12):
        assert dataclasses.replace(GPT2["gpt2"], n_heads=n_heads).n_parameters == TRUE_COUNTS["gpt2"]


def test_gpt1s_vocabulary_gives_all_four_first_names():
    puzzle = naming_puzzle().set_index("model")
    for name in GPT2:
        assert f"{puzzle.loc[name, 'with_gpt1_vocabulary'] / 1e6:.0f}M" == FIRST_NAMES[name]
        assert f"{puzzle.loc[name, 'n_parameters'] / 1e6:.0f}M" == LATER_NAMES[name]


def test_a_checkpoint_tells_its_shape_by_name_and_by_folder(tiny_folder, tiny):
    shape = architecture_of(tiny_folder)
    assert shape == architecture_of(tiny_folder.name) == Architecture(2, 64, 4, N_SMALL, 128)
    assert shape.n_parameters == tiny.n_parameters


def test_the_stand_in_tells_its_shape(real_cache):
    folder = real_cache / "models" / "smollm2-135m"
    if not folder.exists():
        pytest.skip("no smollm2-135m on this machine: python -m course_utils fetch smollm2-135m")
    assert architecture_of(folder).n_parameters == registry.entry("smollm2-135m").n_parameters


@pytest.mark.parametrize(
    ("field", "number"), [("n_layers", 0), ("width", -1), ("n_heads", 1.5), ("vocabulary", True), ("context", "64")]
)
def test_what_is_no_shape_is_refused_by_name(field, number):
    with pytest.raises(SettingsError, match=f"{field} is"):
        dataclasses.replace(GPT2["gpt2"], **{field: number})


def test_a_width_that_the_heads_cannot_share_is_refused():
    with pytest.raises(SettingsError, match="shared by 5 heads"):
        Architecture(2, 64, 5)


def test_an_unknown_precision_is_refused():
    with pytest.raises(SettingsError, match="fp16"):
        GPT2["gpt2"].bytes("fp16")


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"model_type": "gpt2"}'])
def test_a_config_that_tells_no_shape_is_damaged(tmp_path, text):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(DamagedFile, match="config.json cannot be read"):
        architecture_of(tmp_path)


@pytest.mark.parametrize("change", [{"model_type": "gpt_neox"}, {"tie_word_embeddings": False}])
def test_another_kind_of_model_is_refused(tmp_path, tiny_folder, change):
    config = json.loads((tiny_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(SettingsError, match="another kind"):
        architecture_of(tmp_path)


def test_a_name_that_is_not_here_is_told_so():
    with pytest.raises(ModelNotHere):
        architecture_of("gpt2-xl")
    with pytest.raises(UnknownModel):
        architecture_of("gpt5")
