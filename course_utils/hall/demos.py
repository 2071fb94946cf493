"""Demos of the demo server: their notebooks, and what the gallery says about each."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.widgets.lecture.demos import Demo, demos


class NoDemos(CourseError):
    """The folder of demos holds no notebook, or does not exist."""


@dataclass(frozen=True)
class DemoNotebook:
    """One demo.

    Parameters
    ----------
    key : str
        The notebook's name without its ending, as it stands in the address.
    notebook : Path
    title : str
        What the gallery and the page's tab call it.
    told : Demo, optional
        What else there is to say of it.
    """

    key: str
    notebook: Path
    title: str
    told: Demo | None = None


def read_demos(folder: Path) -> dict[str, DemoNotebook]:
    """Return the demos of a folder: first those that a lecture has, in its order, then others by name.

    Raises
    ------
    NoDemos
    """
    notebooks = {}
    with contextlib.suppress(OSError):
        notebooks = {file.stem: file.resolve() for file in sorted(folder.glob("*.ipynb"))}
    if not notebooks:
        raise NoDemos(
            f"No notebook lies in {folder}.",
            "A folder with the demos, such as notebooks/demos.",
            "Start the hall in the course's folder, or say --demos FOLDER.",
        )
    told = {each.key: each for each in demos()}
    keys = [key for key in told if key in notebooks] + [key for key in notebooks if key not in told]
    return {key: _shown(key, notebooks[key], told.get(key)) for key in keys}


def _shown(key: str, notebook: Path, told: Demo | None) -> DemoNotebook:
    """Name it as the lecture does, else by the notebook's own title, else by its file."""
    title = told.title if told else _own_title(notebook)
    return DemoNotebook(key, notebook, title or key.replace("_", " ").capitalize(), told)


def _own_title(notebook: Path) -> str:
    """Return a notebook's own title, or nothing; a file that is no notebook is told when it is run."""
    try:
        title = json.loads(notebook.read_text("utf-8"))["metadata"]["title"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return title if isinstance(title, str) else ""
