"""The panels of the replication lesson as a person meets them: the training lab and the card sort, in Voila."""

from pathlib import Path

import nbformat
import pytest
from panel_page import SOON_MS, run_axe, watch
from playwright.sync_api import Locator, Page
from sentences import sentences
from test_lab import open_notebook, restart_kernel, run_cell

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


def write(folder: Path, name: str, source: str) -> None:
    cell = nbformat.v4.new_code_cell(source, id="panel")
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), folder / f"{name}.ipynb")


def visit(browser, voila_url: str, folder, name: str, source: str) -> Page:
    write(folder, name, source)
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.errors, page.outside = watch(page)
    page.goto(f"{voila_url}/voila/render/{name}.ipynb")
    page.locator(".cp").wait_for(timeout=2 * SOON_MS)
    return page


def wait_for(page: Page, state: str) -> None:
    page.locator(f".cp[data-state={state}]").wait_for(timeout=4 * SOON_MS)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def put_on(page: Page, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1400})
    if page.locator(".cp").get_attribute("data-theme") != theme:
        press(page, "Dark")
    page.locator(f".cp[data-theme={theme}]").wait_for()


def sticking_out(page: Page) -> list[str]:
    return page.evaluate("""() => [...document.querySelectorAll('html, body, #rendered_cells, .cp, .cp *')]
        .filter(node => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline'
                        && !node.closest('.cp-unseen, .tl-scroll, svg') && node.clientWidth > 0
                        && !['INPUT', 'SELECT', 'OPTION'].includes(node.tagName))
        .map(node => `${node.tagName}.${node.className}`)""")


def serious(page: Page, axe: str) -> list[tuple[str, str]]:
    found = run_axe(page, axe, "'.cp'")
    return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]


# -- the training lab --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(browser, voila_url, notebooks, tmp_path_factory):
    """One visit to the lab, shared by the tests of this file."""
    text, folder = tmp_path_factory.mktemp("text") / "bridge.txt", tmp_path_factory.mktemp("apprentices")
    text.write_text(sentences(120_000), "utf-8")
    plan = f"Plan(size='smallest', n_tokens=30_000, prompt={HOSTILE!r})"
    source = (
        "from pathlib import Path\n"
        "from course_utils.experiments.replication.train_small import Plan\n"
        "from course_utils.widgets.training_lab.training_lab import TrainingLab\n"
        f"TrainingLab({str(text)!r}, {plan}, Path({str(folder)!r}))"
    )
    page = visit(browser, voila_url, notebooks, "training", source)
    yield page
    page.close()


@pytest.fixture(scope="module")
def trained(lab):
    """The lab after one whole training."""
    press(lab, "Start")
    wait_for(lab, "training")
    wait_for(lab, "done")
    return lab


def test_text_and_curve_grow_while_it_learns(lab, photograph):
    press(lab, "Start")
    wait_for(lab, "training")
    lab.locator(".tl-said li:not(.tl-later)").nth(1).wait_for(timeout=2 * SOON_MS)
    assert lab.locator(".cp").get_attribute("data-state") == "training"
    assert lab.locator(".tl-later").count() > 0
    assert "tokens/s" in lab.locator(".cp-numbers").inner_text()
    photograph(lab, "training-lab-live")
    wait_for(lab, "done")
    assert lab.locator(".tl-later").count() == 0
    assert lab.locator(".tl-svg .tl-dot").count() == lab.locator(".tl-curve tbody tr").count() > 5
    assert "bits per character on text kept apart" in lab.locator(".tl-summary").inner_text()


def test_stop_keeps_what_it_learnt_and_go_on_takes_it_up(lab):
    lab.get_by_label("Tokens to read").select_option("300000")
    press(lab, "Start")
    wait_for(lab, "training")
    lab.locator(".tl-said li:not(.tl-later)").nth(0).wait_for(timeout=2 * SOON_MS)
    press(lab, "Stop")
    wait_for(lab, "stopped")
    before = lab.evaluate("document.querySelector('.tl-bar').value")
    assert 0 < before < 1
    lab.reload()
    lab.locator(".cp").wait_for(timeout=2 * SOON_MS)
    assert lab.evaluate("document.querySelector('.tl-bar').value") == before
    press(lab, "Go on")
    wait_for(lab, "training")
    lab.wait_for_function("before => document.querySelector('.tl-bar').value > before", arg=before, timeout=SOON_MS)
    press(lab, "Stop")
    wait_for(lab, "stopped")
    lab.get_by_label("Tokens to read").select_option("30000")


def test_a_file_of_ones_own_is_learnt_from_or_its_fault_is_told(lab):
    lab.get_by_label("Text", exact=True).select_option("own")
    files = lab.get_by_label("A text file of mine", exact=True)
    for name, content, told in (
        ("latin.txt", "Über ".encode("latin-1") * 4000, "is not UTF-8"),
        ("short.txt", b"Too short.", "At least 10,000"),
    ):
        files.set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})
        if name == "short.txt":
            lab.wait_for_function("() => !document.querySelector('.cp-message').textContent.includes('UTF-8')")
            press(lab, "Start")
        wait_for(lab, "failed")
        lab.locator(".cp-message").filter(has_text=told).wait_for(timeout=SOON_MS)
    content = sentences(60_000, seed=1).encode()
    files.set_input_files({"name": "mine.txt", "mimeType": "text/plain", "buffer": content})
    lab.wait_for_timeout(500)
    press(lab, "Start")
    wait_for(lab, "training")
    wait_for(lab, "done")
    assert "mine.txt" in lab.locator(".cp-line").inner_text()
    lab.get_by_label("Text", exact=True).select_option("given")


