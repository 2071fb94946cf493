"""Lazy exports of a package: names that its users import from it, each fetched from its module when first used.

A package lists them twice, for two readers: as imports under ``if TYPE_CHECKING:``, for type checkers and for the table
made here, and in ``__all__``. The linter compares the two. Nothing else is imported when the package is.
"""

import ast
import importlib
import inspect
import sys
from collections.abc import Callable


def lazy_exports(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` (PEP 562) for a package whose exports are imported when they are used.

    Parameters
    ----------
    package : str
        The ``__name__`` of the package that calls this function.
    """
    table = _table(package)

    def fetch(name: str) -> object:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(sorted(table))}")
        module, inside = table[name]
        try:
            if module != package:
                found = importlib.import_module(module)
                if hasattr(found, inside):
                    return getattr(found, inside)
            return importlib.import_module(f"{module}.{inside}")  # the name is a module
        except ModuleNotFoundError as problem:
            from course_utils.core.extras import missing_package

            if (error := missing_package(problem)) is None:
                raise
            raise error from problem

    return fetch, lambda: sorted(table)


def origin_of(package: str, name: str) -> tuple[str, str]:
    """Return in which module an export of a package is defined, and its name there; nothing is imported."""
    return _table(package)[name]


def _table(package: str) -> dict[str, tuple[str, str]]:
    """Read the imports under ``if TYPE_CHECKING:`` in a package's source."""
    source = inspect.getsource(sys.modules[package])
    table: dict[str, tuple[str, str]] = {}
    for block in ast.parse(source).body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for line in block.body:
                if isinstance(line, ast.ImportFrom) and line.module and not line.level:
                    table |= {alias.asname or alias.name: (line.module, alias.name) for alias in line.names}
    return table
