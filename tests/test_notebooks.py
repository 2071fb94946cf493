"""The notebooks: their form; and that each runs from top to bottom, offline, in silence, with its panels operated."""

import ast
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from forked_kernels import forked_kernels
from panel_uses import USES
from repository import ROOT

from course_utils.core.paths import cache_folder

NOTEBOOKS = sorted(file for file in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in file.parts)
LESSONS = [file for file in NOTEBOOKS if file.name[0].isdigit()]
SECONDS_A_CELL = 600
# Runs in the kernel before the first cell: keeps what Python writes to stderr, warnings and logs included.
LISTEN = """
import io as _io, sys as _sys
class _Ear(_io.TextIOBase):
    def write(self, text):
        _said.append(text)
        return _stderr.write(text)
_said, _stderr, _sys.stderr = [], _sys.stderr, _Ear()
"""
# Runs after the last cell: uses every panel that a cell has shown, as a person would.
OPERATE = f"""
import gc as _gc, sys as _sys
_sys.path.append({str(ROOT / "tests")!r})
import panel_uses as _uses
_panels = [_each for _each in _gc.get_objects() if _uses.is_panel(_each)]
for _panel in _panels:
    _uses.use(_panel)
"""
JUDGE = """
if len(_panels) != N_PANELS:
    raise RuntimeError(f"{len(_panels)} panels were shown")
if "".join(_said).strip():
    raise RuntimeError(f"on stderr: {''.join(_said)}")
"""


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def cells(file: Path, kind: str) -> list:
    return [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == kind]


def lines(cell) -> list[str]:
    return cell.source.splitlines()


def is_import_cell(cell) -> bool:
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(ast.parse(cell.source)))


# -- form --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", NOTEBOOKS, ids=named)
def test_a_notebook_is_stored_without_outputs(file):
    for cell in cells(file, "code"):
        assert cell.outputs == [], cell.id
        assert cell.execution_count is None, cell.id


@pytest.mark.parametrize("file", NOTEBOOKS, ids=named)
def test_cell_ids_are_words_and_no_two_are_the_same(file):
    """Jupyter's own ids are random and change; ours say what the cell is for."""
    ids = [cell.id for cell in nbformat.read(file, as_version=4).cells]
    assert len(set(ids)) == len(ids)
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", each) or re.search(r"\d[a-z]", each)] == []


@pytest.mark.parametrize("file", NOTEBOOKS, ids=named)
def test_a_notebook_does_nothing_behind_the_reader(file):
    """No shell, no magic, no path tricks, and no names from nowhere."""
    for cell in cells(file, "code"):
        for line in lines(cell):
            assert not re.match(r"\s*[!%]|.*\bsys\.path\b|\s*from .* import \*", line), (cell.id, line)


@pytest.mark.parametrize("file", LESSONS, ids=named)
def test_a_lesson_asks_in_its_title_and_says_how_long_it_takes(file):
    first = cells(file, "markdown")[0].source
    assert re.match(r"# .*\?\n", first)
    assert re.search(r"\d+ minutes", first)


@pytest.mark.parametrize("file", LESSONS, ids=named)
def test_a_lesson_predicts_looks_and_says_why(file):
    text = "\n".join(cell.source for cell in cells(file, "markdown"))
    for move in ("**Predict.**", "**Look.**", "**Why.**", "## What you saw", "## Next"):
        assert move in text, move


@pytest.mark.parametrize("file", LESSONS, ids=named)
def test_a_lesson_has_one_import_cell_and_it_comes_first(file):
    assert [cell.id for cell in cells(file, "code") if is_import_cell(cell)] == [cells(file, "code")[0].id]


@pytest.mark.parametrize("file", LESSONS, ids=named)
def test_cells_are_short(file):
    n_lines = {cell.id: len(lines(cell)) for cell in cells(file, "code")}
    texts = {cell.id: re.sub(r"\*Sources?: .*\*", "", cell.source) for cell in cells(file, "markdown")}
    n_words = {name: len(text.split()) for name, text in texts.items()}
    assert {each: n for each, n in n_lines.items() if n > 15} == {}
    assert statistics.median(n_lines.values()) <= 6
    assert {each: n for each, n in n_words.items() if n > 120} == {}


@pytest.mark.parametrize("file", LESSONS, ids=named)
def test_quotations_are_short(file):
    for cell in cells(file, "markdown"):
        for quoted in re.findall("“([^”]+)”", cell.source):
            assert len(quoted.split()) <= 20, (cell.id, quoted)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=named)
def test_a_link_to_another_notebook_leads_somewhere(file):
    for cell in cells(file, "markdown"):
        for target in re.findall(r"\]\(([^):]+?)(?:#[^)]*)?\)", cell.source):
            assert (file.parent / target).exists(), (cell.id, target)


# -- running -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch, real_cache, tmp_path):
    """The kernels find this course, its pocket models, the articles that `make test` has fetched, and no network."""
    (cache_folder() / "texts").symlink_to(real_cache / "texts")
    monkeypatch.setenv("COURSE_MODELS", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: whoever asks the network fails


def with_checks(file: Path, folder: Path) -> Path:
    """Copy a notebook, with cells around it that listen to stderr and operate its panels."""
    notebook = nbformat.read(file, as_version=4)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    n_panels = sum(f"{kind}(" in source for kind in USES for source in code)
    checks = [nbformat.v4.new_code_cell(code) for code in (LISTEN, OPERATE, JUDGE.replace("N_PANELS", str(n_panels)))]
    notebook.cells = [checks[0], *notebook.cells, *checks[1:]]
    nbformat.write(notebook, folder / file.name)
    return folder / file.name


def run_nbval(files: list[Path], **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "-c", os.devnull]
    limits = [f"--nbval-cell-timeout={SECONDS_A_CELL}", f"--nbval-kernel-startup-timeout={SECONDS_A_CELL}"]
    return subprocess.run(
        [*command, *limits, *map(str, files)], cwd=ROOT, capture_output=True, text=True, env={**os.environ, **variables}
    )


@pytest.mark.slow
def test_every_notebook_runs_offline_in_silence_and_its_panels_work(offline, tmp_path):
    files = sorted((with_checks(file, tmp_path) for file in NOTEBOOKS), key=lambda file: -file.stat().st_size)
    with forked_kernels(os.environ) as kernels:
        run = run_nbval(files, **kernels)
    assert run.returncode == 0, run.stdout[-16000:]


@pytest.mark.slow
def test_a_notebook_that_breaks_a_rule_is_found_out(offline, tmp_path):
    breaches = {"import warnings; warnings.warn('psst')": "on stderr: ", "'Playground()'": "0 panels were shown"}
    (tmp_path / "checked").mkdir()
    for number, code in enumerate(breaches):
        broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        nbformat.write(broken, tmp_path / f"broken-{number}.ipynb")
    run = run_nbval([with_checks(file, tmp_path / "checked") for file in sorted(tmp_path.glob("*.ipynb"))])
    assert run.returncode == 1
    assert "2 failed" in run.stdout
    for told in breaches.values():
        assert told in run.stdout
