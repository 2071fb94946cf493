"""What a box must see so that evidence can be done again in it: the models and texts of this machine, to read only."""

import os
from pathlib import Path

from course_utils.places import cache_folder, course_models_folder, own_models_folder

CACHE = Path("/tmp/cache")  # in the box: the course writes there what nobody needs afterwards


def model_folders() -> tuple[list[Path | tuple[Path, Path]], dict[str, str]]:
    """Return which folders a box reads, and the variables that tell the course where they are in it."""
    read: list[Path | tuple[Path, Path]] = []
    variables = {"COURSE_CACHE": str(CACHE)}
    for name in ("models", "texts", "wheels"):
        if (cache_folder() / name).is_dir():
            read.append(((cache_folder() / name).resolve(), CACHE / name))
    for folder in (course_models_folder(), own_models_folder()):
        if folder and folder.is_dir():
            read.append((folder.resolve(), folder))
    if own := own_models_folder():
        variables["COURSE_MODELS"] = str(own)
    elif "COURSE_MODELS" in os.environ:
        variables["COURSE_MODELS"] = os.environ["COURSE_MODELS"]
    return read, variables
