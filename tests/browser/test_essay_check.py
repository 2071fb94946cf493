"""The check of an essay and the handing in, in the notebook that students get, as a person meets them in JupyterLab."""

import json
import shutil
from pathlib import Path

import pytest
from panel_page import SOON_MS
from repository import ROOT
from test_lab import open_notebook, run_cell
from test_replication import press, put_on, serious, sticking_out

from course_utils.grading.marking.sample_essays import load_samples, sample_ledger

ASSIGNMENT = ROOT / "assignments" / "release_strategy"
HOSTILE = "</script><img src=x onerror=window.__xss=1>"
ATTACK = (
    f"Of these 99.1 % [@E-2f97] {HOSTILE} <script>window.__xss = 1</script> [here](javascript:window.__xss=1) \u202e."
)
HIGH = 4800  # pixels: the whole panel is to be seen
THEMES_AND_WIDTHS = [("light", 1280), ("dark", 400), ("light", 400), ("dark", 1280)]


def write_essay(file: Path, name: str = "two", **more: str) -> None:
    """Write a sample essay, the second of which has faults, into the cells that students write in."""
    sample = next(each for each in load_samples() if each.name == name)
    texts = {section.key: section.text for section in sample.essay.sections}
    notebook = json.loads((ASSIGNMENT / file.name).read_text("utf-8"))
    for cell in notebook["cells"]:
        key = cell["id"].removeprefix("text-")
        if key in texts and cell["id"].startswith("text-"):
            cell["source"] = "\n\n".join(filter(None, [texts[key], more.get(key)]))
        if cell["id"] == "strategy":
            cell["source"] = f"strategy = {sample.essay.strategy + more.get('strategy', '')!r}"
    file.write_text(json.dumps(notebook), "utf-8")


