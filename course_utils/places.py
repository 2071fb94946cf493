"""Where the course keeps files on this machine."""

import os
from pathlib import Path

import platformdirs

from course_utils.errors import NoSpace


def cache_folder() -> Path:
    """Return the user's cache folder of this course, made if missing.

    ``COURSE_CACHE`` names another one, for example a scratch disk in a computer room.

    Raises
    ------
    NoSpace
        If it cannot be made.
    """
    chosen = os.environ.get("COURSE_CACHE") or platformdirs.user_cache_dir("model-release-course", appauthor=False)
    folder = Path(chosen).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise NoSpace(
            f"The cache folder {folder} cannot be made: {problem.strerror}.",
            "A folder that you may write.",
            "Set COURSE_CACHE to another folder.",
        ) from problem
    return folder


def own_models_folder() -> Path | None:
    """Return the folder named by ``COURSE_MODELS``, where a class keeps models of its own, or None."""
    chosen = os.environ.get("COURSE_MODELS")
    return Path(chosen).expanduser() if chosen else None


def course_models_folder() -> Path | None:
    """Return the folder of the models that come with the course's repository, or None where only the package is."""
    folder = Path(__file__).parent.parent / "models"
    return folder if (folder / "family.py").is_file() else None
