"""JupyterLab as a person uses it: a notebook is opened, a cell is run."""

import re

from panel_page import SOON_MS, watch
from playwright.sync_api import Locator, Page

TOKEN = "only-on-loopback"


def open_notebook(browser, lab_url: str, name: str) -> Page:
    """Open a notebook in a workspace of its own, and wait until its kernel is ready."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.errors, page.outside = watch(page)
    # A server just started may ask which kernel, because its list of kernels comes later than the notebook.
    question = page.locator(".jp-Dialog")
    page.add_locator_handler(question, lambda _: page.keyboard.press("Enter"))
    workspace = name.removesuffix(".ipynb").replace("/", "-").replace(" ", "-")
    page.address = f"{lab_url}/lab/workspaces/{workspace}/tree/{name}?token={TOKEN}"
    page.goto(page.address)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=2 * SOON_MS)
    page.remove_locator_handler(question)
    return page


def run_cell(page: Page, containing: str, number: int = 0) -> Locator:
    """Run a cell as a student does: click into it, Shift + Enter."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=containing).nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    # Two dialogs may come late: which kernel; and, until a kernel chosen anew has gone, that none may run.
    dialog = page.locator(".jp-Dialog")
    page.add_locator_handler(dialog, lambda _: dialog.locator(".jp-mod-accept").last.click())
    for _ in range(40):  # JupyterLab also forgets a run that comes while it is still connecting to the kernel
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(500)
        if prompt.inner_text() != before:
            break
    page.remove_locator_handler(dialog)
    prompt.filter(has_text=re.compile(r"\[\d+\]")).wait_for(timeout=SOON_MS)
    return cell
