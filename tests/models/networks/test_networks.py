"""The course's own forward passes give the numbers of transformers, however a text is cut and whoever is beside it."""

import random

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from course_utils.models.networks.build import build, is_known
from course_utils.models.networks.weights import StateWeights

G = {"n_layer": 2, "n_embd": 96, "n_head": 4, "vocab_size": 301, "n_positions": 128}
L = {"hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 2, "num_attention_heads": 6, "vocab_size": 301}
L |= {"max_position_embeddings": 128}
KNOWN = {
    "gpt2": GPT2Config(**G),
    "gpt2, scaled by layer": GPT2Config(**G, scale_attn_by_inverse_layer_idx=True),
    "gpt2, not scaled": GPT2Config(**G, scale_attn_weights=False, layer_norm_epsilon=1e-3),
    "gpt2, untied": GPT2Config(**G, tie_word_embeddings=False, n_inner=50),
    "llama": LlamaConfig(**L, num_key_value_heads=6),
    "llama, shared heads, tied": LlamaConfig(**L, num_key_value_heads=2, tie_word_embeddings=True),
    "llama, biases": LlamaConfig(**L, num_key_value_heads=1, head_dim=20, attention_bias=True, mlp_bias=True),
    "llama, another base": LlamaConfig(**L, rope_parameters={"rope_type": "default", "rope_theta": 500.0}),
}
UNKNOWN = {
    "gpt2, relu": GPT2Config(**G, activation_function="relu"),
    "gpt2, cross attention": GPT2Config(**G, add_cross_attention=True),
    "gpt2, upcast": GPT2Config(**G, reorder_and_upcast_attn=True),
    "llama, gelu": LlamaConfig(**L, hidden_act="gelu"),
    "llama, rescaled": LlamaConfig(**L, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}),
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=KNOWN)
def plain(request):
    """A network of transformers with random weights, biases and norms."""
    torch.manual_seed(0)
    config = KNOWN[request.param]
    config.bos_token_id = config.eos_token_id = 0
    network = (GPT2LMHeadModel if config.model_type == "gpt2" else LlamaForCausalLM)(config).eval()
    with torch.no_grad():  # fresh biases are zero, and a forgotten one would not show
        for each in network.parameters():
            each.mul_(4) if each.dim() > 1 else each.add_(torch.randn_like(each) * 0.3)
    return network


def built(plain, precision):
    return build(plain.config.to_dict(), StateWeights(plain.state_dict(), precision), CPU)


def test_logits_are_those_of_transformers_however_a_text_is_cut(plain):
    network, chance = built(plain, "fp32"), random.Random(3)
    ids = torch.randint(0, 301, (1, 90))
    with torch.inference_mode():
        expected = plain(ids).logits[0]
    for _ in range(3):
        cache, found = network.new_cache(), []
        while cache.length < 90:
            n = chance.choice([1, 1, 1, 2, 7, 30])
            part = ids[:, cache.length : cache.length + n]
            is_step = part.shape[1] == 1 and chance.random() < 0.7
            found.append(network.step([int(part)], [cache]) if is_step else network.read(part, cache, all_logits=True))
        assert torch.allclose(torch.cat(found), expected, atol=1e-4)
    hidden = network.hidden(torch.cat([ids, ids.flip(1)]))
    assert torch.allclose(network.logits(hidden[0]), expected, atol=1e-4)


def test_greedy_ids_are_those_of_transformers(plain):
    network, ids = built(plain, "fp32"), torch.randint(1, 301, (1, 20))
    expected = plain.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False, pad_token_id=0, eos_token_id=None
    )
    cache, written = network.new_cache(), []
    logits = network.read(ids, cache)
    for _ in range(40):
        written.append(int(logits.argmax()))
        logits = network.step(written[-1:], [cache])
    assert written == expected[0, 20:].tolist()


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_rows_of_any_length_join_and_leave_and_are_what_they_are_alone(plain, precision):
    network, chance = built(plain, precision), random.Random(5)
    texts = [[chance.randrange(301) for _ in range(chance.randint(12, 30))] for _ in range(31)]
    n_read = [chance.randint(1, 10) for _ in texts]
    firsts = []
    for text, n in zip(texts, n_read, strict=True):
        firsts.append(network.new_cache())
        network.read(torch.tensor([text[:n]]), firsts[-1])
    alone = []
    for text, first in zip(texts, firsts, strict=True):
        cache = first.copy()
        alone.append([network.step([token], [cache])[0] for token in text[cache.length :]])
    caches, found = [first.copy() for first in firsts], [[] for _ in texts]
    while writing := [i for i, cache in enumerate(caches) if cache.length < len(texts[i])]:
        some = chance.sample(writing, chance.randint(1, len(writing)))
        logits = network.step([texts[i][caches[i].length] for i in some], [caches[i] for i in some])
        for i, row in zip(some, logits, strict=True):
            found[i].append(row)
    for one, other in zip(alone, found, strict=True):
        if precision == "int8":
            assert torch.equal(torch.stack(one), torch.stack(other))
        else:
            assert torch.allclose(torch.stack(one), torch.stack(other), atol=1e-4)


def test_int8_is_near_and_takes_a_quarter_of_the_memory(plain):
    whole, eight = built(plain, "fp32"), built(plain, "int8")
    ids = torch.randint(0, 301, (1, 60))
    expected, found = (network.read(ids, network.new_cache(), all_logits=True) for network in (whole, eight))
    assert (found - expected).norm() < 0.1 * expected.norm()
    assert sum(each.nbytes for _, linears in eight.blocks for each in linears) < 0.3 * sum(
        each.nbytes for _, linears in whole.blocks for each in linears
    )


def test_a_cache_that_was_copied_or_cut_back_goes_on_by_itself(plain):
    network, ids = built(plain, "int8"), list(range(1, 80))
    cache = network.new_cache()
    network.read(torch.tensor([ids[:10]]), cache)
    other = cache.copy()
    expected = [network.step([token], [cache]) for token in ids[10:]]
    assert other.length == 10 and cache.length == 79 and cache.nbytes > other.nbytes > 0
    found = [network.step([token], [other]) for token in ids[10:]]
    assert torch.equal(torch.cat(found), torch.cat(expected))
    cache.length = 40
    assert torch.equal(network.step([ids[40]], [cache]), expected[30])


@pytest.mark.parametrize("config", UNKNOWN.values(), ids=UNKNOWN)
def test_a_variant_that_is_not_computed_is_left_to_transformers(config):
    assert not is_known(config.to_dict())


@pytest.mark.parametrize("config", KNOWN.values(), ids=KNOWN)
def test_a_config_file_says_the_same_as_a_config_object(config):
    assert is_known(config.to_diff_dict() | {"model_type": config.model_type} | config.to_dict())
