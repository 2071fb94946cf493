"""The hall as strangers meet it: what they may see, what they may send, and what happens when it is full or gone."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import time

import psutil
import pytest
from guest import SOON_S, Guest, OpenHall, write_notebook
from panel_page import SOON_MS, watch
from websockets.exceptions import ConnectionClosed

from course_utils.hall.app import MAX_CONNECTIONS
from course_utils.hall.handlers import NEWER_PROTOCOL

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot split processes")

WORD = "open-sesame"
SECRET = "NOBODY-READS-THIS-SOURCE"
PANEL = f"""
import ipywidgets, os, random
{SECRET.replace("-", "_")} = 1
role = lambda: os.environ.get("COURSE_LECTURER")
slider = ipywidgets.IntSlider(value=3)
label = ipywidgets.Label()
button = ipywidgets.Button(description="Draw")
button.on_click(lambda pressed: setattr(label, "value", f"drawn {{random.random()}} {{role()}}"))
ipywidgets.VBox([slider, button, label])
"""
FAILS = 'import ipywidgets\nraise RuntimeError("/secret/path/of/this/machine")'

FILES = [
    *("toy.ipynb", "voila/files/toy.ipynb", "voila/files/secret.csv", "files/toy.ipynb", "nbconvert/html/toy.ipynb"),
    *("api/contents", "api/contents/toy.ipynb", "voila/api/contents", "voila/api/contents/toy.ipynb", "voila/tree"),
    *(
        "tree",
        "api/kernels",
        "api/sessions",
        "api/terminals",
        "api/kernelspecs",
        "api/status",
        "api/config/x",
        "api/me",
    ),
    *("voila/templates/lab/index.html.j2", "voila/templates/lab/static/../index.html.j2", "static/style/style.min.css"),
    *(
        "voila/static/../app.py",
        "voila/static/..%2fapp.py",
        "voila/static/%2e%2e/app.py",
        "voila/static/%252e%252e/app.py",
    ),
    *("voila/static//etc/passwd", "voila/static/%2fetc%2fpasswd", "static/etc/passwd", "voila/labextensions/../../x"),
    *("hall/app.py", "hall/handlers.py", "hall/gallery.html", "hall/../errors.py", "hall/pictures/../app.py"),
    *("voila/render/toy", "voila/render/../toy.ipynb", "voila/render/..%2ftoy.ipynb", "voila/render//etc/passwd"),
    *("voila/render/secret.csv", "voila/render/.hidden.ipynb", "voila/query/x", "voila/execution/x", "login", "logout"),
    *(".git/config", "..%5c..%5cvoila.json", "voila.json", "gradebook.db", "evidence.jsonl", "class.sqlite", "lab"),
]
FORBIDDEN = [
    *("execute_request", "complete_request", "inspect_request", "history_request", "is_complete_request"),
    *("shutdown_request", "interrupt_request", "debug_request", "create_subshell_request", "list_subshell_request"),
    *("input_reply", "connect_request", "usage_request"),
]


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    """A hall below /lectures/, with four seats and three demos, one of which does not run."""
    folder = tmp_path_factory.mktemp("hall")
    demos = folder / "demos"
    demos.mkdir()
    write_notebook(demos / "toy.ipynb", PANEL)
    write_notebook(demos / "broken.ipynb", FAILS)
    (demos / "secret.csv").write_text(SECRET)
    opened = OpenHall(demos, folder / "hall.log", "--no-model", "--seats", "4", base="/lectures/")
    yield opened.wait("toy")
    assert opened.close() == []


@pytest.fixture
def guest(hall):
    """A page of the toy, its line open."""
    came = Guest(hall, "toy").open_line()
    yield came
    came.leave()


def until(holds) -> None:
    """Wait until something holds."""
    end = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def end_of(page: Guest) -> int:
    """Read a line to its end, which must come; return the code it was closed with, 1006 for one that was cut off.

    How many messages come before the end depends on how fast the kernel is: a page asks nothing after its end.
    """
    for _ in range(10_000):
        try:
            page.line.recv(timeout=SOON_S)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
    raise AssertionError("the line goes on and on")


# -- what may be seen --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES)
def test_no_address_gives_what_is_not_on_the_list(hall, path):
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, _, text = hall.get(f"/lectures/{path}", method)
        assert status in (403, 404, 405), (method, text)
        assert SECRET not in text and "Traceback" not in text and "root:" not in text


def test_a_page_holds_no_source_no_path_and_no_other_host(guest):
    assert SECRET.replace("-", "_") not in guest.page
    assert str(guest.hall._log.parent) not in guest.page
    assert "://" not in guest.page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ), "an address of another host"


def test_a_demo_that_fails_tells_strangers_nothing_and_the_lecturer_all(hall):
    until(lambda: "/secret/path/of/this/machine" in hall.log)
    status, headers, text = hall.get("/lectures/voila/render/broken.ipynb")
    assert status == 503 and headers["retry-after"]
    assert "cannot be started here" in text
    assert "/secret/path" not in text and "RuntimeError" not in text


@pytest.mark.parametrize("path", ["", "voila/render/toy.ipynb", "nothing", "hall/pages.js", "voila/static/voila.js"])
def test_every_answer_keeps_to_itself(hall, path):
    _, headers, _ = hall.get(f"/lectures/{path}")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers and "access-control-allow-origin" not in headers


def test_large_requests_are_not_read(hall):
    with pytest.raises(http.client.RemoteDisconnected):
        hall.get("/lectures/", **{"X-Large": "x" * 20_000})
    assert hall.get("/lectures/")[0] == 200


def test_who_only_holds_a_place_keeps_nobody_out(hall):
    with contextlib.ExitStack() as held:
        for _ in range(MAX_CONNECTIONS + 20):
            line = held.enter_context(socket.create_connection(("127.0.0.1", hall.port)))
            line.sendall(b"GET /lectures/ HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert [hall.get("/lectures/")[0] for _ in range(3)] == [200] * 3


# -- what may be sent --------------------------------------------------------------------------------------------------


def test_a_page_cannot_make_its_kernel_run_anything(guest):
    for kind in FORBIDDEN:
        for channel in ("shell", "control", "stdin"):
            content = {"code": "label.value = 'owned'", "cursor_pos": 0, "silent": False, "restart": False}
            guest.send(kind, channel, **content)
    states = guest.states()  # answered after all of those would have been
    assert states["LabelModel"]["value"] == ""
    replies = {message["header"]["msg_type"] for message in guest.heard}
    assert replies <= {"status", "comm_info_reply", "comm_msg"}


def test_a_page_hears_no_traceback(guest):
    guest.send("comm_open", comm_id="x", target_name="jupyter.widget.control", data={})  # without a version: it raises
    guest.send("comm_open", comm_id="y", target_name="no such target", data={})
    guest.states()
    assert "Traceback" not in json.dumps(guest.heard)
    assert not {"stream", "error"} & {message["header"]["msg_type"] for message in guest.heard}


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "null", '{"header": 5, "channel": "shell"}', b"\xff" * 40], ids=range(6)
)
def test_what_is_no_message_ends_the_line_and_nothing_else(hall, guest, message):
    other = Guest(hall, "toy").open_line()
    other.line.send(message)
    assert end_of(other) == 4007
    assert guest.states()["IntSliderModel"]["value"] == 3
    hall.get(f"/lectures/voila/api/shutdown/{other.kernel}", "POST")


@pytest.mark.parametrize(
    ("protocols", "message"),
    [
        ([], (2**31 - 1).to_bytes(4, "big") * 8),
        ([NEWER_PROTOCOL], (2**60).to_bytes(8, "little") * 8),
        ([NEWER_PROTOCOL], (50_000).to_bytes(8, "little") + (450_000).to_bytes(8, "little") * 60_000),
    ],
    ids=["old protocol", "new protocol", "parts that overlap"],
)
def test_a_message_cannot_claim_more_parts_than_it_has(hall, protocols, message):
    other = Guest(hall, "toy").open_line(protocols=protocols)
    before = hall.process.memory_info().rss
    other.line.send(message)
    assert end_of(other) == 4007
    assert hall.process.memory_info().rss - before < 50e6
    other.leave()


def test_one_message_is_not_too_large_and_many_are_not_too_many(hall):
    one = (lambda page: page.line.send("x" * 2_000_000), 1009)
    many = (lambda page: [page.send("comm_info_request") for _ in range(1000)], 4008)
    for flood, code in (one, many):
        other = Guest(hall, "toy").open_line()
        with contextlib.suppress(ConnectionClosed):  # it may end while the flood is still sent
            flood(other)
        assert end_of(other) in (code, 1006)  # 1006: cut off, with what was still on its way
        other.leave()


def test_large_messages_are_not_too_many(hall):
    other = Guest(hall, "toy").open_line()
    with contextlib.suppress(ConnectionClosed):
        for _ in range(30):
            other.send("comm_msg", comm_id="nobody's", data={"text": "x" * 500_000})
    assert end_of(other) in (4008, 1006)
    other.leave()


def test_a_page_that_does_not_read_loses_its_kernel(hall):
    deaf = Guest(hall, "toy").open_line()
    slider = deaf.states()["IntSliderModel"]["comm"]
    deaf.change(slider, description="x" * 400_000)
    for _ in range(200):
        deaf.send("comm_msg", comm_id=slider, data={"method": "request_state"})
    until(lambda: hall.get(f"/lectures/api/kernels/{deaf.kernel}")[0] == 404)


def test_only_pages_of_the_hall_open_a_line(hall, guest):
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{hall.port + 1}"):
        with pytest.raises(Exception, match="403"):
            Guest.open_line(guest, origin)


def test_viewers_do_not_steer_each_other(hall, guest):
    other = Guest(hall, "toy").open_line()
    mine, theirs = guest.states(), other.states()
    guest.change(mine["IntSliderModel"]["comm"], value=7)
    assert guest.states()["IntSliderModel"]["value"] == 7
    assert other.states()["IntSliderModel"]["value"] == 3
    for page, states in ((guest, mine), (other, theirs)):
        page.press(states["ButtonModel"]["comm"])
    drawn = [page.states()["LabelModel"]["value"] for page in (guest, other)]
    assert drawn[0] != drawn[1] and all(each.startswith("drawn") for each in drawn)
    other.leave()


def test_only_who_has_shown_the_lecturers_key_lectures(hall):
    key = re.search(r"\?lecturer=(\S+)", hall.log)[1]
    for word, role in ((key, "1"), (f"{key}x", "")):
        _, headers, _ = hall.get(f"/lectures/?lecturer={word}")
        came = Guest(hall, "toy", Cookie=headers.get("set-cookie", "").split(";")[0]).open_line()
        came.press(came.states()["ButtonModel"]["comm"])
        drawn = came.states()["LabelModel"]["value"]
        assert drawn.partition(" ")[2].partition(" ")[2] == role
        came.leave()


def test_a_closed_pages_kernel_ends(hall):
    page = Guest(hall, "toy").open_line()
    page.states()
    n_before = len(hall.kernels())
    page.leave()
    assert hall.get(f"/lectures/api/kernels/{page.kernel}")[0] == 404
    assert len(hall.kernels()) == n_before - 1


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(browser, hall):
    """A page of the toy in a browser that reaches this machine only."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.errors, page.outside = watch(page)
    page.violations = []
    page.on("console", lambda line: "Content Security Policy" in line.text and page.violations.append(line.text))
    page.goto(f"{hall.url}demo/toy")
    page.get_by_role("button", name="Draw").wait_for(timeout=2 * SOON_MS)
    yield page
    context.close()


