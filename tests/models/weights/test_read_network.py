"""Networks read tensor by tensor, and their cache: the same numbers as at once, whatever happens to the files."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from conftest import save_random_gpt2
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from course_utils.core import files as written_files
from course_utils.core.paths import python_path
from course_utils.errors import DamagedFile
from course_utils.models.networks.build import build
from course_utils.models.networks.weights import StateWeights
from course_utils.models.registry import checksums, formats
from course_utils.models.weights import cached_files, quantized_cache, read_network

CPU = torch.device("cpu")
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
SHAPES = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": 301}
ENDS = {"bos_token_id": 0, "eos_token_id": 0}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory) -> Path:
    return save_random_gpt2(tmp_path_factory.mktemp("weights") / "gpt2", **SHAPES, **ENDS)


@pytest.fixture(scope="module")
def llama(tmp_path_factory, gpt2) -> Path:
    folder = Path(shutil.copytree(gpt2, tmp_path_factory.mktemp("weights") / "llama"))
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=301, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, **ENDS,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(gpt2, tmp_path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(gpt2, tmp_path / "own"))


@pytest.fixture
def cached(monkeypatch):
    """Let also these small models be kept."""
    monkeypatch.setattr(quantized_cache, "LEAST_BYTES", 0)
    monkeypatch.setenv(cached_files.LIMIT, "100")


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text("utf-8"))


def read(folder: Path, precision: str = "int8"):
    return read_network.read_network(checksums.look(folder), config_of(folder), precision, CPU)


def logits(network) -> torch.Tensor:
    return network.read(IDS, network.new_cache(), all_logits=True)


def at_once(folder: Path, precision: str = "int8") -> torch.Tensor:
    """The logits of the network whose weights transformers has read and which were rounded all together."""
    state = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    return logits(build(config_of(folder), StateWeights(state, precision), CPU))


def is_from_source(folder: Path, monkeypatch) -> bool:
    """Tell whether loading reads the checkpoint, and not the cache."""
    used, reading = [], quantized_cache.CachingWeights.__init__
    monkeypatch.setattr(
        quantized_cache.CachingWeights, "__init__", lambda self, *rest: (used.append(1), reading(self, *rest))[1]
    )
    assert torch.equal(logits(read(folder)), at_once(folder))
    monkeypatch.setattr(quantized_cache.CachingWeights, "__init__", reading)
    return bool(used)


# -- the reader --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_reading_one_tensor_at_a_time_gives_the_numbers_of_reading_all_at_once(kind, precision, request):
    folder = request.getfixturevalue(kind)
    network = read(folder, precision)
    assert torch.equal(logits(network), at_once(folder, precision))
    assert network.n_parameters == AutoModelForCausalLM.from_pretrained(folder).num_parameters()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("has_prefix", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_other_dtypes_and_names_without_prefix_are_read(folder, dtype, has_prefix, precision):
    state = {name: tensor.to(dtype) for name, tensor in load_file(folder / formats.WEIGHTS).items()}
    if not has_prefix:
        state = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
        state["h.0.attn.bias"] = torch.ones(1, 1, 32, 32, dtype=torch.bool)  # a mask, as in the files of the hub
    save_file(state, folder / formats.WEIGHTS)
    assert torch.equal(logits(read(folder, precision)), at_once(folder, precision))


def test_blocks_of_rows_do_not_change_the_numbers(gpt2, monkeypatch):
    expected = logits(read(gpt2))
    for n_bytes in (1, 1000, 7777):
        monkeypatch.setattr("course_utils.models.weights.file_weights.BLOCK_BYTES", n_bytes)
        assert torch.equal(logits(read(gpt2)), expected)


def test_shards_are_read(folder):
    expected = at_once(folder)
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="30KB")
    (folder / formats.WEIGHTS).unlink(missing_ok=True)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert torch.equal(logits(read(folder)), expected)


def test_an_embedding_too_large_for_fp16_stays_fp32(folder):
    state = load_file(folder / formats.WEIGHTS)
    state["transformer.wte.weight"][5, 7] = 1e6
    save_file(state, folder / formats.WEIGHTS)
    assert read(folder).token_embedding.dtype == torch.float32 and logits(read(folder)).isfinite().all()


def test_a_missing_tensor_is_named(folder):
    state = load_file(folder / formats.WEIGHTS)
    del state["transformer.h.1.mlp.c_fc.weight"]
    save_file(state, folder / formats.WEIGHTS)
    with pytest.raises(DamagedFile, match=r"among them transformer.h.1.mlp.c_fc.weight"):
        read(folder)


def test_a_file_that_is_cut_off_while_it_is_read_is_an_error_and_not_the_end_of_the_process(folder):
    seen = checksums.look(folder)
    places = formats.tensor_places(folder)
    (folder / formats.WEIGHTS).write_bytes(b"")
    with read_network.TensorFiles(places) as files, pytest.raises(DamagedFile, match="ends too early"):
        files.read("transformer.wte.weight")
    assert not seen.is_current()


# -- the cache ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_second_start_reads_the_cache_and_gives_the_same_logits(kind, cached, request, monkeypatch):
    folder = request.getfixturevalue(kind)
    first = read(folder)
    monkeypatch.setattr(quantized_cache, "CachingWeights", None)  # the checkpoint is not read again
    monkeypatch.setattr(read_network, "CachingWeights", None)
    second = read(folder)
    assert torch.equal(logits(first), logits(second)) and first.n_parameters == second.n_parameters
    assert len(cached_files.files()) == 1
    assert load_file(cached_files.files()[0].path)  # a safetensors file like any other


def damage_nothing(path: Path) -> None:
    """Leave the file as it is."""


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 5)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        byte = file.read(1)
        file.seek(-9, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))


def flip_without_note(path: Path) -> None:
    flip(path)
    cached_files.note_of(path).unlink(missing_ok=True)


def flip_and_keep_times(path: Path) -> None:
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_in_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"wpe", b"wqe", 1))


def other_scheme(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"fp16 embedding, 1", b"fp16 embedding, 0", 1))


def nonsense(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [cut, empty, flip, flip_without_note, flip_and_keep_times, rename_in_header, other_scheme, nonsense]


@pytest.mark.parametrize("damage", [damage_nothing, folder_in_its_place, *DAMAGES])
def test_a_damaged_cache_is_made_again(gpt2, cached, monkeypatch, damage):
    read(gpt2)
    (kept,) = cached_files.files()
    damage(kept.path)
    assert is_from_source(gpt2, monkeypatch) == (damage is not damage_nothing)
    if damage is not folder_in_its_place:
        assert not is_from_source(gpt2, monkeypatch)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cache_that_changes_while_it_is_read_is_not_used(gpt2, cached, monkeypatch, damage):
    expected = at_once(gpt2)
    read(gpt2)
    (kept,) = cached_files.files()
    linear, done = quantized_cache.CachedWeights.linear, []

    def disturbed(self, *names, **options):
        if not done:
            done.append(damage(kept.path))
        return linear(self, *names, **options)

    monkeypatch.setattr(quantized_cache.CachedWeights, "linear", disturbed)
    assert torch.equal(logits(read(gpt2)), expected) and done
    assert torch.equal(logits(read(gpt2)), expected)


def test_another_checkpoint_or_config_has_a_cache_of_its_own(folder, cached):
    read(folder)
    config = config_of(folder)
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_epsilon": 0.1}))
    assert torch.equal(logits(read(folder)), at_once(folder))
    save_random_gpt2(folder, seed=3, **SHAPES, **ENDS)
    assert torch.equal(logits(read(folder)), at_once(folder))
    assert len(cached_files.files()) == 3


def test_weights_that_changed_while_they_were_read_are_not_kept(folder, cached, monkeypatch):
    whole = quantized_cache.CachingWeights.whole

    def disturbed(self, *names, **options):
        flip(folder / formats.WEIGHTS)
        return whole(self, *names, **options)

    monkeypatch.setattr(quantized_cache.CachingWeights, "whole", disturbed)
    read(folder)
    assert not list(cached_files.folder().iterdir())


def test_a_full_disk_costs_only_the_cache(gpt2, cached, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(written_files.os, "fsync", full)
    assert torch.equal(logits(read(gpt2)), at_once(gpt2))
    assert not [path for path in cached_files.folder().iterdir() if path.suffix != ".json"]


@pytest.mark.parametrize("is_file", [False, True])
def test_a_folder_that_cannot_be_made_costs_only_the_cache(gpt2, cached, tmp_path, monkeypatch, is_file):
    (tmp_path / "place").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "place" if is_file else tmp_path / "place" / "below"))
    assert torch.equal(logits(read(gpt2)), at_once(gpt2)) and not cached_files.files()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_costs_only_the_cache(gpt2, cached):
    cached_files.folder().mkdir(parents=True)
    cached_files.folder().chmod(0o500)
    assert torch.equal(logits(read(gpt2)), at_once(gpt2)) and not cached_files.files()
    cached_files.folder().chmod(0o700)


def test_what_was_used_longest_ago_goes_first(tmp_path, cached, monkeypatch):
    models = [save_random_gpt2(tmp_path / f"m{i}", seed=i, **SHAPES, **ENDS) for i in range(3)]
    paths = [quantized_cache.path_of(checksums.look(each)) for each in models]
    for i, each in enumerate(models[:2]):
        read(each)
        os.utime(paths[i], (i + 1, i + 1))
        read(each)  # its new state is noted
        os.utime(cached_files.note_of(paths[i]), (i + 1, i + 1))
    assert [each.path for each in cached_files.files()] == paths[:2]
    read(models[0])
    assert [each.path for each in cached_files.files()] == [paths[1], paths[0]]
    monkeypatch.setenv(cached_files.LIMIT, str(2.5 * cached_files.files()[0].n_bytes / 1e6))
    read(models[2])
    assert {each.path for each in cached_files.files()} == {paths[0], paths[2]}


@pytest.mark.parametrize("limit", ["0", "0.00001"])
def test_a_limit_that_is_too_small_keeps_nothing(gpt2, cached, monkeypatch, limit):
    monkeypatch.setenv(cached_files.LIMIT, limit)
    assert torch.equal(logits(read(gpt2)), at_once(gpt2)) and not cached_files.files()


def test_two_writers_and_readers_at_once(gpt2, cached):
    expected, found = at_once(gpt2), []
    threads = [threading.Thread(target=lambda: found.append(logits(read(gpt2)))) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 6 and all(torch.equal(each, expected) for each in found)
    assert torch.equal(logits(read(gpt2)), expected)
    assert [path.suffix for path in sorted(cached_files.folder().iterdir())] == [".json", ".safetensors"]


def test_all_can_be_removed(gpt2, cached):
    read(gpt2)
    (cached_files.folder() / ".half-written").write_text("")
    n_removed, mb = cached_files.clear()
    assert (n_removed, mb > 0, list(cached_files.folder().iterdir())) == (1, True, [])


# -- memory ------------------------------------------------------------------------------------------------------------

MEASURE = """
import json, sys, torch
from pathlib import Path
from course_utils.models.registry import checksums
from course_utils.models.weights.read_network import read_network

