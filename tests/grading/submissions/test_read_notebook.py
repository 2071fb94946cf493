"""Whatever bytes come in, text that can be read is read, and nothing that could act comes through."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.grading.submissions.read_notebook import MAX_CELLS, Unreadable, notebook_of, read_cells

TEXTS = ["# Title", "x = 'ä“'\nprint(x)", "Ein Satz – über 李.\n\nUnd noch einer."]


def notebook() -> nbformat.NotebookNode:
    first, *others = TEXTS
    return new_notebook(
        cells=[new_markdown_cell(first), new_code_cell(others[0]), new_markdown_cell(others[1])],
        metadata={"widgets": {"x": "<script>"}, "title": "</title><script>"},
    )


def sources(content: bytes) -> list[str]:
    return [cell.source for cell in read_cells(content).cells]


def as_bytes(values: object) -> bytes:
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    "content",
    [
        as_bytes(notebook()),
        json.dumps(notebook(), ensure_ascii=False, indent=1).encode(),
        json.dumps(notebook(), ensure_ascii=False).encode("utf-8-sig"),
        json.dumps(notebook(), ensure_ascii=False).encode("utf-16"),
        as_bytes(nbformat.convert(notebook(), 3)),
        as_bytes({"cells": [dict(cell, source=cell.source.splitlines(True)) for cell in notebook().cells]}),
        as_bytes([dict(cell) for cell in notebook().cells]),
        as_bytes({**notebook(), "nbformat": 99}),
        json.dumps(notebook(), ensure_ascii=False).encode("utf-16-le"),
        json.dumps(notebook(), ensure_ascii=False).encode("utf-32"),
        as_bytes({"cells": dict(enumerate(notebook().cells))}),
    ],
    ids=["v4", "indented", "bom", "utf-16", "v3", "lines", "list", "of the future", "no bom", "utf-32", "table"],
)
def test_a_whole_notebook_of_any_form_is_read_whole(content):
    read = read_cells(content)
    assert [cell.source for cell in read.cells] == TEXTS
    assert read.is_whole


def test_a_file_cut_off_anywhere_loses_only_what_was_cut():
    content = json.dumps(notebook(), ensure_ascii=False, indent=1).encode()
    kept = []
    for end in range(60, len(content) - 1, 7):
        try:
            read = read_cells(content[:end])
        except Unreadable:
            assert not kept, "text that could be read before is lost by reading more of the file"
            continue
        assert not read.is_whole and read.notes
        for own, text in zip(sources(content[:end]), TEXTS, strict=False):
            assert text.startswith(own.rstrip("\ufffd")) or own == text
        assert len(read.cells) >= len(kept)
        kept = read.cells
    assert len(kept) == len(TEXTS)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"   \n", "empty"),
        (b"PK\x03\x04 and so on", "zip"),
        (b"%PDF-1.7", "PDF"),
        (b"<html><body>", "web page"),
        (b"{}", "no cells"),
        (b"null", "no notebook"),
        (b"[1, 2]", "no notebook"),
        (b"\x00" * 1000, "no cells"),
        (b'{"a":' * 50_000, "no cells"),
        (b"[" * 200_000, "no cells"),
    ],
)
def test_what_is_no_notebook_is_told(content, why):
    with pytest.raises(Unreadable, match=why):
        read_cells(content)


def test_a_merge_conflict_leaves_both_sides():
    one, other = (json.dumps(new_markdown_cell(text)) for text in ("mine", "theirs"))
    content = f'{{"cells": [\n<<<<<<< HEAD\n{one}\n=======\n{other}\n>>>>>>> branch\n], "nbformat": 4}}'.encode()
    assert sources(content) == ["mine", "theirs"]


@pytest.mark.parametrize("value", [5, None, {"a": 1}, [1, "a", None], True, 1e400])
def test_odd_values_for_text_do_not_stop_the_others(value):
    content = json.dumps(
        {"cells": [{"cell_type": "markdown", "source": value}, dict(new_markdown_cell("fine"))]}
    ).encode()
    assert sources(content)[-1] == "fine"


@pytest.mark.parametrize(
    "odd",
    [
        {"cell_type": ["code"]},
        {"cell_type": "heading", "level": 2.0},
        {"metadata": {"nbgrader": {"grade_id": "\ud800", "points": 10**400}}},
        {"attachments": {"\ud800": {"image/png": "aaaa"}}},
        {"id": 5, "metadata": None},
    ],
)
def test_an_odd_cell_can_be_written_down_again(odd):
    cell = {"cell_type": "markdown", "source": "text", **odd}
    read = notebook_of(read_cells(as_bytes({"cells": [cell]})).cells)
    nbformat.writes(read).encode("utf-8")
    assert "text" in read.cells[0].source


def test_of_a_cell_only_text_id_and_our_own_metadata_stay():
    cell = dict(new_markdown_cell("hello", id="good-id"))
    cell["metadata"] = {
        "tags": ["<b>"],
        "nbgrader": {"grade_id": "x", "evil": {"deep": 1}},
        "raw_mimetype": "text/html",
    }
    cell["attachments"] = {"a.png": {"image/svg+xml": "<svg onload=x>"}, "b.png": {"image/png": "iVBORw0KGgo="}}
    code = dict(new_code_cell("1"), outputs=[{"output_type": "display_data", "data": {"text/html": "<script>"}}])
    code["id"] = "not an id <b>"
    first, second = read_cells(as_bytes({"cells": [cell, code], "metadata": {"widgets": 1}})).cells
    assert first.id == "good-id"
    assert first.metadata == {"nbgrader": {"grade_id": "x"}}
    assert first.attachments == {"b.png": {"image/png": "iVBORw0KGgo="}}
    assert second.outputs == [] and "<" not in second.id
    assert "widgets" not in notebook_of([first, second]).metadata


def test_ids_are_made_different():
    made = notebook_of([new_markdown_cell("a", id="same"), new_markdown_cell("b", id="same")])
    assert len({cell.id for cell in made.cells}) == 2
    nbformat.validate(made)


def test_half_characters_and_zeros_can_be_written_down_again():
    content = b'{"cells": [{"cell_type": "markdown", "source": "a\\ud800b\\u0000c"}], "nbformat": 4}'
    read = notebook_of(read_cells(content).cells)
    assert nbformat.reads(nbformat.writes(read), as_version=4).cells[0].source == "a\ufffdb\ufffdc"


def test_too_many_cells_are_cut_and_said():
    many = {"cells": [{"cell_type": "markdown", "source": str(i)} for i in range(MAX_CELLS + 5)]}
    read = read_cells(as_bytes(many))
    assert len(read.cells) == MAX_CELLS and not read.is_whole
