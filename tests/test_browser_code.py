"""The panels' browser code: its sources, the bundles that are made of them, and its own tests."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT, TESTS

from course_utils.core.paths import PACKAGE
from course_utils.widgets.base.panel import BUNDLES, Panel, browser_bundle

WIDGETS = PACKAGE / "widgets"
NODE = shutil.which("node")
HAS_TOOLS = NODE and (ROOT / "node_modules" / "esbuild").is_dir() and (ROOT / "node_modules" / "linkedom").is_dir()
needs_tools = pytest.mark.skipif(not HAS_TOOLS, reason="needs Node, and npm install in this folder")

# How text becomes HTML or a program, how a page calls out, and how a field drops a decimal comma.
FORBIDDEN = [
    *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc", "new Function"),
    *("http:", "https:", "fetch(", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "import(", "@import"),
    *("valueAsNumber", 'type: "number"', 'type:"number"'),
]
SVG = "http://www.w3.org/2000/svg"  # the name of a kind of element; nothing is fetched


def browser_files() -> list[Path]:
    return [file for end in ("js", "css") for file in sorted(WIDGETS.rglob(f"*.{end}"))]


def entries() -> Iterator[Path]:
    """The sources that export a widget."""
    for file in WIDGETS.rglob("*.js"):
        if file.parent != BUNDLES and re.search(r"^export default ", file.read_text("utf-8"), re.MULTILINE):
            yield file


@pytest.mark.parametrize("name", FORBIDDEN)
def test_browser_code_neither_runs_text_nor_calls_out_nor_drops_a_comma(name):
    assert [file.name for file in browser_files() if name in file.read_text("utf-8").replace(SVG, "")] == []


def test_every_panel_has_its_bundle_and_every_bundle_its_panel():
    names = sorted(file.stem for file in entries())
    assert len(names) == len(set(names)) > 15
    assert sorted(file.name for file in BUNDLES.iterdir()) == sorted(
        f"{name}.{end}" for name in names for end in ("js", "css")
    )


@pytest.mark.parametrize("name", sorted(file.stem for file in entries()))
def test_a_bundle_has_all_that_it_needs_inside(name):
    script, style = browser_bundle(name)
    assert not re.search(r'(?:^|[;}\n])import\s*["{*]|#shared|\bfrom\s*"', script)
    assert re.search(r"export\{\w+ as default\};?\s*$", script)
    assert script.count("function openView(") == style.count(".cp-unseen{") == 1


def test_the_browser_knows_the_same_busy_states():
    [file] = [file for file in browser_files() if file.name == "states.js"]
    source = file.read_text("utf-8")
    states = re.search(r"BUSY_STATES = (\[.+?\])", source)
    assert set(json.loads(states[1])) == Panel.busy_states


def test_the_bundler_has_one_version():
    tools = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", tools["esbuild"]), "another version may give other bytes"


@needs_tools
def test_the_committed_bundles_are_made_of_the_sources(tmp_path):
    """`make browser` mends this."""
    subprocess.run([NODE, "tools/bundle.mjs", str(tmp_path / "bundles")], cwd=ROOT, check=True)
    made = {file.name: file.read_bytes() for file in (tmp_path / "bundles").iterdir()}
    committed = {file.name: file.read_bytes() for file in BUNDLES.iterdir()}
    assert sorted(made) == sorted(committed)
    assert [name for name in made if made[name] != committed[name]] == []


@needs_tools
def test_the_shared_modules_pass_their_own_tests():
    files = sorted(str(file.relative_to(ROOT)) for file in (TESTS / "browser_modules").glob("*.test.js"))
    done = subprocess.run([NODE, "--test", "--test-reporter=tap", *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(re.search(r"^# pass (\d+)", done.stdout, re.MULTILINE)[1]) >= 30