@pytest.fixture(scope="module")
def folder(notebooks, environment):
    """A student's folder in the folder of JupyterLab, with a space in its name, and the ledger elsewhere."""
    folder = notebooks / "my course"
    folder.mkdir()
    for file in ASSIGNMENT.iterdir():
        shutil.copy(file, folder)
    shutil.copy(sample_ledger(), environment["COURSE_LEDGER"])
    write_essay(folder / "release_strategy.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(browser, lab_url, folder):
    """The student's notebook, opened, with the check run."""
    page = open_notebook(browser, lab_url, f"{folder.name}/release_strategy.ipynb")
    run_cell(page, "EssayCheck()")
    page.locator(".ec .ec-group").first.wait_for(timeout=2 * SOON_MS)
    page.keyboard.press("Control+b")  # the list of files would leave nothing of a narrow window
    yield page
    page.close()


def items(page):
    return page.locator(".ec button.ec-item")


def of(page, quote: str):
    """Return the finding about just these words."""
    return items(page).filter(has=page.locator(".ec-quote").get_by_text(quote, exact=True)).first


def look(page, photograph, axe, name: str, places=THEMES_AND_WIDTHS) -> None:
    for theme, width in places:
        put_on(page, theme, width)
        page.set_viewport_size({"width": width, "height": HIGH})
        page.locator(".ec").scroll_into_view_if_needed()
        photograph(page.locator(".ec"), f"essay-check-{name}-{theme}-{width}")
        assert sticking_out(page) == []
        if (theme, width) in THEMES_AND_WIDTHS[:2]:
            assert serious(page, axe) == []


def test_the_check_shows_what_is_missing_and_where(lab, photograph, axe):
    text = lab.locator(".ec").inner_text()
    assert "release_strategy.ipynb, as saved at " in text and "Save first: Ctrl+S" in text
    assert "These checks give no points and cost none." in text
    assert "501 words; 800 to 1,200 are asked for: 299 too few." in text
    assert "full release" in text and "E-12ab does not stand in your ledger" in text
    assert lab.locator(".ec-read .ec-sign[data-good=false]").count() == 1
    assert lab.locator(".ec-cited .ec-sign[data-good=false]").count() == 1
    look(lab, photograph, axe, "faults")


def test_a_finding_shows_its_paragraph_with_the_words_marked(lab, photograph, axe):
    one = of(lab, "89 %")
    one.click()
    marked = lab.locator(".ec-under mark")
    assert marked.all_inner_texts() == ["89 %"]
    one.click()
    assert lab.locator(".ec-under mark").count() == 0
    items(lab).first.focus()
    lab.keyboard.press("ArrowDown")
    lab.keyboard.press("Enter")
    second = items(lab).nth(1)
    assert second.get_attribute("aria-expanded") == "true"
    lab.locator(".ec-under mark").first.wait_for()
    lab.keyboard.press("Tab")
    lab.keyboard.press("Enter")
    lab.locator(".ec-under .ev-card").wait_for()
    look(lab, photograph, axe, "opened", [("light", 1280), ("dark", 400)])
    lab.locator(".ec-under .ev-cite").first.focus()
    lab.keyboard.press("Escape")
    assert lab.locator(".ec-under .ev-card").count() == 0
    lab.keyboard.press("Escape")
    assert second.get_attribute("aria-expanded") == "false"
    assert second.evaluate("node => node === document.activeElement")


def test_a_text_that_is_script_stays_text(lab, folder, photograph, axe):
    put_on(lab, "light", 1280)
    write_essay(folder / "release_strategy.ipynb", thesis=ATTACK, strategy=HOSTILE)
    press(lab, "Check again")
    one = of(lab, "99.1 %")
    one.wait_for(timeout=SOON_MS)
    one.click()
    assert HOSTILE in lab.locator(".ec-under").filter(has=lab.locator("mark")).inner_text()
    assert HOSTILE in lab.locator(".ec-strategy").inner_text()
    look(lab, photograph, axe, "hostile", [("light", 1280)])
    assert lab.locator(".ec img, .ec script, .ec a").count() == 0
    assert lab.evaluate("window.__xss") is None
    assert (lab.errors, lab.outside) == ([], [])


def test_a_check_says_that_nothing_was_saved_since(lab):
    press(lab, "Check again")
    lab.locator(".ec").get_by_text("and not since the check before").wait_for(timeout=SOON_MS)


def test_when_nothing_is_wrong_it_does_not_call_the_essay_good(lab, folder, photograph, axe):
    write_essay(folder / "release_strategy.ipynb", "four")
    press(lab, "Check again")
    lab.locator(".ec").get_by_text("That does not make it a good essay").wait_for(timeout=SOON_MS)
    assert lab.locator(".ec [data-severity=fault], .ec .ec-out, .ec .ec-sign[data-good=false]").count() == 0
    lab.locator(".ec summary").click()
    press(lab, "Large type")
    look(lab, photograph, axe, "clear", [("dark", 400), ("light", 1280)])
    press(lab, "Large type")


def test_a_notebook_that_is_gone_is_told_and_can_come_back(lab, folder):
    file = folder / "release_strategy.ipynb"
    content = file.read_bytes()
    file.unlink()
    press(lab, "Check again")
    lab.locator(".ec .cp-message").filter(has_text="There is no release_strategy.ipynb").wait_for(timeout=SOON_MS)
    assert not lab.locator(".ec-body").is_visible()
    file.write_bytes(content)
    press(lab, "Check again")
    lab.locator(".ec .ec-group").first.wait_for(timeout=SOON_MS)
    assert not lab.locator(".ec .cp-message").is_visible()


def test_handing_in_lays_the_ledger_beside_the_notebook(lab, folder, photograph):
    cell = run_cell(lab, "hand_in()")
    told = cell.locator(".jp-OutputArea")
    told.get_by_text("Copied to").wait_for(timeout=SOON_MS)
    text = told.inner_text()
    assert "13 records" in text and "973 words" in text and "all ids that it cites are there" in text
    assert cell.locator("[data-mime-type$=stderr]").count() == 0
    assert (folder / "evidence.jsonl").read_bytes() == sample_ledger().read_bytes()
    lab.set_viewport_size({"width": 1280, "height": 700})
    cell.scroll_into_view_if_needed()
    photograph(lab, "hand-in")
