"""Any layout of a checkpoint is loaded or named; a network of any kind writes what transformers writes."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from conftest import N_SMALL, gpt2_tokenizer, save_random_gpt2
from transformers import AutoConfig, AutoModelForCausalLM, GPT2LMHeadModel

from course_utils import __main__ as front
from course_utils.core.wheels import sha256_of
from course_utils.errors import CourseError, DamagedFile, ModelNotHere, UnknownModel
from course_utils.models.inference import language_model
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Generation
from course_utils.models.loading import load
from course_utils.models.registry import checksums, formats, registry
from course_utils.models.server.batching import Batch, Row

pytestmark = pytest.mark.slow

END = N_SMALL - 1  # the token that ends a text
SENTENCE = "The king was old, and the queen said that nobody should open the door."


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("COURSE_MODELS", str(folder))
    monkeypatch.setattr(language_model, "_loaded", {})
    return folder


@pytest.fixture
def whole(own, tiny_folder) -> Path:
    return Path(shutil.copytree(tiny_folder, own / "mine"))


def require_three_lines(error: BaseException) -> None:
    assert 1 <= len(str(error).splitlines()) <= 3


# -- layouts -----------------------------------------------------------------------------------------------------------


def in_shards(folder: Path) -> list[Path]:
    GPT2LMHeadModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="1MB")
    (folder / formats.WEIGHTS).unlink(missing_ok=True)
    return sorted(folder.glob("model-*.safetensors"))


def in_bin(folder: Path) -> Path:
    state = GPT2LMHeadModel.from_pretrained(folder).state_dict()
    torch.save(state, folder / formats.BIN)
    (folder / formats.WEIGHTS).unlink()
    return folder / formats.BIN


def in_hub_cache(own: Path, source: Path, repo: str = "some-class--mine", revision: str = "0a1b2c") -> Path:
    place = own / f"models--{repo}"
    (place / "blobs").mkdir(parents=True)
    (place / "snapshots" / revision).mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision)
    for file in source.iterdir():
        blob = place / "blobs" / sha256_of(file)
        shutil.copy(file, blob)
        (place / "snapshots" / revision / file.name).symlink_to(os.path.relpath(blob, place / "snapshots" / revision))
    return place


def test_weights_in_shards_are_one_model_with_one_hash(whole, tiny):
    shards = in_shards(whole)
    assert len(shards) > 1
    model = load("mine", "fp32")
    assert model.score(SENTENCE).total_bits == tiny.score(SENTENCE).total_bits
    whole.with_name("joined").write_bytes(b"".join(shard.read_bytes() for shard in shards))
    assert model.weights_sha256 == sha256_of(whole.with_name("joined")) == registry.weights_sha256("mine")
    assert registry.entry("mine").n_parameters == tiny.n_parameters
    with shards[-1].open("r+b") as file:  # each shard counts
        file.seek(-3, os.SEEK_END)
        file.write(b"\x11")
    assert load("mine", "fp32").weights_sha256 != model.weights_sha256


def test_a_missing_or_damaged_shard_is_named(whole):
    shards = in_shards(whole)
    content = shards[-1].read_bytes()
    shards[-1].write_bytes(content[:-5])
    with pytest.raises(DamagedFile, match=shards[-1].name):
        load("mine")
    shards[-1].unlink()
    with pytest.raises(DamagedFile, match=f"{shards[-1].name} is missing") as error:
        load("mine")
    require_three_lines(error.value)


@pytest.mark.parametrize(
    "index", ["", "[]", "{}", '{"weight_map": {"a": "../../etc/passwd"}}', '{"weight_map": {"a": 3}}']
)
def test_an_index_that_is_none_is_told(whole, index):
    in_shards(whole)
    (whole / (formats.WEIGHTS + formats.INDEX)).write_text(index)
    with pytest.raises(DamagedFile, match="index") as error:
        load(whole)
    require_three_lines(error.value)


def test_weights_of_torch_save_are_loaded(whole, tiny):
    file = in_bin(whole)
    model = load("mine", "fp32")
    assert model.score(SENTENCE).total_bits == tiny.score(SENTENCE).total_bits
    assert model.weights_sha256 == sha256_of(file) == registry.weights_sha256("mine")
    assert registry.entry("mine").n_parameters == tiny.n_parameters
    file.write_bytes(b"no zip archive")
    with pytest.raises(DamagedFile, match="save_pretrained"):
        load("mine")


def test_the_hubs_cache_is_read(own, tiny_folder, tiny):
    place = in_hub_cache(own, tiny_folder)
    assert [each.name for each in registry.entries() if each.origin == "own"] == ["mine"]
    model = load("mine", "fp32")
    assert (model.name, model.weights_sha256) == ("mine", sha256_of(tiny_folder / formats.WEIGHTS))
    assert model.score(SENTENCE).total_bits == tiny.score(SENTENCE).total_bits
    assert load(place, "fp32") is model and load(place / "snapshots" / "0a1b2c", "fp32") is model


def test_a_new_revision_in_the_hubs_cache_is_loaded(own, tiny_folder, tmp_path):
    place = in_hub_cache(own, tiny_folder)
    first = load("mine", "fp32").weights_sha256
    other = save_random_gpt2(tmp_path / "other", seed=4)
    shutil.copytree(other, place / "snapshots" / "ffff")
    assert load("mine", "fp32").weights_sha256 == first
    (place / "refs" / "main").write_text("ffff")
    assert load("mine", "fp32").weights_sha256 == sha256_of(other / formats.WEIGHTS)


def test_two_models_of_the_hub_with_one_name_are_told_apart(own, tiny_folder):
    for owner in ("anna", "bert"):
        in_hub_cache(own, tiny_folder, f"{owner}--mine")
    assert [each.name for each in registry.entries() if each.origin == "own"] == ["anna--mine", "bert--mine"]
    assert registry.find("bert--mine").parent.parent.name == "models--bert--mine"


def test_a_model_of_the_hub_that_was_not_fetched_to_its_end_is_told(own, tiny_folder):
    place = in_hub_cache(own, tiny_folder)
    (place / "snapshots" / "0a1b2c" / formats.WEIGHTS).resolve().unlink()
    with pytest.raises(UnknownModel):
        load("mine")
    with pytest.raises(DamagedFile, match="link to a missing file"):
        load(place / "snapshots" / "0a1b2c")


@pytest.mark.parametrize(
    "name", ["tf_model.h5", "flax_model.msgpack", "model.gguf", "weights.safetensors", "model.ckpt"]
)
def test_weights_of_another_format_are_told_with_their_name(whole, name):
    (whole / formats.WEIGHTS).rename(whole / name)
    for ask in (lambda: load("mine"), lambda: load(whole), lambda: registry.find("mine")):
        with pytest.raises(DamagedFile, match=f"(?s)model.safetensors is missing; it has {name}") as error:
            ask()
        require_three_lines(error.value)


def test_a_folder_without_its_tokenizer_is_told(whole, capsys):
    for file in [*whole.glob("token*"), *whole.glob("vocab*"), *whole.glob("merges*")]:
        file.unlink()
    with pytest.raises(DamagedFile, match="tokenizer.json is missing") as error:
        load("mine")
    require_three_lines(error.value)
    assert front.main(["say", "--model", "mine", "Once"]) == 1
    assert "tokenizer.json is missing" in capsys.readouterr().err


def test_a_tokenizer_of_vocabulary_and_merges_is_one(whole, tiny):
    gpt2_tokenizer(N_SMALL).backend_tokenizer.model.save(str(whole))
    (whole / "tokenizer.json").unlink()
    (whole / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"})
    )
    assert load("mine", "fp32").encode(SENTENCE) == tiny.encode(SENTENCE)


@pytest.mark.parametrize("content", ["", "{}", "{half", '{"model": null}', "[]"])
def test_a_tokenizer_that_is_none_is_told(whole, content):
    (whole / "tokenizer.json").write_text(content)
    with pytest.raises(CourseError, match="tokenizer") as error:
        load("mine")
    require_three_lines(error.value)


def test_a_tokenizer_of_a_larger_vocabulary_is_told(own, tmp_path):
    save_random_gpt2(own / "small", vocab_size=1000)
    with pytest.raises(DamagedFile, match=r"4,999.*1,000"):
        load("small")


@pytest.mark.parametrize(
    "config", ["", "{}", "[]", "{half", '{"model_type": "no-such-kind"}', '{"model_type": "gpt2", "n_embd": 32}',
               '{"model_type": "t5"}', '{"model_type": "gpt2", "n_layer": 9, "n_embd": 64, "n_head": 4}'],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_told(whole, config):
    (whole / "config.json").write_text(config)
    with pytest.raises(CourseError) as error:
        load("mine")
    require_three_lines(error.value)
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize("path", ["no/such/folder", "file"])
def test_a_path_that_is_no_model_is_told(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelNotHere, match="no folder"):
        load(tmp_path / path)
    with pytest.raises(DamagedFile, match="config.json is missing"):
        load(tmp_path)


def test_the_hash_of_one_file_is_that_of_the_file(tiny_folder):
    assert checksums.check(tiny_folder)[checksums.WEIGHTS] == sha256_of(tiny_folder / formats.WEIGHTS)


# -- kinds of networks -------------------------------------------------------------------------------------------------

H = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
H |= {"max_position_embeddings": 128}
G = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 128}
SHARED = {"num_key_value_heads": 2}
WRITES = {
    "mistral": H | SHARED | {"sliding_window": 16, "head_dim": 8},
    "qwen2": H | SHARED,
    "gpt_neox": H,
    "opt": H | {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128},
    "phi": H,  # its output layer has a bias
    "gptj": G | {"rotary_dim": 8},
    "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "intermediate_size": 64, "window_size": 16,
                "max_position_embeddings": 128, "attention_types": [[["global", "local"], 1]]},
    "gemma2": H | SHARED | {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8},
    "cohere": H | {"num_key_value_heads": 4},
}  # fmt: skip
REFUSED = {
    "openai-gpt": G,  # it keeps nothing in a cache: one token at a time it would write another text
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "rwkv": {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32, "context_length": 128},
    "bert": H | {"is_decoder": True},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
}


def save_kind(folder: Path, kind: str, shape: dict) -> Path:
    torch.manual_seed(0)
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), END)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=N_SMALL, **ends, **shape))
    with torch.no_grad():  # biases too: fresh ones are zero, and a forgotten one would not show
        for each in network.parameters():
            each.mul_(4) if each.dim() > 1 else each.add_(torch.randn_like(each) * 0.3)
    network.save_pretrained(folder)
    gpt2_tokenizer(N_SMALL).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")  # transformers' own, about kinds that nobody trains any more
@pytest.mark.parametrize("kind", WRITES)
def test_a_network_of_another_kind_writes_what_transformers_writes(tmp_path, kind):
    folder = save_kind(tmp_path / kind, kind, WRITES[kind])
    model, settings = LanguageModel(folder), Settings(12, temperature=0)
    ids = model.tensor(model.encode(SENTENCE * 2))
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    expected = plain.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=END
    )
    (written,) = model.generate(SENTENCE * 2, settings)
    assert written.token_ids == [i for i in expected[0, ids.shape[1] :].tolist() if i != END]
    # Beside prompts of other lengths, and in a server's batch, it is the same text.
    prompts = ["A", SENTENCE, SENTENCE * 2]
    blank = [Generation(prompt, (), settings, 0, model.name, "fp32", "", "stopped") for prompt in prompts]
    beside = model.resume(blank)
    list(beside)
    alone = [model.generate(prompt, settings)[0].token_ids for prompt in prompts]
    assert [each.token_ids for each in beside.generations()] == alone
    batch, told = Batch(model), {i: [] for i in range(3)}
    for i, prompt in enumerate(prompts):
        tell = lambda steps, ended, i=i: told[i].extend(steps)  # noqa: E731
        batch.add(Row(i, model.encode(prompt), settings, 0, 0, False, (), tell, lambda: True))
    while batch.n_rows:
        batch.turn()
    assert [[step.token_id for step in told[i]] for i in range(3)] == alone


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "precision"),  # BERT as a decoder is right in fp32; its output layer cannot have 8-bit weights
    [(kind, precision) for kind in REFUSED for precision in ("fp32", "int8") if (kind, precision) != ("bert", "fp32")],
)
def test_a_network_that_the_course_cannot_compute_is_refused(tmp_path, kind, precision):
    with pytest.raises(CourseError, match=f"'{kind}'") as error:
        LanguageModel(save_kind(tmp_path / kind, kind, REFUSED[kind]), precision)
    require_three_lines(error.value)
