"""Former module paths: where notebooks that people have already import from, though the module has moved.

An entry stays for as long as a notebook with the former path may be opened or handed in.
"""

import importlib
import re
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# former path: the module that has its names now
FORMER = {
    "course_utils.grading.expect": "course_utils.expect",  # test cells of assignments that were released with it
}
# words in text cells of an earlier release: the words of the present one
FORMER_WORDS = {
    "Notebook 5 draws loss against size": "Notebook 3 draws loss against size",  # the notebooks have new numbers
}


class _Finder(MetaPathFinder, Loader):
    """Finds a module by its former path. Python asks it last, so a module that exists is never replaced."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return a spec for a former path."""
        return ModuleSpec(name, self, origin=FORMER[name]) if name in FORMER else None

    def exec_module(self, module: ModuleType) -> None:
        """Give a module of the former path the names of the one that has them now."""
        now = vars(importlib.import_module(FORMER[module.__name__]))
        vars(module).update({name: value for name, value in now.items() if not name.startswith("__")})


def install() -> None:
    """Let ``import`` find former paths."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def with_present_paths(source: str) -> str:
    """Return the text of a cell of an earlier release as the present release has it, to compare the two.

    Module paths in imports and the words of `FORMER_WORDS` are replaced.

    Examples
    --------
    >>> with_present_paths("from course_utils.grading.expect import expect")
    'from course_utils.expect import expect'
    """
    for former, present in FORMER.items():
        source = re.sub(
            rf"^([ \t]*+(?:from|import)[ \t]++){re.escape(former)}(?![\w.])", rf"\g<1>{present}", source, flags=re.M
        )
    for former, present in FORMER_WORDS.items():
        source = source.replace(former, present)
    return source