def status(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) * 1024

torch.set_num_threads(1)
folder = Path(sys.argv[1])
small, large = (checksums.look(folder / name) for name in ("small", "large"))
config = lambda seen: json.loads((seen.folder / "config.json").read_text())
read_network(small, config(small), sys.argv[2], torch.device("cpu"))  # what torch allocates once
before, peak_before = status("VmRSS"), status("VmHWM")
network = read_network(large, config(large), sys.argv[2], torch.device("cpu"))
print(json.dumps([network.nbytes, status("VmRSS") - before, status("VmHWM") - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_memory_is_that_of_the_weights_and_the_peak_a_layer_more(tmp_path, gpt2, precision):
    shutil.copytree(gpt2, tmp_path / "small")
    # 12 layers of 7 M numbers: 340 MB in fp32.
    shape = SHAPES | {"n_embd": 768, "n_layer": 12, "n_head": 12}
    fp32 = (save_random_gpt2(tmp_path / "large", **shape, **ENDS) / formats.WEIGHTS).stat().st_size
    for _ in range(2):  # from the checkpoint, then from the cache
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(tmp_path), precision], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONPATH": python_path()},
        )  # fmt: skip
        n_bytes, steady, peak = json.loads(done.stdout)
        assert n_bytes < (0.3 if precision == "int8" else 1.1) * fp32
        assert steady < n_bytes + 0.1 * fp32 and peak < n_bytes + 0.25 * fp32
