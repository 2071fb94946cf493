"""An essay is read out of any notebook, its words counted as a reader counts them, its Markdown shown as data."""

import copy
import html
import json
import time
from html.parser import HTMLParser

import pytest
from made_course import ROOT, SECTIONS, essay

from course_utils.errors import TextError
from course_utils.evidence.essay.essay import PLACEHOLDER, n_words, read_essay
from course_utils.evidence.essay.markdown import blocks, to_html
from course_utils.evidence.essay.sentences import sentences


def written(**texts: str) -> dict:
    notebook = json.loads(json.dumps(essay()))
    for cell in notebook["cells"]:
        cell["source"] = texts.get(cell["id"].removeprefix("text-"), cell["source"])
    return notebook


TEXTS = {key: f"What I write about {key}." for key in SECTIONS}


def texts(notebook: dict) -> dict[str, str]:
    return {section.key: section.text for section in read_essay(notebook).sections}


def test_each_section_holds_what_was_written_there():
    assert texts(written(**TEXTS)) == TEXTS


def test_an_unwritten_essay_has_no_words():
    assert read_essay(written()).n_words == 0
    assert set(texts(written()).values()) == {""}


def test_cells_that_were_added_belong_to_the_section_above():
    notebook = written(**TEXTS)
    place = next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == "text-counter") + 1
    notebook["cells"].insert(place, {"cell_type": "markdown", "source": "And more.", "metadata": {}})
    assert texts(notebook)["counter"] == f"{TEXTS['counter']}\n\nAnd more."


def without_metadata(notebook: dict) -> None:
    for cell in notebook["cells"]:
        cell["metadata"] = {}


def as_lines(notebook: dict) -> None:
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)


def with_odd_cells(notebook: dict) -> None:
    notebook["cells"][:0] = [
        5,
        None,
        {},
        {"cell_type": "markdown"},
        {"cell_type": "markdown", "source": 7, "metadata": "x"},
    ]


def made_code(notebook: dict) -> None:
    """A key that students press by mistake makes code, or raw text, of a cell."""
    for cell in notebook["cells"]:
        if cell["id"] in ("text-thesis", "text-counter"):
            cell["cell_type"] = "code" if cell["id"] == "text-thesis" else "raw"


def with_code_between(notebook: dict) -> None:
    for place in reversed([i for i, cell in enumerate(notebook["cells"]) if cell["id"].startswith("text-")]):
        notebook["cells"].insert(place, {"cell_type": "code", "source": "1 + 1", "metadata": {}, "id": f"mine-{place}"})


def with_headings_twice(notebook: dict) -> None:
    for place in reversed([i for i, cell in enumerate(notebook["cells"]) if cell["id"].startswith("heading-")]):
        notebook["cells"].insert(place, json.loads(json.dumps(notebook["cells"][place])))
    for cell in notebook["cells"]:
        if cell["id"].startswith("text-"):
            cell.update(id="mine", metadata={})


CHANGES = [without_metadata, as_lines, with_odd_cells, made_code, with_code_between, with_headings_twice]


@pytest.mark.parametrize("change", CHANGES)
def test_sections_are_found_in_odd_notebooks(change):
    notebook = written(**TEXTS)
    change(notebook)
    assert texts(notebook) == TEXTS


def test_sections_of_the_assignment_are_found_by_their_headings_alone():
    file = ROOT / "source" / "release_strategy" / "release_strategy.ipynb"
    notebook = json.loads(file.read_text("utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = TEXTS.get(cell["id"].removeprefix("text-"), cell["source"])
    with_names = read_essay(notebook)
    for cell in notebook["cells"]:
        del cell["id"], cell["metadata"]
    assert read_essay(notebook) == with_names
    assert {section.key: section.text for section in with_names.sections} == TEXTS


def test_a_heading_of_the_students_own_begins_no_section():
    texts_ = TEXTS | {"counter": "## Recommendation\n\nMine, within the objection.", "thesis": "## Reading 2\n\nNo."}
    assert texts(written(**texts_)) == texts_


@pytest.mark.parametrize(
    ("code", "strategy"),
    [
        ('strategy = "Staged release"', "Staged release"),
        ("strategy = '''two\n lines'''", "two lines"),
        ("# strategy = 'no'\nstrategy = 'yes'", "yes"),
        ("strategy = open('/etc/passwd').read()", ""),
        ("strategy =", ""),
        ("strategy = 5", ""),
        ("x = 'strategy'", ""),
        ("strategy = " + "(" * 5000, ""),
    ],
)
def test_the_strategy_is_read_and_never_run(code, strategy):
    assert read_essay(written(strategy=code)).strategy == strategy


@pytest.mark.parametrize("thing", [{}, {"cells": 5}, [], 5])
def test_what_is_no_notebook_is_told(thing):
    with pytest.raises(TextError):
        read_essay(thing)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "x.ipynb").write_bytes(b"\xff{")
    for name in ("x.ipynb", "missing.ipynb"):
        with pytest.raises(TextError, match=name):
            read_essay(tmp_path / name)


@pytest.mark.parametrize(
    ("markdown", "n"),
    [
        ("", 0),
        ("one two three", 3),
        ("**bold** and *it*", 3),
        ("a - b — c", 3),
        ("don't", 1),
        ("# Heading words", 2),
        ("[link text](https://e.org/a-b c)", 2),
        ("[text][1]\n\n[1]: https://e.org words", 1),
        ("![what is seen](x.png)", 3),
        ("claim [@E-07f3] more", 2),
        ("claim [@E-07f3; @zhang2019, opening].", 1),
        ("claim [@E-07f3;\n@zhang2019]", 1),
        ("<!-- hidden words here --> seen", 1),
        ("<!-- never closed and so on", 0),
        ("<b>one</b> <i>two</i>", 2),
        ("```\ncode is no prose\n```\nprose", 1),
        ("  ~~~\ncode\n  ~~~\nprose", 1),
        ("```python\nno end", 0),
        ("```one``` is code in a line", 6),
        (PLACEHOLDER, 0),
        ("0.89 (0.80 to 0.94)", 4),
        ("李 小 龍", 3),
        ("> quoted words", 2),
        ("... !!! ???", 0),
        ("&nbsp; &amp; one &mdash; two", 2),
        ("| a | b |\n|---|---|\n| c | 1 |", 4),
    ],
)
def test_words_are_counted_as_a_reader_counts(markdown, n):
    assert n_words(markdown) == n


def test_what_is_cited_is_listed_once_in_order():
    notebook = written(thesis="B [@E-bbbb] A [@E-aaaa; @zhang2019] B [@E-bbbb].", counter="[@zellers2019, end]")
    essay_ = read_essay(notebook)
    assert essay_.cited_evidence == ["E-bbbb", "E-aaaa"]
    assert essay_.cited_readings == ["zhang2019", "zellers2019"]


# -- sentences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        ["It was 0.89 (0.80 to 0.94) [@E-07f3].", "Then it fell."],
        ["One, e.g. this one, i.e. that.", "Two."],
        ["Dr. Who came.", "H. Zhang left."],
        ["He said so. [@zhang2019]", "She did not."],
        ["Is it?", "Yes."],
        ["“It is.”", "We doubt it."],
        ["About 3.5 % vs. 4.1 %.", "So?"],
        ["See Fig. 3 of et al. 2019.", "End."],
        ["The answer is no.", "Then it fell."],
        ["See no. 5 and p. 7.", "Then it fell."],
        ["Cats, dogs, etc.", "Then it fell."],
        ["It fell… and rose.", "Then it fell."],
        ["So [@E-07f3;\n@zhang2019].", "Then it fell."],
        ["Version 2.1 came!", "So?"],
    ],
)
def test_a_text_falls_into_its_sentences(parts):
    assert [str(each) for each in sentences(" ".join(parts))] == parts


