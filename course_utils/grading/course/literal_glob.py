"""Glob patterns of nbgrader below folders whose names hold glob characters, such as ``course [2026]``."""

import functools
import glob
import os
from types import SimpleNamespace
from typing import Any


def literal_glob(pattern: str, **named: Any) -> list[str]:
    """Return the paths that match a pattern whose leading part, as far as it exists, is meant literally.

    nbgrader builds its patterns as *folder of the course* / *pattern*, without escaping the folder.

    Parameters
    ----------
    pattern : str
    **named
        As for `glob.glob`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "course [2026]").mkdir()
    ...     (Path(folder) / "course [2026]" / "a.ipynb").touch()
    ...     len(literal_glob(f"{folder}/course [2026]/*.ipynb"))
    1
    """
    head = str(pattern)
    rest: list[str] = []
    while glob.has_magic(head) and not os.path.lexists(head):
        parent, name = os.path.split(head)
        if parent == head:
            break
        rest.insert(0, name)
        head = parent
    return glob.glob(os.path.join(glob.escape(head) if os.path.lexists(head) else head, *rest), **named)


@functools.cache
def install_literal_glob() -> None:
    """Let nbgrader's commands and pages use `literal_glob`."""
    import nbgrader.apps.api
    import nbgrader.converters.base
    import nbgrader.exchange.default.release_feedback
    import nbgrader.utils

    replacement = SimpleNamespace(glob=literal_glob, escape=glob.escape, has_magic=glob.has_magic, iglob=glob.iglob)
    for module in (
        nbgrader.apps.api,
        nbgrader.converters.base,
        nbgrader.exchange.default.release_feedback,
        nbgrader.utils,
    ):
        module.glob = replacement
