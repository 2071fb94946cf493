"""The way to the first token imports only what it uses, because every import costs seconds of a cold start."""

import subprocess
import sys

import pytest

from course_utils.core.paths import REPOSITORY

# What draws, grades, analyses and converts has no part in a token.
UNUSED = {
    "pandas", "sklearn", "matplotlib", "nbconvert", "nbformat", "nbgrader", "nbclient", "ipywidgets", "anywidget",
    "IPython", "jupyter_server", "sphinx", "huggingface_hub", "gguf", "uvicorn", "starlette", "pyarrow", "datasets",
    "transformers", "scipy", "sympy", "safetensors",
}  # fmt: skip


def imported(code, *arguments):
    """Return the names of all modules that a new Python has imported after some code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)", *map(str, arguments)]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return set(told.splitlines()[-1].split())


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_first_token_needs_no_library_that_does_something_else(tiny_folder, precision):
    code = (
        "import course_utils\nfrom pathlib import Path\n"
        f"model = course_utils.load(Path(sys.argv[1]), {precision!r})\n"
        "next(iter(model.stream('Once', course_utils.Settings(max_new_tokens=2))))"
    )
    assert imported(code, tiny_folder) & UNUSED == set()


@pytest.mark.parametrize("module", ["tokenizer", "detokenizer", "sampling", "settings", "tokens", "base"])
def test_text_and_sampling_need_no_transformers(module):
    assert "transformers" not in imported(f"import course_utils.models.inference.{module}")


@pytest.mark.parametrize("panel", ["course_utils.Playground", "course_utils.TokenMap", "course_utils.SideBySide"])
def test_the_class_of_a_panel_needs_neither_torch_nor_transformers(panel):
    assert {"torch", "transformers"} & imported(f"import course_utils\n{panel}") == set()
