"""The demo in Voila, as a lecturer meets it."""

import pytest
from panel_page import SOON_MS, PanelPage, run_axe, watch

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


@pytest.fixture(scope="module")
def page(browser, voila_url):
    """One visit to the demo, shared by the tests of this file."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.errors, page.outside = watch(page)
    page.goto(f"{voila_url}/voila/render/playground.ipynb")
    PanelPage(page).wait_until_loaded()
    yield page
    page.close()


@pytest.fixture
def panel(page) -> PanelPage:
    """The panel as on arrival."""
    page.set_viewport_size({"width": 1280, "height": 900})
    panel = PanelPage(page)
    panel.button("Clear").click()
    panel.wait_for("idle")
    panel.show_tokens(False)
    panel.field("Max tokens").fill("400")
    panel.field("Samples").fill("1")
    return panel


def write(panel: PanelPage, n_tokens: int, n_samples: int = 1) -> None:
    panel.field("Max tokens").fill(str(n_tokens))
    panel.field("Samples").fill(str(n_samples))
    panel.button("Generate").click()
    panel.wait_for("generating")
    panel.wait_for("done")


def test_text_grows_and_stop_keeps_it(panel):
    panel.field("Prompt").fill("Once upon a time")
    panel.button("Generate").click()
    panel.wait_until_longer(0)
    panel.wait_until_longer(len(panel.text))
    panel.button("Stop").click()
    panel.wait_for("stopped")
    assert panel.status == "Stopped"
    assert len(panel.text) > 10
    assert "tokens/s" in panel.root.inner_text()


def test_the_keyboard_alone_is_enough(panel):
    keys = panel.page.keyboard
    name_of_focused = "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"
    panel.field("Model").focus()

    def tab_to(label: str) -> None:
        for _ in range(40):
            if panel.page.evaluate(name_of_focused) == label:
                return
            keys.press("Tab")
        pytest.fail(f"no way to {label} by the Tab key")

    tab_to("Prompt")
    keys.press("Control+A")
    keys.type("By hand")
    keys.press("Control+Enter")
    panel.wait_until_longer(200)
    keys.press("Escape")
    panel.wait_for("stopped")
    assert panel.root.locator(".cp-asked").inner_text() == "By hand"
    tab_to("Tokens")
    keys.press("Space")
    for key in ("Tab", "Tab", "Tab", "End", "Home", "ArrowRight"):
        keys.press(key)
    focused = panel.page.evaluate("document.activeElement.dataset.step")
    assert focused == "1"
    assert panel.root.locator(".cp-alternatives li").count() == 10
    keys.press("ArrowDown")
    assert int(panel.page.evaluate("document.activeElement.dataset.step")) > 1
    assert panel.tokens.and_(panel.page.locator("[tabindex='0']")).count() == 1


def test_samples_stand_side_by_side_and_the_best_is_recorded(panel, photograph):
    write(panel, 30, n_samples=4)
    assert panel.root.locator(".cp-card").count() == 4
    assert set(panel.root.locator(".cp-foot").all_inner_texts()) == {
        f"seed {seed} · 30 tokens · reached its length" for seed in range(4)
    }
    panel.field("Sample 3 is the best").check()
    with panel.page.expect_download() as download:
        panel.page.wait_for_timeout(500)  # the kernel's answer to the pick
        panel.button("Download transcript").click()
    text = download.value.path().read_text("utf-8")
    assert "machine-generated" in text
    assert "Picked as the best of 4: sample 3" in text


def test_details_tell_what_else_could_have_come(panel, photograph):
    write(panel, 30, n_samples=2)
    panel.show_tokens(True)
    panel.tokens.nth(4).hover()
    details = panel.root.locator(".cp-details")
    assert details.locator("li").count() == 10
    assert "under the model" in details.inner_text()
    assert "all other tokens together" in details.inner_text()
    photograph(panel.page, "voila-tokens")


def test_a_number_out_of_range_is_explained_beside_its_field(panel):
    panel.field("Top-p").fill("7")
    problem = panel.root.locator(".cp-top_p .cp-problem")
    problem.filter(has_text="from 0.01 to 1").wait_for(timeout=SOON_MS)
    assert problem.get_attribute("id") in panel.field("Top-p").get_attribute("aria-describedby")
    panel.field("Top-p").fill("1")
    problem.wait_for(state="hidden", timeout=SOON_MS)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 400)])
def test_nothing_sticks_out(panel, photograph, theme, width):
    write(panel, 40, n_samples=2)
    if panel.root.get_attribute("data-theme") != theme:
        panel.button("Dark").click()
    panel.page.locator(f".cp[data-theme={theme}]").wait_for()
    panel.page.set_viewport_size({"width": width, "height": 1400})
    photograph(panel.page, f"voila-{theme}-{width}")
    panel.field("Top-p").fill("7")
    panel.root.locator(".cp-top_p .cp-problem").wait_for(timeout=SOON_MS)
    sticking_out = """() => [...document.querySelectorAll('html, body, #rendered_cells, .cp, .cp *')]
        .filter(node => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline'
                        && !node.closest('.cp-unseen, .cp-name') && node.clientWidth > 0)
        .map(node => `${node.tagName}.${node.className}`)"""
    assert panel.page.evaluate(sticking_out) == []
    panel.field("Top-p").fill("1")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(panel, axe, theme):
    write(panel, 40, n_samples=2)
    panel.show_tokens(True)
    panel.tokens.first.hover()
    if panel.root.get_attribute("data-theme") != theme:
        panel.button("Dark").click()
    found = run_axe(panel.page, axe)
    told = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
    assert told == []


def test_large_type_is_larger(panel):
    size = "node => parseFloat(getComputedStyle(node).fontSize)"
    small = panel.root.evaluate(size)
    panel.button("Large type").click()
    panel.page.wait_for_function("() => document.querySelector('.cp').dataset.large === 'true'")
    assert panel.root.evaluate(size) > 1.25 * small
    panel.button("Large type").click()


def test_no_source_no_traceback_no_outside(page):
    html = page.content()
    assert "from course_utils" not in html
    assert "Traceback" not in html
    assert page.errors == []
    assert page.outside == []


def test_text_that_is_script_stays_text(browser, voila_url):
    page = browser.new_page()
    page.goto(f"{voila_url}/voila/render/hostile.ipynb")
    panel = PanelPage(page)
    panel.field("Prompt").fill(HOSTILE)
    panel.field("Max tokens").fill("8")
    panel.button("Generate").click()
    panel.wait_for("done")
    assert panel.text == HOSTILE * 8
    panel.show_tokens(True)
    panel.tokens.nth(2).hover()
    assert HOSTILE.replace(" ", "␣") in panel.root.locator(".cp-details").inner_text()
    assert page.locator(".cp img").count() == 0
    assert page.evaluate("window.__xss") is None
    page.close()
