"""A hash names the bytes that computed: for a model that is held, loaded again, served, or read while it changes."""

import itertools
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from conftest import save_random_gpt2
from safetensors.torch import load_file

from course_utils.core.wheels import sha256_of
from course_utils.errors import CourseError, DamagedFile
from course_utils.experiments.sizes.benchmark import measure_once
from course_utils.models.client.connection import NotServed
from course_utils.models.client.remote_model import RemoteModel
from course_utils.models.inference import language_model
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.loading import load
from course_utils.models.registry import checksums, formats, registry
from course_utils.models.server.serve import ModelServer
from course_utils.models.weights import read_network

pytestmark = pytest.mark.slow

NAME = "mine"
TEXT = "The king was old."


@pytest.fixture
def folder(tmp_path, tiny_folder, monkeypatch) -> Path:
    """A model of the class's own, which a test may change."""
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "own"))
    monkeypatch.setattr(language_model, "_loaded", {})
    return Path(shutil.copytree(tiny_folder, tmp_path / "own" / NAME))


def weights_of(folder: Path) -> str:
    return sha256_of(folder / formats.WEIGHTS)


def bits(folder: Path) -> float:
    """What the file that lies there now says, asked without any cache."""
    return LanguageModel(folder).score(TEXT).total_bits


def flip(file: Path, keeps_times: bool = False) -> None:
    """Change one number in a file in its place; its size stays."""
    before = file.stat()
    with file.open("r+b") as opened:
        opened.seek(-9, os.SEEK_END)
        byte = opened.read(1)
        opened.seek(-9, os.SEEK_END)
        opened.write(bytes([byte[0] ^ 0x3F]))
    if keeps_times:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_in_place(folder: Path, seed: int = 1) -> None:
    """Write other weights as save_pretrained does."""
    save_random_gpt2(folder, seed=seed)


def replace_by_move(folder: Path, seed: int = 1) -> None:
    new = save_random_gpt2(folder.with_name("new"), seed=seed)
    os.replace(new / formats.WEIGHTS, folder / formats.WEIGHTS)
    shutil.rmtree(new)


def replace_and_keep_times(folder: Path, seed: int = 1) -> None:
    before = (folder / formats.WEIGHTS).stat()
    replace_by_move(folder, seed)
    os.utime(folder / formats.WEIGHTS, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / formats.WEIGHTS).stat().st_size == before.st_size


REPLACED = [replace_in_place, replace_by_move, replace_and_keep_times]


@pytest.mark.parametrize("replace", REPLACED)
@pytest.mark.parametrize(("precision", "by_name"), [("fp32", True), ("int8", False)])
def test_weights_that_were_replaced_are_loaded_anew_and_a_held_model_stays_true(folder, replace, precision, by_name):
    asked = NAME if by_name else folder
    old, old_hash = load(asked, precision), weights_of(folder)
    said = old.score(TEXT)
    replace(folder)
    new = load(asked, precision)
    assert old.weights_sha256 == old_hash != new.weights_sha256 == weights_of(folder)
    assert old.score(TEXT) == said
    assert new.score(TEXT).total_bits == LanguageModel(folder, precision).score(TEXT).total_bits != said.total_bits
    assert (old.identity == new.identity, old.folder, new.folder) == (False, None, folder)
    assert load(asked, precision) is new


def test_a_file_that_is_overwritten_in_its_place_changes_no_loaded_network(folder):
    model = LanguageModel(folder)
    before = model.score(TEXT)
    (folder / formats.WEIGHTS).write_bytes(os.urandom((folder / formats.WEIGHTS).stat().st_size))
    assert model.score(TEXT) == before
    (folder / formats.WEIGHTS).write_bytes(b"")
    assert model.score(TEXT).total_bits > 0


