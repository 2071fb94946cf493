"""The playground as a person meets it: found by its labels, used by mouse or keyboard."""

import time
from collections.abc import Callable
from urllib.parse import urlparse

from playwright.sync_api import Locator, Page

SOON_MS = 120_000  # a busy machine may take long; nothing waits for it where all goes well


class PanelPage:
    """One panel on a page.

    Parameters
    ----------
    page : Page
    cell : Locator, optional
        The cell it stands in, where the page has several.
    """

    def __init__(self, page: Page, cell: Locator | None = None) -> None:
        self.page, self.root = page, (cell or page).locator(".cp")
        self.root.wait_for(timeout=2 * SOON_MS)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def field(self, label: str) -> Locator:
        return self.root.get_by_label(label, exact=True)

    @property
    def tokens(self) -> Locator:
        return self.root.locator("[role=option]")

    @property
    def text(self) -> str:
        return "".join(self.root.locator(".cp-card .cp-text").all_text_contents())

    @property
    def status(self) -> str:
        return self.root.get_by_role("status").inner_text()

    def show_tokens(self, shown: bool) -> None:
        switch = self.root.locator(".cp-tokens-switch")
        if (switch.get_attribute("aria-pressed") == "true") != shown:
            switch.evaluate("node => node.click()")  # it is hidden while there is no text

    def wait_for(self, *states: str) -> None:
        chosen = ", ".join(f'.cp[data-state="{state}"]' for state in states)
        self.root.and_(self.page.locator(chosen)).first.wait_for(timeout=2 * SOON_MS)

    def wait_for_answer(self, shown: str, selector: str = ".cp-asked") -> None:
        """Wait until the answer to a question is complete: the state alone may still be that of the one before."""
        self.root.locator(selector).filter(has_text=shown).first.wait_for(timeout=2 * SOON_MS)
        self.wait_for("done")

    def wait_until_longer(self, n_characters: int) -> None:
        """Wait until the model has written more than that."""
        self._until(lambda: len(self.text) > n_characters)

    def wait_until_loaded(self) -> None:
        self._until(lambda: "Ready" in self.root.locator(".cp-state").all_text_contents())

    def _until(self, holds: Callable[[], bool]) -> None:
        """Look again and again: JupyterLab may put a new element in the place of the one that is watched."""
        end = time.monotonic() + 2 * SOON_MS / 1000
        while not holds():
            assert time.monotonic() < end, "it never came to that"
            self.page.wait_for_timeout(20)


def run_axe(page: Page, axe: str, arguments: str = "") -> list[dict]:
    """Return axe's violations on a page; its script of half a megabyte is put into each page once."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(axe)
    return page.evaluate(f"axe.run({arguments})")["violations"]


def watch(page: Page) -> tuple[list[str], list[str]]:
    """Return two lists that fill while the page lives: errors of scripts, and requests that left this machine."""
    errors, outside = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfinished", lambda request: is_outside(request.url) and outside.append(request.url))
    # What the page's own security policy held back never left; anything else did try.
    page.on(
        "requestfailed",
        lambda request: is_outside(request.url) and request.failure != "csp" and outside.append(request.url),
    )
    return errors, outside


def is_outside(url: str) -> bool:
    return urlparse(url).scheme in ("http", "https", "ws", "wss") and urlparse(url).hostname != "127.0.0.1"