def kernel_of(page) -> str:
    return json.loads(page.locator("#jupyter-config-data").inner_text())["kernelId"]


def test_a_demo_works_and_asks_no_other_host(page):
    page.get_by_role("button", name="Draw").click()
    page.get_by_text("drawn 0.").wait_for(timeout=SOON_MS)
    assert (page.outside, page.errors, page.violations) == ([], [], [])


def test_a_page_whose_kernel_has_ended_says_so_and_comes_back(page, hall):
    before = kernel_of(page)
    hall.get(f"/lectures/voila/api/shutdown/{before}", "POST")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # what a phone says when it is taken out
    page.get_by_text("It loads itself anew").wait_for(timeout=SOON_MS)
    page.get_by_role("button", name="Keep what is written").click()
    page.get_by_text("nothing new can be asked").wait_for(timeout=SOON_MS)
    page.get_by_role("button", name="Load anew").click()
    page.get_by_text("This page was loaded anew and is ready.").wait_for(timeout=SOON_MS)
    page.get_by_role("button", name="Draw").wait_for(timeout=SOON_MS)
    assert kernel_of(page) != before
    page.get_by_role("button", name="Draw").click()
    page.get_by_text("drawn 0.").wait_for(timeout=SOON_MS)


def test_a_full_hall_says_so_and_lets_in_who_waits(browser, hall):
    inside = []
    with pytest.raises(AssertionError, match="The hall is full"):
        while len(inside) <= 4:
            inside.append(Guest(hall, "toy", waits=False).open_line())
    page = browser.new_page()
    page.goto(f"{hall.url}voila/render/toy.ipynb")
    assert page.get_by_role("status").inner_text() == "The hall is full. This page tries again by itself."
    assert hall.get("/lectures/voila/render/toy.ipynb")[1]["retry-after"]
    for each in inside:
        each.leave()
    page.get_by_role("button", name="Draw").wait_for(timeout=SOON_MS)
    page.close()


