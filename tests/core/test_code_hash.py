"""The hash of a module's code changes with what the module computes, and with nothing else."""

import importlib
import itertools

import pytest

from course_utils.core.code_hash import code_hash

NUMBERS = itertools.count()  # each module has a name of its own: Python and the hash remember it
CODE = "import os\n\nLIMIT = 3\n\n\ndef first(values):\n    return values[0] * LIMIT\n"


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """Return the hash of a module with a given source."""
    monkeypatch.syspath_prepend(tmp_path)

    def hashed(source: str) -> str:
        name = f"code_hash_example_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        importlib.import_module(name)
        return code_hash(name)

    return hashed


@pytest.mark.parametrize(
    "other",
    [
        '"""A text."""\n' + CODE,
        CODE.replace("import os\n", "import json\nfrom pathlib import Path\n"),
        CODE.replace("    return", '    """Say what."""\n    # why\n    return'),
        CODE.replace("values[0] * LIMIT", "(\n        values[0]\n        * LIMIT\n    )"),
        CODE.replace("    return", "    import math  # noqa\n\n    return"),
    ],
)
def test_words_layout_and_imports_change_nothing(other, hash_of):
    assert hash_of(CODE) == hash_of(other)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("LIMIT = 3", "LIMIT = 4"),
        CODE.replace("values[0]", "values[1]"),
        CODE.replace("* LIMIT", "/ LIMIT"),
        CODE + "\n\ndef second(values):\n    return values[1]\n",
        CODE.replace("    return", "    values.sort()\n    return"),
    ],
)
def test_other_code_has_another_hash(other, hash_of):
    assert hash_of(CODE) != hash_of(other)


def test_several_modules_have_one_hash_that_knows_their_order():
    first, second = "course_utils.errors", "course_utils.core.paths"
    assert len({code_hash(first), code_hash(second), code_hash(first, second), code_hash(second, first)}) == 4
