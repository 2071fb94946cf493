"""Side by side in Voila and in JupyterLab, by mouse, by keyboard, in light and dark, on a narrow page."""

import json

import pytest
from panel_page import SOON_MS, PanelPage, run_axe, watch
from test_lab import open_notebook, run_cell

from tests.browser.conftest import HOSTILE, save_beside_tokenizer, write_notebook
from tests.conftest import random_gpt2

BLIND = "Blind: hide the names until I have ranked the texts"
RECORD = "Record my ranking, show the names"
SHAPES = {"pocket-small": (2, 32), "pocket-medium": (4, 48), "pocket-large": (6, 64), "pocket-xl": (8, 96)}


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return tmp_path_factory.mktemp("record") / "rankings.jsonl"


@pytest.fixture(scope="module")
def notebook(notebooks, tiny_folder, hostile_folder, tmp_path_factory, record) -> str:
    """A notebook whose panel has four random models of four sizes, and one whose models write script."""
    folders = []
    for seed, (name, (n_layer, n_embd)) in enumerate(SHAPES.items()):
        network = random_gpt2(seed, 3, n_layer=n_layer, n_embd=n_embd, n_head=4)
        folders.append(save_beside_tokenizer(network, tiny_folder, tmp_path_factory.mktemp("family") / name))
    start = "from pathlib import Path\nfrom course_utils import Settings\n"
    start += "from course_utils.widgets.side_by_side.side_by_side import SideBySide\n"
    paths = ", ".join(f"Path({str(folder)!r})" for folder in folders)
    options = f'prompt="The letter said", settings=Settings(max_new_tokens=40), record=Path({str(record)!r})'
    write_notebook(notebooks / "side_by_side.ipynb", f"{start}SideBySide([{paths}], {options}, projector=True)")
    write_notebook(notebooks / "side_hostile.ipynb", f"{start}SideBySide([Path({str(hostile_folder)!r}), {paths}][:2])")
    return "side_by_side.ipynb"


