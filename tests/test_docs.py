"""The documentation site: every link inside it leads somewhere, and every page is in the table of contents."""

import json
import re
import sys
from pathlib import Path

import pytest
from repository import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_generated" not in page.parts)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors that MyST gives to the headings of a page: lower case, hyphens for blanks, no other signs."""
    titles = re.findall(r"^#{1,3} (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_link_of_a_page_leads_somewhere(page):
    for target in LINK.findall(page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for page in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / f"{name}.md").resolve() for name in names}
    assert {page.resolve() for page in PAGES} - listed == {(DOCS / "index.md").resolve()}


def test_the_readme_is_short_and_its_picture_small():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.encode()) <= 8000
    pictures = [ROOT / target for target in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)]
    assert pictures
    assert all(picture.stat().st_size <= 150_000 for picture in pictures)


# -- pages of the site that are made from files outside docs/ ----------------------------------------------------------


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """The copies of notebooks and other files that Sphinx reads, made by the site's own extension."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "_extensions"))
        import course_pages

        folder = tmp_path_factory.mktemp("site") / "course"
        patch.setattr(course_pages, "COPIES", folder)
        course_pages.copy_pages(None)
        yield folder
    sys.modules.pop("course_pages", None)


def links_of(page: Path) -> list[str]:
    text = page.read_text("utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return [target for target in LINK.findall(text) if ":" not in target.partition("#")[0]]


def test_every_link_of_a_copied_page_leads_somewhere(copies):
    pages = [page for page in copies.rglob("*") if page.suffix in (".ipynb", ".md")]
    n_links = 0
    for page in pages:
        for target in links_of(page):
            path = target.partition("#")[0]
            assert not path or (page.parent / path).exists(), (page.name, target)
            n_links += 1
    assert n_links > 30


def test_every_notebook_is_on_the_site_and_in_its_list(copies):
    listed = (DOCS / "notebooks.md").read_text("utf-8")
    notebooks = [*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("assignments/*/*.ipynb")]
    for notebook in notebooks:
        path = notebook.relative_to(ROOT)
        assert (copies / path).is_file()
        assert f"](../{path.as_posix()})" in listed, path
    assert not list(copies.rglob("source"))  # solutions and mark schemes are not for the site


def test_below_a_panel_stands_a_note_with_its_picture(copies):
    cells = json.loads((copies / "notebooks" / "demos" / "playground.ipynb").read_text("utf-8"))["cells"]
    note = "".join(cells[-1]["source"])
    assert "A panel appears here when the notebook runs" in note
    picture = copies / "notebooks" / "demos" / re.search(r"!\[[^\]]+\]\(([^)]+)\)", note)[1]
    assert picture.resolve().is_file()


def test_a_second_copy_changes_no_file(copies):
    import course_pages

    before = {file: file.stat().st_mtime_ns for file in copies.rglob("*") if file.is_file()}
    course_pages.copy_pages(None)
    assert {file: file.stat().st_mtime_ns for file in copies.rglob("*") if file.is_file()} == before


def test_every_panel_of_a_notebook_has_its_note(copies):
    import course_pages

    n_notes = 0
    for notebook in copies.rglob("*.ipynb"):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        made = {name for name in re.findall(r"\b([A-Z]\w+)\(", code) if name in course_pages.panels()}
        notes = ["".join(cell["source"]) for cell in cells if "A panel appears here" in "".join(cell["source"])]
        assert made == {re.search(r"`(\w+) <", note)[1] for note in notes}, notebook.name
        n_notes += len(notes)
    assert n_notes >= 20
