"""Panels in JupyterLab: a number with a decimal comma, other scripts, and what stays when the kernel is gone."""

import json

import nbformat
import pytest
from lab_page import open_notebook, run_cell
from panel_page import SOON_MS, PanelPage
from playwright.sync_api import expect

ARABIC = "كان يا ما كان في قديم الزمان"
HEBREW = "היה היה פעם"
PANEL = (
    "from course_utils import Playground, Settings, CardSort\n"
    "panel = Playground(prompt='The letter said', settings=Settings(max_new_tokens=12))\npanel"
)


@pytest.fixture(scope="module")
def visit(browser, lab_url, notebooks):
    """A notebook in JupyterLab whose cells have run."""
    cells = [PANEL, "cards = CardSort()\ncards", "print('a word ' * 400)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(book, notebooks / "kept.ipynb")
    page = open_notebook(browser, lab_url, "kept.ipynb")
    page.folder = notebooks
    first, *_ = [run_cell(page, start) for start in ("from course_utils", "cards =", "print(")]
    PanelPage(page, first).wait_until_loaded()
    yield page
    page.close()


@pytest.fixture
def panel(visit) -> PanelPage:
    return PanelPage(visit, visit.locator(".jp-Cell").first)


def saved(page) -> dict:
    page.keyboard.press("Control+s")
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')", timeout=SOON_MS)
    return json.loads((page.folder / "kept.ipynb").read_text("utf-8"))


def static_views(page):
    return page.locator(".course-static-view")


@pytest.mark.parametrize(("typed", "used"), [("0,3", "0.3"), ("0.3 ", "0.3"), ("٠٫٥", "0.5"), (".5", "0.5")])
def test_what_is_typed_into_a_number_field_is_what_is_used(panel, typed, used):
    field = panel.field("Temperature")
    field.click()
    field.press("Control+a")
    panel.page.keyboard.type(typed)
    panel.button("Generate").click()
    panel.wait_for_answer(f"temperature {used} ", ".cp-line")
    # The line may be of the case before, with the same number: the field tells when this one was read.
    expect(field).to_have_value(used, timeout=SOON_MS)


def test_a_number_with_two_meanings_is_refused_beside_its_field_until_it_is_right(panel):
    field = panel.field("Temperature")
    field.fill("1.234,5")
    panel.button("Generate").click()
    panel.wait_for("failed")
    assert "no separator but one decimal point" in panel.root.locator(".cp-temperature .cp-problem").inner_text()
    assert panel.root.locator(".cp-message").inner_text().count("1.234,5") == 0
    field.fill("1")
    panel.wait_for("done", "idle")
    panel.root.locator(".cp-message").wait_for(state="hidden", timeout=SOON_MS)
    field.press("ArrowUp")
    assert field.input_value() == "1.1"


@pytest.mark.parametrize("text", [ARABIC, HEBREW])
def test_a_text_goes_in_the_direction_of_its_script(panel, text):
    """The first character stands at the right of the box, and so does the prompt above the model's text."""
    panel.field("Prompt").fill(text)
    panel.field("Max tokens").fill("3")
    panel.button("Generate").click()
    panel.wait_for_answer(text)
    place = """node => { const range = document.createRange(); const walk = document.createTreeWalker(node, 4);
        range.setStart(walk.nextNode(), 0); range.setEnd(walk.currentNode, 1);
        const [box, at] = [node.getBoundingClientRect(), range.getBoundingClientRect()];
        return (at.left - box.left) / box.width; }"""
    assert panel.root.locator(".cp-asked").evaluate(place) > 0.8
    assert panel.field("Prompt").evaluate("node => getComputedStyle(node).unicodeBidi") == "plaintext"
    panel.field("Prompt").fill("The letter said")


def test_the_static_view_is_hidden_beside_the_live_panel_and_follows_it(visit, panel):
    assert static_views(visit).count() >= 1
    assert all(view.is_hidden() for view in static_views(visit).all())
    panel.field("Prompt").fill("A prompt that is kept")
    panel.field("Prompt").focus()
    panel.page.keyboard.press("Control+Enter")
    panel.wait_for_answer("A prompt that is kept")
    assert panel.field("Prompt").evaluate("node => node === document.activeElement"), "the keyboard's place stays"
    written = panel.text.strip()
    visit.wait_for_function(
        "() => document.querySelector('.course-static-view')?.textContent.includes('A prompt that is kept')",
        timeout=SOON_MS,
    )
    book = saved(visit)
    live, static = book["cells"][0]["outputs"]
    assert "application/vnd.jupyter.widget-view+json" in live["data"]
    text = "".join(static["data"]["text/plain"])
    assert "A prompt that is kept" in text and written.split("\n")[0][:20] in text
    assert "object at 0x" not in json.dumps(book)


def test_printed_text_breaks_between_words(visit):
    printed = visit.locator(".jp-Cell").nth(2).locator(".jp-OutputArea-output pre").first
    assert printed.evaluate("node => getComputedStyle(node).wordBreak") == "normal"


def test_without_its_kernel_the_notebook_still_shows_what_was_written(visit, panel, photograph):
    """The notebook is opened anew and its kernel is not started: the static view takes the panel's place."""
    panel.field("Prompt").fill("Seen without a kernel")
    panel.button("Generate").click()
    panel.wait_for_answer("Seen without a kernel")
    visit.wait_for_function(
        "() => document.querySelector('.course-static-view')?.textContent.includes('Seen without a kernel')",
        timeout=SOON_MS,
    )
    saved(visit)
    # A notebook that names no kernel is opened without one.
    file = visit.folder / "kept.ipynb"
    book = json.loads(file.read_text("utf-8"))
    book["metadata"] = {"kernelspec": {"name": "gone", "display_name": "Gone", "language": "python"}}
    (visit.folder / "dead.ipynb").write_text(json.dumps(book), "utf-8")
    visit.goto(visit.address.replace("kept.ipynb", "dead.ipynb"))
    view = static_views(visit).first
    view.wait_for(state="visible", timeout=SOON_MS)
    assert "Seen without a kernel" in view.inner_text()
    photograph(visit, "static_view")
    assert visit.errors == [] and visit.outside == []
