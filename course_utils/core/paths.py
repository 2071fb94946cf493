"""Paths of the package, of its data files, and of the folders that it uses on this machine. Nothing here is made."""

import contextlib
import importlib.resources
import os
import sys
from pathlib import Path

import platformdirs

from course_utils.core.files import expanded

NAME = "model-release-course"
# The only place that knows where the package lies; everything else asks here, so that a module can move.
PACKAGE = Path(str(importlib.resources.files(__name__.partition(".")[0])))
REPOSITORY = PACKAGE.parent  # where the package runs from a checkout; elsewhere the folder in which it is installed


def data_file(module: str, name: str) -> Path:
    """Return the path of a data file, or of a folder of them, that lies beside a module of this package.

    Parameters
    ----------
    module : str
        The module's ``__name__``.
    name : str
        The file's name in the folder of the module.

    Examples
    --------
    >>> data_file("course_utils.errors", "errors.py") == PACKAGE / "errors.py"
    True
    """
    spec = sys.modules[module].__spec__  # unlike the name, it is right for a module that is started with -m
    return Path(str(importlib.resources.files(spec.parent if spec and spec.parent else module))) / name


def source_file(module: str) -> Path:
    """Return the file of a module that is imported, by its ``__name__``."""
    spec = sys.modules[module].__spec__
    assert spec is not None and spec.origin is not None  # only a program typed in at a prompt has neither
    return Path(spec.origin)


def python_path() -> str:
    """Return ``PYTHONPATH`` for a child process that must find this package, whatever folder it starts in."""
    return os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))


def cache_folder() -> Path:
    """Return the path of the user's cache folder of this course. It need not exist.

    ``COURSE_CACHE`` names another one, for example a scratch disk in a computer room. The caller that writes a file
    there makes the folder. A user without a home folder has no cache: the path is then one below ``os.devnull``, where
    nothing can be read or written, and the error of the first file that must be written asks for ``COURSE_CACHE``.
    """
    if chosen := os.environ.get("COURSE_CACHE"):
        return expanded(chosen)
    with contextlib.suppress(RuntimeError):  # a user without a home folder, as in some containers
        folder = Path(platformdirs.user_cache_dir(NAME, appauthor=False))
        if folder.is_absolute():  # older versions return a path that begins with "~"
            return folder
    return Path(os.devnull).absolute() / NAME


def own_models_folder() -> Path | None:
    """Return the folder named by ``COURSE_MODELS``, where a class keeps models of its own, or None."""
    chosen = os.environ.get("COURSE_MODELS")
    return expanded(chosen) if chosen else None


def course_models_folder() -> Path | None:
    """Return the folder of the models that come with the course's repository, or None where only the package is."""
    folder = REPOSITORY / "models"
    return folder if (folder / "family.py").is_file() else None