@pytest.mark.parametrize("keeps_times", [False, True])
def test_a_single_byte_makes_another_hash(folder, keeps_times):
    before = registry.weights_sha256(NAME)
    flip(folder / formats.WEIGHTS, keeps_times)
    assert registry.weights_sha256(NAME) == weights_of(folder) != before
    assert load(NAME, "fp32").weights_sha256 == weights_of(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"])
def test_a_changed_config_or_tokenizer_is_another_model_with_the_same_weights(folder, name):
    old = load(NAME, "fp32")
    told = json.loads((folder / name).read_text("utf-8"))
    (folder / name).write_text(json.dumps(told, indent=5), "utf-8")
    new = load(NAME, "fp32")
    assert new is not old and new.weights_sha256 == old.weights_sha256 and new.identity != old.identity


@pytest.mark.parametrize("name", ["README.md", "training.log", "checkpoint.pt", "recipe.json"])
def test_a_file_that_decides_nothing_changes_nothing(folder, name):
    old = load(NAME, "fp32")
    (folder / name).write_text("another file of that folder")
    assert load(NAME, "fp32") is old


def test_a_retargeted_link_is_another_model(folder):
    real = folder.with_name("real")
    for name in ("one", "two"):
        shutil.copytree(folder, real / name)
    replace_by_move(real / "two")
    shutil.rmtree(folder)
    folder.symlink_to(real / "one")
    one = load(NAME, "fp32")
    folder.unlink()
    folder.symlink_to(real / "two")
    two = load(NAME, "fp32")
    assert [one.weights_sha256, two.weights_sha256] == [weights_of(real / each) for each in ("one", "two")]


# -- while it is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", REPLACED)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_that_is_replaced_while_it_is_loaded_gives_no_mixed_identity(folder, monkeypatch, replace, when):
    read, seeds = read_network.read_network, iter([1])

    def disturbed(*what):
        if when == "after":
            network = read(*what)
        for seed in seeds:
            replace(folder, seed)
        return network if when == "after" else read(*what)

    monkeypatch.setattr(read_network, "read_network", disturbed)
    model = LanguageModel(folder)
    monkeypatch.undo()
    assert model.weights_sha256 == weights_of(folder)
    assert model.score(TEXT).total_bits == bits(folder)


def test_a_file_that_never_rests_is_told_in_three_lines(folder, monkeypatch):
    read = read_network.read_network

    def disturbed(*what):
        network = read(*what)
        flip(folder / formats.WEIGHTS)
        return network

    monkeypatch.setattr(read_network, "read_network", disturbed)
    with pytest.raises(DamagedFile, match="change while they are read") as error:
        LanguageModel(folder)
    assert len(str(error.value).splitlines()) == 3


def test_a_file_that_changes_while_it_is_hashed_is_hashed_again(folder, monkeypatch):
    hashing, times = checksums._weights_hashes, iter([True])

    def disturbed(files):
        found = hashing(files)
        for _ in times:
            flip(files[0])
        return found

    monkeypatch.setattr(checksums, "_weights_hashes", disturbed)
    assert registry.weights_sha256(NAME) == weights_of(folder)


def test_loading_while_another_thread_writes_is_true_or_refused(folder):
    others = [save_random_gpt2(folder.with_name(f"w{i}"), seed=i + 1) / formats.WEIGHTS for i in range(2)]
    others.append(Path(shutil.copy(folder / formats.WEIGHTS, folder.with_name("first"))))
    held = {sha256_of(file): load_file(file)["transformer.h.0.mlp.c_fc.weight"] for file in others}
    is_over = threading.Event()

    def write():
        for i in itertools.count():
            shutil.copy(others[i % 2], folder.with_name("next"))
            os.replace(folder.with_name("next"), folder / formats.WEIGHTS)
            if is_over.wait(0.2):
                return

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    try:
        for _ in range(3):
            try:
                found.append(LanguageModel(folder))
            except CourseError as error:
                assert len(str(error).splitlines()) <= 3
    finally:
        is_over.set()
        writer.join()
    for model in [*found, LanguageModel(folder)]:
        assert torch.equal(model.network.blocks[0][1][2].columns, held[model.weights_sha256])


# -- notes about what was verified -------------------------------------------------------------------------------------


def test_a_second_look_hashes_nothing(folder, monkeypatch):
    first = checksums.look(folder)
    monkeypatch.setattr(checksums, "_weights_hashes", lambda files: pytest.fail("hashed again"))
    assert checksums.look(folder) == first
    monkeypatch.setattr(checksums, "_notes", {})  # as in another process
    assert checksums.look(folder) == first


def test_a_pinned_hash_is_compared_also_where_the_folder_was_noted_without_it(folder):
    assert checksums.check(folder)[checksums.WEIGHTS] == weights_of(folder)
    with pytest.raises(DamagedFile, match="another sha256"):
        checksums.check(folder, "0" * 64)


def test_notes_of_another_version_or_of_nonsense_are_not_believed(folder, monkeypatch):
    checksums.look(folder)
    (note,) = (Path(os.environ["COURSE_CACHE"]) / "verified").iterdir()
    for content in (
        "",
        "[]",
        '{"state": {}, "sha256": {}}',
        '{"state": null}',
        note.read_text().replace("sha256", "x"),
    ):
        monkeypatch.setattr(checksums, "_notes", {})
        note.write_text(content)
        assert checksums.check(folder)[checksums.WEIGHTS] == weights_of(folder)


def test_a_cache_that_cannot_be_written_keeps_the_note_in_the_process(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))  # no folder can be made there
    first = checksums.look(folder)
    monkeypatch.setattr(checksums, "_weights_hashes", lambda files: pytest.fail("hashed again"))
    assert checksums.look(folder) == first
    monkeypatch.undo()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("COURSE_MODELS", str(folder.parent))
    assert load(NAME).weights_sha256 == weights_of(folder) and load("pocket-small", "fp32").name == "pocket-small"


