"""Source notebooks of instructors, read with errors that name the file and the fault."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.core.files import read_errors
from course_utils.errors import DamagedFile


def read_notebook(file: Path, next_step: str = "") -> NotebookNode:
    """Return a notebook of an instructor in format 4.

    Parameters
    ----------
    file : Path
    next_step : str
        What the error tells the user to do.

    Raises
    ------
    TextError
        It cannot be read.
    DamagedFile
        It is no notebook.
    """
    with read_errors(file, "A notebook that you may read."):
        text = file.read_text("utf-8")
    try:
        notebook: NotebookNode = nbformat.reads(text, as_version=4)
        if not all(isinstance(cell.source, str) for cell in notebook.cells):
            raise ValueError("a cell has no text")
    except Exception as problem:  # nbformat raises many kinds for what is no notebook
        reason = " ".join(str(problem).split())[:150]
        raise DamagedFile(
            f"{file} is no notebook: {type(problem).__name__}: {reason}.",
            "A Jupyter notebook that opens in JupyterLab.",
            next_step or "Put a sound copy in its place.",
        ) from problem
    return notebook
