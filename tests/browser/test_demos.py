"""The eight demos on a projector and on a phone: large, in reach, in words, by keyboard; and with no model at all."""

import pytest
from panel_page import SOON_MS, run_axe, watch

from course_utils.hall import static_files
from course_utils.hall.auth import templates
from course_utils.hall.demos import read_demos
from course_utils.widgets.lecture.demos import demos
from tests.browser.conftest import ROOT, free_port, serve

KEYS = [demo.key for demo in demos()]
HALL, PHONE = {"width": 1920, "height": 1080}, {"width": 360, "height": 740}
LEAST_PX = 24
TOUCH_PX, BIG_PX = 44, 48
# Size of every text that can be seen, those drawn and those in fields included; the words of a closed part cannot.
SMALL = """least => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const look = (node, words) => {
    const size = parseFloat(getComputedStyle(node).fontSize);
    const isSeen = node.checkVisibility({ visibilityProperty: true });
    if (size < least && isSeen) found.push(`${size} ${node.tagName} ${words.slice(0, 30)}`);
  };
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement, words = walk.currentNode.textContent.trim();
    const isClosed = node.closest("details:not([open])") && !node.closest("summary");
    if (words && !isClosed && !node.closest("script, style, template, noscript, .cp-unseen")) look(node, words);
  }
  const fields = ".cl-stand :is(input:not([type=checkbox], [type=radio]), textarea, select)";
  document.querySelectorAll(fields).forEach((node) => look(node, node.value));
  return found;
}"""
TIGHT = """least => [...document.querySelectorAll(".cl-stand :is(button, select, summary, a[href], input)")]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }))
  .map((node) => [node, (node.matches("[type=checkbox], [type=radio]") && node.closest("label")) || node])
  .map(([node, hit]) => [node, hit.getBoundingClientRect()])
  .filter(([, box]) => Math.min(box.width, box.height) < least - 0.5)
  .map(([node, box]) => `${node.tagName} ${node.textContent.slice(0, 30)} ${box.width} x ${box.height}`)"""
STICKING_OUT = """() => [...document.querySelectorAll("body *")].filter((node) => {
    const box = node.getBoundingClientRect(), edge = document.documentElement.clientWidth + 1;
    return box.width && box.right > edge && !node.closest(".db-scroll, .oc-scroll, .cp-unseen");
  }).map((node) => `${node.tagName} ${node.getAttribute("class")}`)"""
FOCUSED = "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"


@pytest.fixture(scope="module")
def hall_url(environment, tmp_path_factory, browser):
    """The hall with the demos as they are, on a machine with no model but the course's own."""
    port, log = free_port(), tmp_path_factory.mktemp("log") / "demos.log"
    command = ["course_utils", "demo", f"--port={port}", "--no-browser", "--model", "pocket-xl"]
    command += ["--class-file", str(tmp_path_factory.mktemp("class") / "c.sqlite")]
    without = {**environment, "COURSE_MODELS": ""}
    yield from (f"http://127.0.0.1:{port}" for _ in serve(command, without, f"http://127.0.0.1:{port}/", log))


@pytest.fixture(scope="module", params=KEYS)
def page(request, browser, hall_url):
    """One visit to each demo, shared by the tests of this file."""
    page = browser.new_page(viewport=HALL, reduced_motion="reduce")
    page.key = request.param
    page.errors, page.outside = watch(page)
    page.goto(f"{hall_url}/voila/render/{page.key}.ipynb")
    page.locator(".cl-stand .cp").wait_for(timeout=2 * SOON_MS)
    yield page
    page.close()


@pytest.fixture
def frame(page):
    """The lectern as on arrival, on a projector."""
    page.set_viewport_size(HALL)
    frame = page.locator("section.cl")
    present(page, False)
    frame.get_by_role("button", name="Reset").click()
    page.locator(".cl-stand .cp").wait_for()
    return frame


def present(page, is_on: bool) -> None:
    button = page.locator("section.cl").get_by_role("button", name="Presenter")
    if (button.get_attribute("aria-pressed") == "true") != is_on:
        button.click()


def darken(page, theme: str) -> None:
    if page.locator("section.cl").get_attribute("data-theme") != theme:
        page.locator("section.cl").get_by_role("button", name="Dark").click()
    page.locator(f".cl-stand .cp[data-theme={theme}]").wait_for(timeout=SOON_MS)


def show_recording(page) -> None:
    """Let the recording play until something is there to be looked at."""
    play = page.locator("section.cl").get_by_role("button", name="Play the recording")
    if play.count():
        page.keyboard.press("Alt+p")
        page.locator(".cl-stand .cp-recorded:not([hidden])").wait_for(timeout=SOON_MS)
        page.wait_for_timeout(700)