@pytest.fixture(scope="module")
def page(browser, voila_url, notebook):
    """One visit, shared by the tests of this file."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.errors, page.outside = watch(page)
    page.goto(f"{voila_url}/voila/render/{notebook}")
    PanelPage(page).wait_until_loaded()
    yield page
    page.close()


@pytest.fixture
def panel(page) -> PanelPage:
    """The panel as on arrival."""
    page.set_viewport_size({"width": 1280, "height": 1000})
    panel = PanelPage(page)
    panel.button("Clear").click()
    panel.wait_for("idle")
    panel.field(BLIND).uncheck()
    panel.field("Max tokens").fill("40")
    set_theme(panel, "light")
    return panel


def set_theme(panel: PanelPage, theme: str) -> None:
    if panel.root.get_attribute("data-theme") != theme:
        panel.button("Dark").click()
    panel.page.locator(f".cp[data-theme={theme}]").wait_for()


def write(panel: PanelPage, blind: bool = False) -> None:
    panel.field(BLIND).set_checked(blind)
    panel.button("Generate").click()
    panel.wait_for("done")  # from idle: four small models may be done before anybody sees them write


def column_texts(panel: PanelPage) -> list[str]:
    return panel.root.locator(".cp-card .cp-text").all_text_contents()


def wait_until_named(panel: PanelPage) -> None:
    panel.root.locator(".cs-placed").filter(has_text="You:").nth(3).wait_for(timeout=SOON_MS)


def test_four_columns_grow_each_with_name_size_file_and_pace(panel):
    write(panel)
    cards = panel.root.locator(".cp-card")
    assert cards.count() == 4
    for card, name in zip(cards.all(), SHAPES, strict=True):
        told = card.inner_text()
        for part in (name, "machine-written", "parameters · file ", "MB", "seed 0", "40 tokens", "tokens/s"):
            assert part in told
    assert all(len(text) > 20 for text in column_texts(panel))


def test_stop_keeps_all_columns_and_escape_stops_too(panel):
    panel.field("Max tokens").fill("400")
    for stop in (lambda: panel.button("Stop").click(), lambda: panel.page.keyboard.press("Escape")):
        panel.button("Clear").click()
        panel.wait_for("idle")
        panel.field("Prompt").focus()
        panel.page.keyboard.press("Control+Enter")
        panel.page.wait_for_function(
            "() => [...document.querySelectorAll('.cp-card .cp-text')].filter(each => each.textContent).length === 4",
            timeout=SOON_MS,
        )
        stop()
        panel.wait_for("stopped")
        assert all(column_texts(panel))


def test_blind_columns_tell_nothing_until_ranked_by_the_boxes(panel, record):
    before = len(record.read_text().splitlines()) if record.exists() else 0
    write(panel, blind=True)
    told = panel.root.locator(".cp-output").inner_text()
    assert not any(name in told for name in SHAPES)
    assert "tokens/s" not in told
    assert "parameters" not in told
    assert panel.button(RECORD).get_attribute("aria-disabled") == "true"
    for letter, place in zip("ABCD", ("4th", "3rd", "2nd", "1st"), strict=True):
        panel.field(f"Place of text {letter}").select_option(place)
    shown = column_texts(panel)
    panel.button(RECORD).click()
    wait_until_named(panel)
    assert column_texts(panel) == shown
    assert panel.root.locator(".cs-placed").all_inner_texts() == ["You: 4th", "You: 3rd", "You: 2nd", "You: 1st"]
    lines = record.read_text().splitlines()
    assert len(lines) == before + 1
    ranking = json.loads(lines[-1])
    names = [label.partition(" ·")[0] for label in panel.root.locator(".cp-card .cp-label").all_inner_texts()]
    assert ranking["shown"] == names
    assert ranking["ranking"] == names[::-1]
    assert "so far. Mean place:" in panel.root.locator(".cs-standing").inner_text()


def test_the_keyboard_alone_ranks(panel, record):
    keys = panel.page.keyboard
    panel.field(BLIND).focus()
    keys.press("Space")
    panel.field("Prompt").focus()
    keys.press("Control+Enter")
    panel.wait_for("done")
    panel.root.locator(".cp-card").first.wait_for()
    panel.button("Clear").focus()
    for number in "2143":
        for _ in range(6):
            keys.press("Tab")
            if panel.page.evaluate("document.activeElement.matches('article')"):
                break
        keys.press(number)
    places = [choice.input_value() for choice in panel.root.locator(".cs-place").all()]
    assert places == ["1", "0", "3", "2"]
    keys.press("1")  # the last column now wants the place of the second, and gets it in exchange for its own
    places = [choice.input_value() for choice in panel.root.locator(".cs-place").all()]
    assert places == ["1", "2", "3", "0"]
    assert "Text D is 1st. 4 of 4 ranked." in panel.root.locator(".cs-ranking").inner_text()
    for _ in range(3):
        keys.press("Tab")
        if panel.page.evaluate("document.activeElement.innerText") == RECORD:
            break
    keys.press("Enter")
    wait_until_named(panel)
    assert json.loads(record.read_text().splitlines()[-1])["prompt"] == "The letter said"


def test_models_can_be_left_out_and_never_more_than_four_be_chosen(panel):
    panel.field("pocket-xl").uncheck()
    panel.field("pocket-small").uncheck()
    write(panel)
    names = [label.partition(" ·")[0] for label in panel.root.locator(".cp-card .cp-label").all_inner_texts()]
    assert names == ["pocket-medium", "pocket-large"]
    panel.field("pocket-small").check()
    panel.field("pocket-xl").check()
    panel.page.wait_for_timeout(500)
    others = panel.root.locator(".cs-models input:not(:checked)")
    assert others.count() > 0
    assert all(box.is_disabled() for box in others.all())


# Every two of theme, width and blindness meet in each way; each look costs four texts.
LOOKS = [("light", 1280, False), ("dark", 1280, True), ("light", 400, True), ("dark", 400, False)]


@pytest.mark.parametrize(("theme", "width", "blind"), LOOKS)
def test_nothing_sticks_out(panel, photograph, theme, width, blind):
    write(panel, blind)
    set_theme(panel, theme)
    panel.page.set_viewport_size({"width": width, "height": 2000 if width == 400 else 1000})
    photograph(panel.page, f"side-by-side-{'blind-' if blind else ''}{theme}-{width}")
    panel.field("Top-p").fill("7")
    panel.root.locator(".cp-top_p .cp-problem").wait_for(timeout=SOON_MS)
    sticking_out = """() => [...document.querySelectorAll('html, body, #rendered_cells, .cp, .cp *')]
        .filter(node => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline'
                        && !node.closest('.cp-unseen') && node.clientWidth > 0)
        .map(node => `${node.tagName}.${node.className}`)"""
    assert panel.page.evaluate(sticking_out) == []
    panel.field("Top-p").fill("1")


@pytest.mark.parametrize(("theme", "blind"), [("light", False), ("dark", True)])
def test_axe_finds_nothing_serious(panel, axe, theme, blind):
    write(panel, blind)
    set_theme(panel, theme)
    found = run_axe(panel.page, axe)
    told = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
    assert told == []


def test_no_errors_and_no_outside(page):
    assert page.errors == []
    assert page.outside == []


def test_text_that_is_script_stays_text(browser, voila_url, notebook):
    page = browser.new_page()
    page.goto(f"{voila_url}/voila/render/side_hostile.ipynb")
    panel = PanelPage(page)
    panel.field("Prompt").fill(HOSTILE)
    panel.field("Max tokens").fill("8")
    panel.button("Generate").click()
    panel.wait_for("done")
    assert column_texts(panel)[0] == HOSTILE * 8
    assert page.locator(".cp img").count() == 0
    assert page.evaluate("window.__xss") is None
    page.close()


def test_in_the_lab_a_reload_finds_the_texts_and_a_number_key_is_the_panel_s(browser, lab_url, notebook, photograph):
    page = open_notebook(browser, lab_url, notebook)
    panel = PanelPage(page, run_cell(page, "SideBySide("))
    panel.wait_until_loaded()
    write(panel, blind=True)
    panel.root.locator(".cp-card").nth(1).focus()
    page.keyboard.press("1")
    assert panel.field("Place of text B").input_value() == "0"
    assert page.locator(".jp-mod-editMode").count() == 0
    photograph(page, "lab-side-by-side")
    before = column_texts(panel)
    page.keyboard.press("Control+S")
    page.wait_for_timeout(1000)
    page.reload()
    panel.root.locator(".cp-card").nth(3).wait_for(timeout=SOON_MS)
    assert column_texts(panel) == before
    page.close()
