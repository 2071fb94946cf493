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


# -- modules -----------------------------------------------------------------------------------------------------------


def read_modules(package: Path) -> dict[str, ast.Module]:
    files = sorted(package.rglob("*.py"))
    return {file.relative_to(package).with_suffix("").as_posix(): ast.parse(file.read_text("utf-8")) for file in files}


def test_every_module_has_a_docstring():
    assert [name for name, module in read_modules(PACKAGE).items() if not ast.get_docstring(module)] == []


def test_a_package_has_few_modules():
    """A person finds a module by its name where there are few beside it."""
    numbers = {file.parent: len([*file.parent.glob("*.py")]) - 1 for file in PACKAGE.rglob("__init__.py")}
    assert {package: number for package, number in numbers.items() if number > 14} == {}


def test_the_browser_code_of_a_panel_lies_beside_it():
    shared = {"browser", "bundles"}  # modules that panels import, and what they are bundled to
    widgets = PACKAGE / "widgets"
    for file in [*widgets.rglob("*.js"), *widgets.rglob("*.css")]:
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
    "models/registry/hub": "a download that was interrupted is continued, so it is no whole file yet",
    "core/wheels": "pip's words, and a file of a wheel, in a temporary folder",
    "hall/kernels/forked_kernel": "Linux's files about a process",
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
