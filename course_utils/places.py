"""Where the course keeps files on this machine. Nothing here is written or made."""

import contextlib
import os
from pathlib import Path

import platformdirs

from course_utils.core.files import expanded

NAME = "model-release-course"


def cache_folder() -> Path:
    """Return the path of the user's cache folder of this course. It need not exist.

    ``COURSE_CACHE`` names another one, for example a scratch disk in a computer room. Whoever writes a file there makes
    the folder. A person without a home folder has no cache: the path is then one below ``os.devnull``, where nothing
    can be read or written, and the error of the first file that must be written asks for ``COURSE_CACHE``.
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
    folder = Path(__file__).parent.parent / "models"
    return folder if (folder / "family.py").is_file() else None