# -- experiments -------------------------------------------------------------------------------------------------------


def test_measurements_are_not_kept_under_the_hash_of_other_weights(folder):
    sha256 = weights_of(folder)
    replace_by_move(folder)
    with pytest.raises(DamagedFile, match="change"):
        measure_once(folder, sha256, [TEXT])


# -- behind a server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_server_answers_with_the_weights_that_it_names(folder, precision):
    with ModelServer(port=0, models=(NAME,), precision=precision).in_thread() as server:
        old = RemoteModel(server.url, NAME)
        assert old.weights_sha256 == weights_of(folder)
        assert old.identity == LanguageModel(folder, precision).identity
        stream = old.stream(TEXT, Settings(30, seed=1))
        first = next(stream)
        replace_by_move(folder)
        new = RemoteModel(server.url, NAME)
        assert new.weights_sha256 == weights_of(folder) != old.weights_sha256
        local = LanguageModel(folder, precision)
        assert new.score(TEXT).total_bits == pytest.approx(local.score(TEXT).total_bits, rel=1e-5)
        # The text that was being written goes on with the old weights; a new question to the old model is refused.
        assert list(stream)[-1].is_last and stream.generations()[0].steps[0] == first
        for ask in (
            lambda: old.generate(TEXT, Settings(3)),
            lambda: old.score(TEXT),
            lambda: old.count_tokens(TEXT),
            lambda: list(old.resume(stream.generations())),
        ):
            with pytest.raises(NotServed, match="another mine than before") as error:
                ask()
            assert len(str(error.value).splitlines()) == 3


def test_a_server_that_is_started_anew_with_other_weights_or_precision_is_noticed(folder):
    with ModelServer(port=0, models=(NAME,), precision="fp32").in_thread() as server:
        model, port = RemoteModel(server.url, NAME), int(server.url.rsplit(":", 1)[1])
        begun = model.generate(TEXT, Settings(4, seed=1))
    with (
        ModelServer(port=port, models=(NAME,), precision="int8").in_thread(),
        pytest.raises(NotServed, match="another"),
    ):
        model.score(TEXT)
    replace_by_move(folder)
    with (
        ModelServer(port=port, models=(NAME,), precision="fp32").in_thread(),
        pytest.raises(NotServed, match="another"),
    ):
        list(model.resume(begun))


def test_a_server_tells_the_hash_of_a_model_that_nobody_has_asked_for(folder):
    save_random_gpt2(folder.with_name("other"), seed=5)
    with ModelServer(port=0, models=(NAME,), precision="fp32").in_thread() as server:
        other = RemoteModel(server.url, "other")
        assert other.weights_sha256 == weights_of(folder.with_name("other"))
        assert other.generate(TEXT, Settings(2)) and other.identity == LanguageModel(folder.with_name("other")).identity


def test_the_folder_of_a_remote_model_is_where_the_same_weights_lie(folder):
    with ModelServer(port=0, models=(NAME,), precision="fp32").in_thread() as server:
        model = RemoteModel(server.url, NAME)
        assert model.folder == folder
        replace_by_move(folder)
        assert model.folder is None
        (folder / formats.WEIGHTS).write_bytes(b"damaged")
        assert model.folder is None