def violations(page, axe: str, part: str = ".cl-stand") -> list[str]:
    rules = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}"
    found = run_axe(page, axe, f"'{part}', {rules}")
    return [f"{each['id']}: {each['nodes'][0]['target']} {each['nodes'][0]['failureSummary']}" for each in found]


def test_a_hall_reads_every_word_and_hits_every_button_in_light_and_dark(page, frame, axe, photograph):
    present(page, True)
    show_recording(page)
    for theme in ("light", "dark"):
        darken(page, theme)
        assert page.evaluate(SMALL, LEAST_PX) == []
        assert page.evaluate(STICKING_OUT) == []
        assert violations(page, axe) == []
        photograph(page, f"demo-{page.key}-hall-{theme}")
    big = page.locator("section.cl button").evaluate_all("all => all.map(each => each.offsetHeight)")
    assert min(size for size in big if size) >= BIG_PX
    darken(page, "light")


def test_a_phone_shows_all_in_one_column_that_a_thumb_can_use(page, frame, photograph):
    """The page is the one in which axe looked above; none of axe's rules depends on the width."""
    show_recording(page)
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(300)
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate(TIGHT, TOUCH_PX) == []
    photograph(page, f"demo-{page.key}-phone")


def test_the_keyboard_reaches_the_lectern_and_its_keys_press_its_buttons(page, frame):
    present(page, True)
    frame.get_by_role("link", name="All demos").focus()
    seen = []
    for _ in range(12):
        seen.append(page.evaluate(FOCUSED).split("\n")[0])
        page.keyboard.press("Tab")
    order = [name for name in ("‹ All demos", "All demos", "Reset", "Presenter", "Dark") if name in seen]
    assert [name for name in seen if name in order][: len(order)] == order
    if frame.get_by_role("button", name="Play the recording").count():
        page.keyboard.press("Alt+p")
        frame.get_by_role("button", name="Stop the recording").wait_for(timeout=SOON_MS)
        page.locator(".cl-stand .cp").get_by_text("A recording plays").wait_for(timeout=SOON_MS)
        page.keyboard.press("Alt+r")
        page.locator(".cl-stand .cp").get_by_text("A recording plays").wait_for(state="hidden", timeout=SOON_MS)


def test_presenter_mode_is_remembered_and_links_lead_home(page, frame):
    present(page, True)
    assert page.evaluate("localStorage.getItem('course-presenter')") == "true"
    present(page, False)
    assert frame.get_by_role("link", name="All demos").get_attribute("href") == "../../"
    assert page.locator(".cl-takeaway").is_visible()


def test_nothing_went_wrong_and_nothing_left_this_machine(page, frame):
    assert page.errors == []
    assert page.outside == []


def test_a_letter_typed_with_alt_on_a_mac_stays_a_letter(browser, hall_url):
    page = browser.new_page(viewport=HALL)
    page.goto(f"{hall_url}/voila/render/token_map.ipynb")
    page.locator(".cl-stand .cp").wait_for(timeout=2 * SOON_MS)
    taken = """([tag, key]) => {
      const node = document.querySelector(tag);
      const event = new KeyboardEvent("keydown", { key, code: "KeyP", altKey: true, bubbles: true, cancelable: true });
      node.dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    assert not page.evaluate(taken, [".cl-stand textarea", "π"])
    assert page.evaluate(taken, [".cl-stand summary", "π"])
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_front_page_is_read_in_a_hall_and_used_on_a_phone(browser, axe, photograph, theme):
    demos_here = list(read_demos(ROOT / "notebooks/demos").values())
    html = templates.get_template("gallery.html").render(demos=demos_here, base="/")
    style = (static_files.HALL / "gallery.css").read_text("utf-8")
    page = browser.new_page(viewport=HALL, color_scheme=theme)
    page.set_content(html.replace("</head>", f"<style>{style}</style></head>"))
    assert [page.locator(".demo").nth(i).get_attribute("href") for i in range(len(KEYS))] == [
        f"/voila/render/{key}.ipynb" for key in KEYS
    ]
    assert page.evaluate(SMALL, LEAST_PX) == []
    assert violations(page, axe, "main") == []
    photograph(page, f"gallery-{theme}")
    page.set_viewport_size(PHONE)
    assert page.evaluate(STICKING_OUT) == []
    assert violations(page, axe, "main") == []
    page.close()


def test_every_demo_has_a_small_picture():
    for key in KEYS:
        file = static_files.PICTURES / f"{key}.png"
        assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert file.stat().st_size < 60_000