def test_a_zygote_that_dies_is_followed_by_another(hall):
    page = Guest(hall, "toy").open_line()
    page.states()
    template = psutil.Process(hall.kernels()[0].ppid())
    n_ended = hall.log.count("there will be another")
    template.kill()
    template.wait(SOON_S)
    until(lambda: hall.log.count("there will be another") > n_ended)
    hall.wait("toy")
    assert page.states()["IntSliderModel"]["value"] == 3  # those who were in stay in
    page.leave()
    newcomer = Guest(hall, "toy").open_line()
    assert newcomer.states()["IntSliderModel"]["value"] == 3
    newcomer.leave()


# -- a word at the door, and an end ------------------------------------------------------------------------------------


def test_a_hall_with_a_word_lets_in_who_has_it_and_leaves_nothing_however_it_ends(browser, hall, tmp_path):
    guarded = OpenHall(hall._log.parent / "demos", tmp_path / "hall.log", "--no-model", "--token", WORD)
    try:
        until(lambda: f"/?token={WORD}" in guarded.log)
        for path in ("/", "/voila/render/toy.ipynb", "/voila/static/voila.js", f"/?token={WORD}x", "/demo/toy"):
            assert guarded.get(path)[0] == 403, path
        page = browser.new_context().new_page()
        page.goto(guarded.url)
        page.get_by_label("Word").fill(WORD)
        page.get_by_role("button", name="Enter").click()
        page.get_by_role("link", name="Toy").wait_for(timeout=SOON_MS)
        assert WORD not in page.url  # a projector would show it
        page.goto(f"{guarded.url}voila/render/toy.ipynb")
        page.get_by_role("button", name="Draw").wait_for(timeout=2 * SOON_MS)
        everything = guarded.all_of_it()
        assert len(everything) >= 4  # hall, fork server, template process, kernel
        page.context.close()
    finally:
        left = guarded.close(signal.SIGKILL)  # nobody could tidy up
    assert left == []
