"""Public names: notebooks import them from packages, and a module may move without breaking a notebook."""

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys

import nbformat
import pytest
from repository import ROOT, TESTS

import course_utils
from course_utils.core import former_paths
from course_utils.core.former_paths import FORMER, with_present_paths
from course_utils.core.lazy import origin_of
from course_utils.core.paths import PACKAGE
from course_utils.grading.submissions.repair import repair

LAZY = sorted(
    ".".join(file.parent.relative_to(ROOT).parts)
    for file in PACKAGE.rglob("__init__.py")
    if "lazy_exports(__name__)" in file.read_text("utf-8")
)
OWN_NOTEBOOKS = sorted(
    file for folder in ("notebooks", "source", "assignments") for file in (ROOT / folder).rglob("*.ipynb")
)
RELEASED = sorted((TESTS / "grading" / "released").glob("*.ipynb"))


def imports_of(file) -> list[ast.ImportFrom | ast.Import]:
    """Every import of the course in a notebook's code."""
    found = []
    for cell in json.loads(file.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            code = re.sub(r"^\s*[%!].*$", "pass", "".join(cell["source"]), flags=re.MULTILINE)
            found += [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom | ast.Import)]
    ours = re.compile(r"course_utils\b")
    return [node for node in found if ours.match(getattr(node, "module", None) or node.names[0].name)]


@pytest.mark.parametrize("package", LAZY)
def test_every_public_name_is_there_and_is_no_module_beside_it(package):
    module = importlib.import_module(package)
    beside = {each.name for each in pkgutil.iter_modules(module.__path__)}
    for name in module.__all__:
        inside, there = origin_of(package, name)
        assert getattr(module, name) is not None, name
        # Python would set the name to a module of that name as soon as anybody imports it.
        assert name not in beside or (inside, there) == (package, name), name
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match=f"{package}.*no_such_name.*{module.__all__[0]}"):
        module.no_such_name  # noqa: B018


def test_packages_load_no_heavy_library():
    heavy = {"torch", "transformers", "pandas", "numpy", "nbgrader", "matplotlib"}
    command = f"import sys, {', '.join(LAZY)}; print(*sorted({heavy} & set(sys.modules)))"
    child = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (child.stdout.strip(), child.stderr) == ("", "")


@pytest.mark.parametrize("file", OWN_NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_imports_from_packages(file):
    for node in imports_of(file):
        assert isinstance(node, ast.ImportFrom) and node.module in [*LAZY, "course_utils.expect"], ast.unparse(node)
        module = importlib.import_module(node.module)
        packages = {package.rpartition(".")[2] for package in LAZY if package.rpartition(".")[0] == node.module}
        assert {alias.name for alias in node.names} <= {*module.__all__, *packages}, ast.unparse(node)


# -- notebooks that students have already ------------------------------------------------------------------------------


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_what_a_released_notebook_imports_is_there(file):
    lines = {ast.unparse(node) for node in imports_of(file)}
    assert any(former in line for former in FORMER for line in lines)
    for line in lines:
        exec(line, {})


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_a_notebook_of_an_earlier_release_counts_as_unchanged(file):
    given = nbformat.read(file, as_version=4)
    reference = nbformat.read(ROOT / "assignments" / file.stem / file.name, as_version=4)
    repaired = repair(given.cells, reference)
    assert (repaired.changes, repaired.doubts) == ((), ())
    assert [cell.source for cell in repaired.notebook.cells] == [cell.source for cell in reference.cells]


def test_a_former_path_has_the_names_of_the_present_one(monkeypatch):
    former = "course_utils.grading.no_longer_here"
    monkeypatch.setitem(FORMER, former, "course_utils.expect")
    try:
        module = importlib.import_module(former)
        assert module.expect is importlib.import_module("course_utils.expect").expect
        assert module.__name__ == former
    finally:
        sys.modules.pop(former, None)
        vars(importlib.import_module("course_utils.grading")).pop("no_longer_here", None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("course_utils.grading.never_here")


def test_the_finder_of_former_paths_is_installed_once():
    n_finders = len(sys.meta_path)
    former_paths.install()
    assert len(sys.meta_path) == n_finders


@pytest.mark.parametrize(
    ("source", "now"),
    [
        ("x = 1\nfrom course_utils.grading.expect import cases", "x = 1\nfrom course_utils.expect import cases"),
        ("    import course_utils.grading.expect as e", "    import course_utils.expect as e"),
        ("from course_utils.grading.expected import x", "from course_utils.grading.expected import x"),
        ("print('course_utils.grading.expect')", "print('course_utils.grading.expect')"),
    ],
)
def test_only_imports_of_a_former_path_are_rewritten(source, now):
    assert with_present_paths(source) == now


# -- names in strings --------------------------------------------------------------------------------------------------


def dotted_names() -> set[tuple[str, str]]:
    """Every text in the package that is a dotted name of the package, with the file; not those of logs."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
        calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger"]
        of_logs = {id(argument) for call in calls for argument in call.args}
        for node in nodes:
            if (
                id(node) not in of_logs
                and isinstance(node, ast.Constant)
                and re.fullmatch(r"course_utils(\.\w+)+", str(node.value))
            ):
                found.add((node.value, file.name))
    return found


@pytest.mark.parametrize(("dotted", "file"), sorted(dotted_names()))
def test_a_dotted_name_in_a_string_means_something(dotted, file):
    assert dotted in FORMER or pkgutil.resolve_name(dotted) is not None, file


def test_the_linter_knows_the_class_of_settings():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    named = re.search(r'extend-immutable-calls = \["([\w.]+)"\]', text)[1]
    assert pkgutil.resolve_name(named) is course_utils.Settings
