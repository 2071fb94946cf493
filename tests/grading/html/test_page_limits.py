"""Pages that show students' text: the time grows no faster than the text, and nothing is left out in silence."""

import itertools
import json
import re
import time
from collections import Counter

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbgrader.server_extensions.formgrader import handlers

from course_utils.grading.feedback.essay_page import prose
from course_utils.grading.html.page import typed
from course_utils.grading.html.page_limits import MAX_CELLS, PAGE
from course_utils.grading.html.safe_html import PLAIN, RICH, safe_code, safe_markdown

pytestmark = pytest.mark.slow

REPEATED = [
    "[", "![", "]", "[@E-07f3] ", "[@E-07f3; @zhang2019] ", "[a](", "[a](b) ", "[a](<b", "[a]: b\n", "*", "*a ", "a* ",
    "a**b_", "*a **a ", "_a_", "`a", "``", "> ", ">", "- ", "- a\n", "- a\n\n", "1. a\n", "> - ", "|", "|a|b|\n|-|-|\n",
    "<div>", "<div>\n\n", "<table><tr><td>", "<b><i></b>", "<ul><li>", "<a href=x>", "<", "<!--", "<![CDATA[", "<?",
    " ", "\t", "\n", "\r\n", "\\", "&", "&#", "&amp;", "$", "$a", "$$a\n", "\\(a", "\\begin{a}", "# ", "# a\n",
    "a\n=\n", "* * ", "```\n", "~~~a\n", "~~a", "http://a", "https://a.b/(", "a@", "<a@b.", "a:", "word ", "a", "\0",
    "\u202ea", "李*", "![x](data:image/png;base64,", "(", "'''", "f'{", "1_", "@a",
]  # fmt: skip


