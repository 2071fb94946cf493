"""Rules of the repository: imports run downwards, and lists that must agree do agree."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

PACKAGE = ROOT / "course_utils"


# -- layers ------------------------------------------------------------------------------------------------------------

# From top to bottom. A module may import its own layer and the layers below it. The first part of its path decides.
LAYERS = [
    {"__init__", "__main__", "trainer", "doctor"},
    {"hall"},
    {"widgets"},
    {"grading", "expect"},
    {"evidence"},
    {"experiments"},
    {"pictures", "plots"},
    {"models"},
    {"core", "errors", "packages", "places", "texts"},
]


def read_modules(package: Path) -> dict[str, ast.Module]:
    files = sorted(package.rglob("*.py"))
    return {file.relative_to(package).with_suffix("").as_posix(): ast.parse(file.read_text("utf-8")) for file in files}


def resolve(dotted: str, modules: dict[str, ast.Module], package: str) -> str | None:
    """The module that a dotted name stands for: itself, or the __init__ of its folder."""
    inside = dotted.removeprefix(package).strip(".").replace(".", "/")
    init = f"{inside}/__init__".strip("/")
    return next((module for module in (inside, init) if module in modules), None)


def imported_modules(module: str, modules: dict[str, ast.Module], package: str) -> set[str]:
    """Every module of the package that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(modules[module]):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = f"{package}/{module}".split("/")[: -node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            # `from package.models import shelf` means the module shelf; `from package.models.shelf import find` too.
            whole = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if resolve(name, modules, package) else source for name in whole]
        ours = [name for name in names if name.split(".")[0] == package]
        found |= {resolve(name, modules, package) or f"{name} (no such module)" for name in ours}
    return found - {module}


def layer_of(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if module.split("/")[0] in names)


def upward_imports(package: Path) -> list[str]:
    """Every import that does not run downwards, one sentence each."""
    modules, faults = read_modules(package), []
    for module in modules:
        for other in imported_modules(module, modules, package.name):
            if other not in modules:
                faults.append(f"{module} imports {other}")
            elif layer_of(other) < layer_of(module):
                faults.append(f"{module} imports {other}, which is above it")
    return faults


def test_imports_run_downwards():
    assert upward_imports(PACKAGE) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import toy.widgets.panel", "errors imports widgets/panel, which is above it"),
        ("from toy.widgets import panel", "errors imports widgets/panel, which is above it"),
        ("from .widgets import panel", "errors imports widgets/panel, which is above it"),
        ("def f():\n    from toy.widgets.panel import x", "errors imports widgets/panel, which is above it"),
        ("import toy.cellar", "errors imports toy.cellar (no such module)"),
        ("import math", None),
    ],
)
def test_an_upward_import_is_found(source, fault, tmp_path):
    for name, text in {
        "widgets/__init__": "",
        "widgets/panel": "from toy import errors\nx = 1",
        "errors": source,
    }.items():
        file = tmp_path / "toy" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert upward_imports(tmp_path / "toy") == ([fault] if fault else [])


def test_every_module_has_a_docstring():
    assert [name for name, module in read_modules(PACKAGE).items() if not ast.get_docstring(module)] == []


def test_the_browser_code_of_a_panel_lies_beside_it():
    shared = {"browser", "bundles"}  # modules that panels import, and what they are bundled to
    for file in [*PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")]:
        assert file.with_suffix(".py").is_file() or file.parent.name in shared, file


def test_the_front_desk_loads_no_heavy_library():
    heavy = {"torch", "transformers", "pandas", "numpy"}
    command = f"import sys, course_utils; print(*sorted({heavy} & set(sys.modules)))"
    child = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (child.stdout.strip(), child.stderr) == ("", "")


def test_every_name_at_the_front_desk_is_there():
    import course_utils

    assert set(course_utils.__all__) <= set(dir(course_utils))
    for name in course_utils.__all__:
        assert getattr(course_utils, name) is getattr(course_utils, name), name


def test_an_unknown_name_at_the_front_desk_is_told_the_known_ones():
    import course_utils

    with pytest.raises(AttributeError, match="Playground.*load"):
        course_utils.playground_panel  # noqa: B018


# -- lists that must agree ---------------------------------------------------------------------------------------------


def test_every_path_in_the_documents_exists():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text("utf-8")
        linked = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if ":" not in target]
        quoted = re.findall(r"`([\w./-]+(?:/|\.(?:md|py|txt|toml|yml|json|ipynb|png)))`", text)
        missing = [path for path in linked + quoted if path and not (ROOT / path).exists()]
        assert missing == [], name


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_make_alone_lists_every_target():
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1].split()
    assert re.findall(r"^  make ([\w-]+)", printed, re.MULTILINE) == targets


def test_the_build_server_runs_what_people_run():
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert lines[-2:] == ["make lint", "make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


# -- files -------------------------------------------------------------------------------------------------------------

# Who may write without core.files, and why.
OWN_WRITING = {
    "core/files": "it is the one that writes",
    "models/hub": "a download that was interrupted is continued, so it is no whole file yet",
    "packages": "pip's words, and a file of a wheel, in a temporary folder",
    "hall/forked_kernel": "Linux's files about a process",
}


def writes_a_file(node: ast.AST) -> bool:
    """Whether a call opens a file for writing or puts one in another's place."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    modes = [
        each.value for each in [*node.args, *(word.value for word in node.keywords)] if isinstance(each, ast.Constant)
    ]
    opens = name == "open" and any(
        isinstance(mode, str) and re.fullmatch(r"[rwax][bt+]*", mode) and mode != "r" for mode in modes
    )
    opens = opens and "rb" not in modes
    owner = getattr(getattr(node.func, "value", None), "id", "")
    return name in ("write_text", "write_bytes") or opens or (name == "replace" and owner == "os")


def test_files_are_written_by_one_module():
    """Grading has rules of its own: much of it writes into folders that are gone after the run."""
    found = {
        module
        for module, tree in read_modules(PACKAGE).items()
        if not module.startswith("grading/") and any(map(writes_a_file, ast.walk(tree)))
    }
    assert found == set(OWN_WRITING)
