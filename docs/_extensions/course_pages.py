"""Sphinx extension: pages from files of the repository that are outside ``docs/``, most of all the notebooks.

Sphinx reads one folder. So the files are copied into ``docs/_generated/course`` before Sphinx looks for pages. The
copies lie in the same folders as in the repository: links between them stay as they are. Links from and to the pages
of ``docs/`` are changed. Notebooks are stored without outputs and are not run here. Below a cell that shows a panel
stands a note with a picture of the panel, where there is one.
"""

import ast
import functools
import inspect
import os
import re
from pathlib import Path

import anywidget
import nbformat
from sphinx.application import Sphinx

import course_utils

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
COPIES = DOCS / "_generated" / "course"
PAGES = (
    "notebooks/*.ipynb",
    "notebooks/demos/*.ipynb",
    "assignments/*/*.ipynb",
    "models/*.md",
    "models/*/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


@functools.cache
def panels() -> dict[str, type]:
    """Return the panels that notebooks import from the package, by name."""
    found = {name: getattr(course_utils, name) for name in course_utils.__all__}
    return {
        name: each for name, each in found.items() if inspect.isclass(each) and issubclass(each, anywidget.AnyWidget)
    }


def copy_pages(app: Sphinx) -> None:
    """Copy the files and what they link to; those that have not changed are left alone, and Sphinx skips them."""
    pages = {path for pattern in PAGES for path in ROOT.glob(pattern)}
    pictures = pictures_of_panels()
    texts: dict[Path, bytes] = {}
    for page in pages:
        if page.suffix == ".ipynb":
            notebook = nbformat.read(page, as_version=4)
            notebook.cells = [each for cell in notebook.cells for each in rendered(cell, page, pages, texts, pictures)]
            texts[page] = nbformat.writes(notebook).encode()
        else:
            texts[page] = relinked(page.read_text("utf-8"), page, pages, texts).encode()
    copies = {COPIES / path.relative_to(ROOT): text for path, text in texts.items()}
    for old in COPIES.rglob("*"):
        if old.is_file() and old not in copies:
            old.unlink()
    for copy, text in copies.items():
        if not copy.is_file() or copy.read_bytes() != text:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(text)


def rendered(cell, page: Path, pages: set[Path], texts: dict[Path, bytes], pictures: dict[str, Path]) -> list:
    """Return the cells that stand for a cell on the site: itself, and below a panel a note about the panel."""
    if cell.cell_type == "markdown":
        cell.source = relinked(cell.source, page, pages, texts)
        return [cell]
    cell.outputs = []
    notes = []
    for name in panels_shown(cell.source) if cell.cell_type == "code" else []:
        panel = panels()[name]
        what = (inspect.getdoc(panel) or "").split("\n\n")[0].replace("\n", " ")
        lines = [":::{admonition} A panel appears here when the notebook runs", ":class: note", "", what, ""]
        lines += [f"{{py:class}}`{name} <{panel.__module__}.{panel.__qualname__}>`"]
        if name in pictures:
            texts[pictures[name]] = pictures[name].read_bytes()
            copy = COPIES / pictures[name].relative_to(ROOT)
            lines += ["", f"![The panel {name}]({relative(copy, COPIES / page.relative_to(ROOT))})"]
        notes.append(nbformat.v4.new_markdown_cell("\n".join([*lines, ":::"]), id=f"{cell.id}-panel-{len(notes)}"))
    return [cell, *notes]


def panels_shown(code: str) -> list[str]:
    """Return the panels that the last expression of a cell shows: made in it, or made in the cell and shown by name."""
    try:
        body = ast.parse(code).body
    except SyntaxError:  # a magic command of IPython
        return []
    if not body or not isinstance(body[-1], ast.Expr):
        return []
    shown: list[ast.AST] = [body[-1]]
    names = {node.id for node in ast.walk(body[-1]) if isinstance(node, ast.Name)}
    for statement in body[:-1]:
        if isinstance(statement, ast.Assign) and names & {getattr(each, "id", "") for each in statement.targets}:
            shown.append(statement.value)
    nodes = [node for each in shown for node in ast.walk(each)]
    calls = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [name for name in dict.fromkeys(calls) if name in panels()]


def pictures_of_panels() -> dict[str, Path]:
    """Return the pictures of the demos by the panel that the demo shows."""
    found = {}
    for demo in sorted((ROOT / "notebooks" / "demos").glob("*.ipynb")):
        picture = next((ROOT / "course_utils").rglob(f"pictures/{demo.stem}.png"), None)
        for cell in nbformat.read(demo, as_version=4).cells if picture else []:
            for name in panels_shown(cell.source) if cell.cell_type == "code" else []:
                found[name] = picture
    return found


def relinked(text: str, source: Path, pages: set[Path], texts: dict[Path, bytes]) -> str:
    """Change the links of a file outside ``docs/`` for its copy, and add the files that they lead to."""

    def change(link: re.Match) -> str:
        picture, words, target = link.groups()
        path, _, anchor = target.partition("#")
        linked = (source.parent / path).resolve()
        if ":" in path or not path or linked in pages:
            return link[0]
        if linked.is_relative_to(DOCS) or linked == ROOT / "README.md":
            page = linked if linked.is_relative_to(DOCS) else DOCS / "index.md"
            anchor = anchor if page == linked else ""  # the front page has other headings than README.md
            away = relative(page, COPIES / source.relative_to(ROOT))
            return f"{picture}[{words}]({away}{f'#{anchor}' if anchor else ''})"
        if linked.is_file() and linked.is_relative_to(ROOT):
            texts[linked] = linked.read_bytes()
            return link[0]
        return words

    return LINK.sub(change, text)


def relink_docs(app: Sphinx, docname: str, content: list[str]) -> None:
    """Change the links of a page in ``docs/`` that lead out of it, to the copies (an event of Sphinx, source-read)."""
    source = Path(app.env.doc2path(docname))
    if source.suffix != ".md" or source.is_relative_to(COPIES):
        return

    def change(link: re.Match) -> str:
        picture, words, target = link.groups()
        path, _, anchor = target.partition("#")
        linked = (source.parent / path).resolve()
        if ":" in path or linked.is_relative_to(DOCS) or not linked.is_relative_to(ROOT):
            return link[0]
        copy = COPIES / linked.relative_to(ROOT)
        if not copy.is_file():
            return words
        return f"{picture}[{words}]({relative(copy, source)}{f'#{anchor}' if anchor else ''})"

    content[0] = LINK.sub(change, content[0])


def relative(target: Path, page: Path) -> str:
    """Return the link from a page to a file."""
    return Path(os.path.relpath(target, page.parent)).as_posix()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", copy_pages, priority=100)  # before autosummary, and before pages are looked for
    app.connect("source-read", relink_docs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
