"""What becomes of Voila's page before strangers get it."""

import re
from pathlib import Path

import pytest
from guest import write_notebook

from course_utils.hall.demos import DemoNotebook, NoDemos, read_demos
from course_utils.hall.pages import dress

PAGE = """<html lang="en"><head><title>toy</title>
<link rel="stylesheet" href="https://cdn.example/all.css" type="text/css" />
<link rel="stylesheet" href="//cdn.example/other.css">
<link rel="stylesheet" href="/voila/templates/lab/static/index.css">
<script>const kept = 1;</script>
<script type="module"> import("https://cdn.example/mermaid.mjs") </script>
<script>const alsoKept = 2;</script>
</head><body>text</body></html>"""


def test_a_page_asks_no_other_host():
    page = dress(PAGE, DemoNotebook("toy", Path("toy.ipynb"), "Toy"), "/")
    assert not re.findall(r"(?:https?:)?//[\w.]+", page)
    assert "/voila/templates/lab/static/index.css" in page
    assert "kept = 1" in page and "alsoKept = 2" in page


@pytest.mark.parametrize("base", ["/", "/lectures/"])
def test_the_halls_own_files_come_from_below_its_address(base):
    page = dress(PAGE, DemoNotebook("toy", Path("toy.ipynb"), "Toy"), base)
    assert f'src="{base}hall/pages.js"' in page


def test_a_title_is_text():
    page = dress(PAGE, DemoNotebook("toy", Path("toy.ipynb"), "</title><script>1</script> \\1"), "/")
    assert "<title>&lt;/title&gt;&lt;script&gt;1&lt;/script&gt; \\1</title>" in page


def test_demos_come_in_the_lectures_order_and_others_after_them(tmp_path):
    for name in ("aaa", "timeline", "playground"):
        write_notebook(tmp_path / f"{name}.ipynb", "1")
    found = read_demos(tmp_path)
    assert list(found) == ["playground", "timeline", "aaa"]
    assert found["aaa"].title == "Aaa"


def test_a_folder_without_demos_is_named(tmp_path):
    with pytest.raises(NoDemos) as raised:
        read_demos(tmp_path)
    assert str(tmp_path) in str(raised.value)