def hostile(n: int) -> dict[str, str]:
    """Texts of about n characters, each hard for some parser."""
    found = {repr(part): part * (n // len(part)) for part in REPEATED}
    depth = int(n**0.5)
    found["nested lists"] = "".join("  " * i + "- a\n" for i in range(depth))
    found["nested quotes"] = "".join("> " * (i % 60) + "a\n" for i in range(n // 60))
    found["nested brackets"] = "[" * (n // 2) + "]" * (n // 2)
    found["nested emphasis"] = "*a " * (n // 6) + "a* " * (n // 6)
    found["backticks of all lengths"] = "".join("e" + "`" * i for i in range(1, int((2 * n) ** 0.5)))
    found["a long table"] = "|a|b|\n|-|-|\n" + "|x|y|\n" * (n // 6)
    found["a wide table"] = "|" + "a|" * (n // 6) + "\n|" + "-|" * (n // 6) + "\n|" + "b|" * (n // 6) + "\n"
    found["many references"] = "".join(f"[a{i}]: b{i}\n" for i in range(n // 24)) + "".join(
        f"[a{i}] " for i in range(n // 24)
    )
    found["a picture"] = "![x](data:image/png;base64," + "A" * n + ")"
    found["blanks between"] = "a" + " " * n + "b"
    found["equals signs"] = "a\n" + "=" * n + "b"
    return found


def seconds(render, text: str) -> float:
    """Return the processor time that a rendering takes."""
    begun = time.process_time()
    render(text)
    return time.process_time() - begun


@pytest.mark.parametrize("render", [safe_markdown, safe_code, prose], ids=lambda each: each.__name__)
def test_time_is_bounded_by_that_of_ordinary_writing(render):
    """No text of any length takes more than some hundred times what an essay of ten pages takes."""
    ordinary = "Words of **an essay**, with [a link](https://example.org), `code` and [@E-07f3].\n\n" * (RICH // 80)
    render(ordinary)
    most = 150 * max(seconds(render, ordinary), 0.01)
    slow = {name: text for name, text in hostile(100_000).items() if seconds(render, text) > most}
    assert [name for name, text in slow.items() if seconds(render, text) > most] == []  # a busy machine is no fault


@pytest.mark.parametrize("render", [safe_markdown, safe_code], ids=lambda each: each.__name__)
def test_size_is_bounded_and_what_is_left_out_is_said(render):
    for text in ("word " * 10**6, "<" * 10**6, "&" * 10**7):
        html = render(text)
        assert len(html) < 10 * PLAIN and f"{len(text) - PLAIN:,} characters are not shown" in html


@pytest.mark.parametrize("n", [0, 1, RICH - 1, RICH, RICH + 1, 3 * RICH, PLAIN])
@pytest.mark.parametrize("render", [safe_markdown, safe_code, prose, typed], ids=lambda each: each.__name__)
def test_up_to_a_limit_every_word_is_shown_once(render, n):
    words = [f"w{i:06}" for i in range(n // 8)]
    html = render("\n".join(words) if render is safe_code else " ".join(words))
    assert Counter(re.findall(r"w\d{6,}", html)) == Counter(words)
    assert "not shown" not in html


def test_text_after_the_limit_cannot_act_either():
    html = safe_markdown("word " * RICH + "<script>alert(1)</script> \\href{javascript:1}{x}")
    assert "<script" not in html and "&lt;script&gt;" in html and "\\href" not in html


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("$a_1 * b * c_2$", "$a_1 * b * c_2$"),
        ("$$a_1\n= b * c * d$$", "$$a_1\n= b * c * d$$"),
        ("costs $5 and *not* $6", "costs $5 and <em>not</em> $6"),
        ("| a | b |\n| :-: | -: |\n| c | d |", '<td align="center">c</td>'),
        ("~~old~~", "<s>old</s>"),
        ("```python\nx < 1\n```", "<pre><code>x &lt; 1\n</code></pre>"),
    ],
)
def test_formulas_tables_and_code_are_formatted(markdown, html):
    assert html in safe_markdown(markdown)


# -- formgrader's page -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exporter(tmp_path_factory):
    """nbconvert as formgrader sets it up in a course."""
    from made_course import make_course

    course = make_course(tmp_path_factory.mktemp("pages") / "course")
    template = {"template_name": "formgrade", "extra_template_basedirs": [handlers.template_path]}
    return HTMLExporter(config=course.changed(HTMLExporter=template))


@pytest.fixture
def show(exporter, tmp_path):
    numbers = itertools.count()

    def shown(*cells: dict, **metadata: object) -> str:
        file = tmp_path / f"{next(numbers)}.ipynb"
        file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}))
        names = ["assignment_id", "notebook_id", "submission_id", "base_url", "student", "last_name", "first_name"]
        resources = dict.fromkeys([*names, "notebook_path"], "x") | {"index": 0, "total": 1}
        return exporter.from_filename(str(file), resources=resources)[0]

    return shown


def markdown(text: str, id: str = "a", **more: object) -> dict:
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": text, **more}


def test_the_page_of_a_large_notebook_takes_no_more_than_many_small_ones(show):
    show(markdown("warm"))
    small = max(seconds(lambda _: show(markdown("*word* " * 1000)), ""), 0.02)
    for name in ("'[@E-07f3] '", "'['", "'<div>'", "'<table><tr><td>'", "a long table", "nested emphasis", "'![x]('"):
        text = hostile(1_000_000).get(name, "![x](" * 200_000)
        assert seconds(lambda _, text=text: show(markdown(text)), "") < 100 * small, name


def test_a_page_has_a_size_and_says_what_it_does_not_show(show):
    marks = {"nbgrader": {"grade_id": "last", "grade": True, "solution": False, "points": 2, "schema_version": 3}}
    cells = [markdown("word " * 10_000, f"c{i}") for i in range(MAX_CELLS + 40)]
    html = show(*cells, markdown("the graded cell", "z", metadata=marks))
    assert len(html) < 20 * PAGE
    assert "40 more cells are not shown" in html and "characters are not shown" in html
    assert "score_last" in html or 'id="last"' in html  # a cell that earns points is always there


def test_outputs_attachments_and_metadata_do_not_fill_the_page(show):
    output = nbformat.v4.new_output("stream", text="x" * 3 * PAGE)
    code = {"cell_type": "code", "id": "b", "metadata": {}, "source": "1", "execution_count": 1, "outputs": [output]}
    attached = markdown("![a](attachment:a.png)", attachments={"a.png": {"image/png": "A" * 5 * PAGE}})
    html = show(code, attached, markdown("x", "c", metadata={"big": "y" * 5 * PAGE}), language_info={"name": "perl"})
    assert len(html) < PAGE and "characters are not shown" in html


def test_a_raw_cell_of_html_is_shown_as_text(show):
    raw = {
        "cell_type": "raw",
        "id": "r",
        "metadata": {"raw_mimetype": "text/html"},
        "source": "<script>mine()</script>",
    }
    html = show(raw)
    assert "&lt;script&gt;mine()" in html and "<script>mine()" not in html