def test_the_keyboard_alone_trains(lab):
    lab.get_by_label("Seed").focus()
    for _ in range(12):
        if lab.evaluate("document.activeElement.textContent") == "Start":
            break
        lab.keyboard.press("Tab")
    lab.keyboard.press("Enter")
    wait_for(lab, "training")
    lab.keyboard.press("Tab")
    assert lab.evaluate("document.activeElement.textContent") == "Stop"
    lab.keyboard.press("Space")
    wait_for(lab, "stopped")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_lab_sticks_out_nowhere(trained, photograph, theme, width):
    put_on(trained, theme, width)
    photograph(trained, f"training-lab-{theme}-{width}")
    assert sticking_out(trained) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_lab(trained, axe, theme):
    put_on(trained, theme, 1280)
    trained.locator("summary").click()
    assert serious(trained, axe) == []
    trained.locator("summary").click()


def test_a_prompt_that_is_script_stays_text(trained):
    assert HOSTILE in trained.locator(".tl-said li").first.inner_text()
    assert trained.locator(".cp img").count() == 0
    assert trained.evaluate("window.__xss") is None
    assert trained.errors == []
    assert trained.outside == []


def test_a_kernel_that_restarts_loses_no_training(browser, lab_url, notebooks, tmp_path_factory):
    text, folder = tmp_path_factory.mktemp("text") / "bridge.txt", tmp_path_factory.mktemp("apprentices")
    text.write_text(sentences(60_000), "utf-8")
    source = (
        "from pathlib import Path\n"
        "from course_utils.experiments.replication.train_small import Plan\n"
        "from course_utils.widgets.training_lab.training_lab import TrainingLab\n"
        "from course_utils.experiments.replication import train_small\n"
        "train_small.CHECKPOINT_S = 0.5\n"
        f"TrainingLab({str(text)!r}, Plan(size='smallest', n_tokens=3_000_000), Path({str(folder)!r}))"
    )
    write(notebooks, "restart", source)
    page = open_notebook(browser, lab_url, "restart.ipynb")
    run_cell(page, "TrainingLab(")
    press(page, "Start")
    page.locator(".tl-said li:not(.tl-later)").first.wait_for(timeout=2 * SOON_MS)
    while not list(folder.glob("apprentice-1/checkpoint.pt")):
        page.wait_for_timeout(100)
    restart_kernel(page)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=SOON_MS)
    run_cell(page, "TrainingLab(")
    wait_for(page, "stopped")
    before = page.evaluate("document.querySelector('.tl-bar').value")
    assert before > 0
    press(page, "Go on")
    wait_for(page, "training")
    page.wait_for_function(
        "before => document.querySelector('.tl-bar').value > before", arg=before, timeout=2 * SOON_MS
    )
    press(page, "Stop")
    wait_for(page, "stopped")
    assert page.outside == []
    page.close()


# -- the card sort -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cards(browser, voila_url, notebooks):
    source = "from course_utils.widgets.card_sort.card_sort import CardSort\nCardSort()"
    page = visit(browser, voila_url, notebooks, "cards", source)
    yield page
    page.close()


def box(page: Page, name: str) -> Locator:
    return page.get_by_role("list", name=name, exact=True).get_by_role("listitem")


def test_buttons_arrows_and_dragging_all_sort(cards, photograph):
    n_cards = box(cards, "To sort").count()
    cards.get_by_role("button", name="Atom bomb: destructive").click()
    box(cards, "Destructive").filter(has_text="Atom bomb").wait_for()
    assert cards.evaluate("document.activeElement.getAttribute('aria-label')") == "Photoshop: destructive"
    cards.keyboard.press("ArrowRight")
    box(cards, "Deceptive").filter(has_text="Photoshop").wait_for()
    box(cards, "To sort").filter(has_text="Phishing kit").drag_to(box(cards, "Deceptive").first)
    box(cards, "Deceptive").filter(has_text="Phishing kit").wait_for()
    assert box(cards, "To sort").count() == n_cards - 3
    cards.get_by_label("Why Phishing kit lies here").fill(HOSTILE)
    cards.keyboard.press("Tab")
    photograph(cards, "card-sort-half")


def test_the_keyboard_alone_sorts_all_and_the_author_comes_last(cards, photograph):
    assert cards.locator(".cs-verdict:visible").count() == 0
    cards.get_by_role("button", name="Voice cloning: destructive").focus()
    for i in range(box(cards, "To sort").count()):
        left = box(cards, "To sort").count()
        cards.keyboard.press(("ArrowLeft", "ArrowRight")[i % 2])
        cards.wait_for_function("left => document.querySelector('.cs-pile .cs-cards').children.length < left", arg=left)
    assert cards.evaluate("document.activeElement.textContent") == "Compare with the author"
    cards.keyboard.press("Enter")
    cards.locator(".cs-verdict:visible").first.wait_for()
    assert "You sorted 12 of 12 cards" in cards.get_by_role("status").inner_text()
    assert cards.locator("[data-verdict=unknown]").count() == 5
    assert cards.evaluate("window.__xss") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_cards_stick_out_nowhere(cards, photograph, axe, theme, width):
    put_on(cards, theme, width)
    photograph(cards, f"card-sort-{theme}-{width}")
    assert sticking_out(cards) == []
    assert width == 400 or serious(cards, axe) == []  # the page is the same at each width


def test_the_cards_ask_nothing_outside(cards):
    assert cards.errors == []
    assert cards.outside == []
