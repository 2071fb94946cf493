"""The panel in JupyterLab, as a student meets it."""

import pytest
from lab_page import open_notebook, run_cell
from panel_page import SOON_MS, PanelPage

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


@pytest.fixture(scope="module")
def two_panels(browser, lab_url):
    """One visit, shared by two tests, each of which leaves the first panel as on arrival or is the last."""
    page = open_notebook(browser, lab_url, "two_panels.ipynb")
    cells = run_cell(page, "from course_utils"), run_cell(page, "Playground(", 1)
    yield page, PanelPage(page, cells[0]), PanelPage(page, cells[1])
    page.close()


def test_the_first_notebook_opens_and_speaks(browser, lab_url, photograph):
    page = open_notebook(browser, lab_url, "0_start_here.ipynb")
    run_cell(page, "from course_utils import")
    panel = PanelPage(page, run_cell(page, "Playground(prompt"))
    panel.wait_until_loaded()
    panel.field("Prompt").fill("My first words are")
    panel.field("Max tokens").fill("400")
    page.keyboard.press("Control+Enter")
    assert page.locator(".jp-mod-editMode").count() == 0
    panel.wait_until_longer(0)
    panel.wait_until_longer(len(panel.text))
    panel.button("Stop").click()
    panel.wait_for("stopped")
    panel.button("Tokens").click()
    panel.tokens.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert panel.root.locator(".cp-alternatives li").count() == 10
    photograph(page, "lab-tokens")
    before = panel.text
    panel.button("Continue").click()
    panel.wait_for("generating")
    panel.button("Stop").click()
    panel.wait_for("stopped")
    assert len(panel.text) >= len(before.rstrip("�"))
    assert page.outside == []
    page.close()


def test_two_panels_do_not_mix_and_the_newest_wins(two_panels, photograph):
    page, first, second = two_panels
    first.wait_until_loaded()
    first.button("Generate").click()
    first.wait_until_longer(0)
    second.field("Prompt").fill("Another one")
    second.button("Generate").click()
    second.wait_until_longer(0)
    first.wait_for("stopped")
    assert "another panel" in first.root.inner_text()
    assert first.root.locator(".cp-asked").inner_text() == "The letter said"
    assert second.root.locator(".cp-asked").inner_text() == "Another one"
    kept = first.text
    second.wait_until_longer(len(second.text))
    assert first.text == kept
    photograph(page, "lab-two-panels")
    page.keyboard.press("Control+S")
    page.wait_for_timeout(1000)
    page.reload()
    second.wait_until_longer(0)
    assert first.text.replace("\n", "") == kept.replace("\n", "")
    stop(second)
    first.button("Clear").click()


def test_a_kernel_that_restarts_while_writing_does_not_hang_the_page(two_panels):
    page, panel, _ = two_panels
    panel.wait_until_loaded()
    panel.button("Generate").click()
    panel.wait_until_longer(0)
    restart_kernel(page)
    panel.root.get_by_text("The kernel does not answer").wait_for(timeout=SOON_MS)
    assert panel.status == "No answer from the kernel"
    assert panel.text
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=SOON_MS)
    panel = PanelPage(page, run_cell(page, "from course_utils"))
    panel.wait_until_loaded()
    panel.button("Generate").click()
    panel.wait_until_longer(0)
    stop(panel)


def test_text_that_is_script_stays_text(browser, lab_url):
    page = open_notebook(browser, lab_url, "hostile.ipynb")
    panel = PanelPage(page, run_cell(page, "from course_utils"))
    panel.field("Prompt").fill(HOSTILE)
    panel.field("Max tokens").fill("8")
    panel.button("Generate").click()
    panel.wait_for("done")
    assert panel.text == HOSTILE * 8
    panel.button("Tokens").click()
    panel.tokens.nth(2).focus()
    assert HOSTILE.replace(" ", "␣") in panel.root.locator(".cp-details").inner_text()
    assert page.locator(".cp img").count() == 0
    assert page.evaluate("window.__xss") is None
    page.close()


def stop(panel: PanelPage) -> None:
    """Let nothing go on writing beside the tests that come."""
    panel.button("Stop").click()
    panel.wait_for("stopped", "done")


def restart_kernel(page) -> None:
    """Restart the kernel as a person does: by the menu."""
    page.locator(".lm-MenuBar-itemLabel").get_by_text("Kernel", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Restart Kernel…", exact=True).click()
    page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