def test_a_sentence_knows_its_place():
    text = "First one.\n\n- an item\n- Another. And more!\n\nLast"
    for each in sentences(text):
        assert text[each.start : each.end] == str(each)
        assert len(each.bare) == len(str(each))


# -- blocks ------------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "<img src=x onerror=1>",
    "`<b>`",
    "| <b> |\n| - |\n| <i> |",
    "# <script>",
    "> <script>",
    "1. <script>\n2. [a](data:x)",
    "&lt;script&gt;",
    "[@E-07f3<script>]",
    "\u202e\x00<b>",
    "~~~html\n<script>\n~~~",
    "[@zhang2019;\n@<b>]",
    '[x](https://e.org/"><b>)',
]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


@pytest.mark.parametrize("markdown", HOSTILE)
def test_shown_text_makes_no_tags_and_no_attributes_of_its_own(markdown):
    found = Tags(to_html(blocks(markdown))).found
    assert {tag for tag, _ in found} <= {"p", "h4", "blockquote", "li", "pre", "em", "strong", "code", "cite"}
    assert all(attributes == [] for _, attributes in found)


@pytest.mark.parametrize(
    "markdown", ["Plain words.", "*a* **b** `c` d", "> quoted\n> twice", "- one\n- two", "# Head\n\nbody", *HOSTILE[:5]]
)
def test_no_word_is_lost_on_the_way(markdown):
    shown = html.unescape("".join(run["text"] for block in blocks(markdown) for run in block["runs"]))
    for word in ("Plain", "words", "quoted", "twice", "one", "two", "Head", "body", "script", "alert"):
        assert (word in shown) or (word not in markdown) or markdown.startswith("[x](") or markdown.startswith("![")


def test_a_row_of_a_table_is_one_block():
    rows = blocks("| a | b |\n|---|---|\n| 1 [@E-07f3] |  |\n|  | 2 |")
    assert [(each["kind"], "".join(run["text"] for run in each["runs"])) for each in rows] == [
        ("table-row", "a | b"),
        ("table-row", "1 [@E-07f3] | "),
        ("table-row", " | 2"),
    ]


def test_a_citation_may_go_over_the_end_of_a_line():
    (block,) = blocks("So *it\nis* [@E-07f3;\n@zhang2019] and\nso on.")
    assert [run["id"] for run in block["runs"] if "id" in run] == ["E-07f3", "zhang2019"]


def test_citations_are_runs_of_their_own():
    runs = blocks("So [@E-07f3; @zhang2019, opening] it is.")[0]["runs"]
    assert [(run["style"], run.get("id")) for run in runs if run["style"].startswith("cite")] == [
        ("cite-evidence", "E-07f3"),
        ("cite-reading", "zhang2019"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        "[@" * 20_000,
        "*" * 20_000,
        "a" * 1_000_000,
        "> " * 10_000 + "x",
        "<!--" * 20_000,
        "1.1" * 30_000,
        "“" * 20_000,
        "`" * 20_001,
    ],
    ids=lambda text: text[:4],
)
def test_no_text_takes_long(text):
    begun = time.process_time()
    n_words(text)
    blocks(text[:200_000])
    list(sentences(text))
    assert time.process_time() - begun < 4


def test_reading_changes_nothing():
    notebook = written(**TEXTS)
    before = copy.deepcopy(notebook)
    read_essay(notebook)
    assert notebook == before
