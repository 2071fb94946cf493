"""Size limits of formgrader's page of one notebook: cells, characters and outputs."""

from collections.abc import Sequence
from typing import Any

from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode

from course_utils.grading.html.safe_html import NOT_SHOWN, PLAIN

PAGE = 1_000_000  # characters of all cells and outputs of a page
MAX_CELLS = 500  # that carry no points; cells with points are always shown


class BoundedPage(Preprocessor):
    """Cut what one page of formgrader shows of a notebook; the notebook's file stays whole."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Return a smaller notebook."""
        left, n_others, cut = PAGE, 0, []
        for cell in nb.cells:
            marks = cell.get("metadata", {}).get("nbgrader")
            n_others += not marks
            if not marks and n_others > MAX_CELLS:
                continue
            shown = NotebookNode({**cell, "metadata": NotebookNode({"nbgrader": marks} if marks else {})})
            shown.pop("attachments", None)
            if cell.get("cell_type") == "raw":  # nbconvert would put its HTML into the page
                shown.cell_type = "markdown"
            shown.source = _cut(str(cell.get("source", "")), min(left, PLAIN))
            left = max(0, left - len(shown.source))
            if cell.get("cell_type") == "code":
                shown.outputs, left = _cut_outputs(cell.get("outputs", ()), left)
            cut.append(shown)
        if n_others > MAX_CELLS:
            notice = f"[{n_others - MAX_CELLS:,} more cells are not shown here. They are in the student's file.]"
            cut.append(NotebookNode(cell_type="markdown", id="not-shown", metadata=NotebookNode(), source=notice))
        about = NotebookNode(language_info=NotebookNode(name="python"))
        return NotebookNode(nbformat=4, nbformat_minor=5, metadata=about, cells=cut), resources


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n\n{NOT_SHOWN.format(n=len(text) - longest)}"


def _cut_outputs(outputs: Sequence[NotebookNode], left: int) -> tuple[list[NotebookNode], int]:
    """Return outputs up to a number of characters, and how many characters are left for the others."""
    found = []
    for output in outputs:
        n = len(str(output))  # of pictures too, which lie in it as text
        if n > left:
            notice = NOT_SHOWN.format(n=n)
            found.append(NotebookNode(output_type="stream", name="stdout", text=f"{notice}\n"))
            break
        left -= n
        found.append(output)
    return found, left
