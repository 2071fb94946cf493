"""The house keeps its own rules: README's map is true, imports run downwards, lists that must agree do agree."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "course_utils"
MAP_HEAD = "| storey | room | sentence |"
MAP_ROW = re.compile(r"^\| (\w+) \| `([\w/]+)` \| (.+) \|$")
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


# -- the map -----------------------------------------------------------------------------------------------------------


def read_map(readme: str) -> dict[str, tuple[str, str]]:
    """{room: (storey, sentence)} in the README's order, which is from the top of the house to the ground."""
    lines = readme.splitlines()
    rows = []
    for line in lines[lines.index(MAP_HEAD) + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(MAP_ROW.match(line))
        assert rows[-1], f"not a row of the map: {line}"
    return {row[2]: (row[1], row[3].replace("\\|", "|")) for row in rows}


def read_rooms(package: Path) -> dict[str, ast.Module]:
    files = sorted(package.rglob("*.py"))
    return {file.relative_to(package).with_suffix("").as_posix(): ast.parse(file.read_text("utf-8")) for file in files}


def first_line(module: ast.Module) -> str:
    return (ast.get_docstring(module) or "").split("\n")[0]


def resolve(dotted: str, rooms: dict[str, ast.Module], package: str) -> str | None:
    """The room that a dotted name stands for: itself, or the door of its folder."""
    inside = dotted.removeprefix(package).strip(".").replace(".", "/")
    door = f"{inside}/__init__".strip("/")
    return next((room for room in (inside, door) if room in rooms), None)


def imported_rooms(room: str, rooms: dict[str, ast.Module], package: str) -> set[str]:
    """Every room that a room imports, also inside functions."""
    found = set()
    for node in ast.walk(rooms[room]):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = f"{package}/{room}".split("/")[: -node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            # `from package.models import shelf` means the room shelf; `from package.models.shelf import find` too.
            whole = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if resolve(name, rooms, package) else source for name in whole]
        ours = [name for name in names if name.split(".")[0] == package]
        found |= {resolve(name, rooms, package) or f"{name} (no such room)" for name in ours}
    return found - {room}


def faults_of_the_map(readme: str, package: Path) -> list[str]:
    """Everything in which the map and the package differ, one sentence each."""
    told, rooms = read_map(readme), read_rooms(package)
    faults = [f"{room} is not on the map" for room in rooms if room not in told]
    faults += [f"{room} is on the map only" for room in told if room not in rooms]
    storeys = list(dict.fromkeys(storey for storey, _ in told.values()))
    for room in [room for room in rooms if room in told]:
        storey, sentence = told[room]
        if sentence != first_line(rooms[room]):
            faults.append(f"{room} says of itself: {first_line(rooms[room])!r}; the map says: {sentence!r}")
        for other in imported_rooms(room, rooms, package.name):
            if other not in rooms:
                faults.append(f"{room} imports {other}")
            elif other in told and storeys.index(told[other][0]) < storeys.index(storey):
                faults.append(f"{room} ({storey}) imports {other} ({told[other][0]}), which is above it")
    return faults


def test_the_map_is_the_package():
    assert faults_of_the_map((ROOT / "README.md").read_text("utf-8"), PACKAGE) == []


def test_a_room_lies_in_the_folder_of_its_storey():
    for room, (storey, _) in read_map((ROOT / "README.md").read_text("utf-8")).items():
        assert storey in ("front", "ground") if "/" not in room else room.startswith(f"{storey}/"), room


TOY_MAP = f"""# A toy
{MAP_HEAD}
| --- | --- | --- |
| front | `__init__` | The door. |
| widgets | `widgets/__init__` | The upper floor. |
| widgets | `widgets/panel` | A panel. |
| ground | `stones` | The stones. |

after
"""
TOY_ROOMS = {
    "__init__": '"""The door."""\nfrom toy.widgets.panel import x\n',
    "widgets/__init__": '"""The upper floor."""\n',
    "widgets/panel": '"""A panel.\n\nMore.\n"""\nfrom toy import stones\nx = 1\n',
    "stones": '"""The stones."""\nimport math\n',
}


def toy(folder: Path, **changes: str | None) -> Path:
    """A small package that agrees with TOY_MAP, but for the changes; None removes a room."""
    package = folder / "toy"
    for room, source in (TOY_ROOMS | changes).items():
        if source is not None:
            file = package / f"{room}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
    return package


def test_a_true_map_has_no_faults(tmp_path):
    assert faults_of_the_map(TOY_MAP, toy(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"attic": '"""The attic."""'}, "attic is not on the map"),
        ({"stones": None}, "stones is on the map only"),
        ({"stones": '"""Bricks."""'}, "stones says of itself: 'Bricks.'"),
        ({"stones": '"""The stones."""\nimport toy.widgets.panel'}, "stones (ground) imports widgets/panel (widgets)"),
        ({"stones": '"""The stones."""\nfrom toy.widgets import panel'}, "stones (ground) imports widgets/panel"),
        ({"stones": '"""The stones."""\nfrom .widgets import panel'}, "stones (ground) imports widgets/panel"),
        ({"stones": '"""The stones."""\ndef f():\n    from toy.widgets.panel import x'}, "stones (ground) imports"),
        ({"widgets/panel": '"""A panel."""\nfrom toy import y'}, "widgets/panel (widgets) imports __init__ (front)"),
        ({"stones": '"""The stones."""\nimport toy.cellar'}, "stones imports toy.cellar (no such room)"),
    ],
)
def test_a_false_map_is_found_out(changes, fault, tmp_path):
    assert any(found.startswith(fault) for found in faults_of_the_map(TOY_MAP, toy(tmp_path, **changes)))


# -- walls -------------------------------------------------------------------------------------------------------------


def test_no_module_is_longer_than_300_lines():
    lengths = {file.name: len(file.read_text("utf-8").splitlines()) for file in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_no_function_is_longer_than_40_lines():
    """Counted without its docstring: an explanation may be as long as it must."""
    too_long = {}
    for room, module in read_rooms(PACKAGE).items():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0] if ast.get_docstring(node) else None
                explained = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
                length = node.end_lineno - node.lineno + 1 - explained
                if length > 40:
                    too_long[f"{room}.{node.name}"] = length
    assert too_long == {}


def test_the_browser_half_of_a_panel_lies_beside_it():
    for file in [*PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")]:
        assert file.with_suffix(".py").is_file(), file


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


def requirements(name: str = "requirements.txt") -> list[str]:
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
    return [line for line in lines if line]


def test_conda_and_pip_install_the_same():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    by_pip = [line for part in listed if isinstance(part, dict) for line in part["pip"]]
    by_conda = [part for part in listed if isinstance(part, str) and not re.match(r"(python=|pip$)", part)]
    renamed = [re.sub(r"^[\w-]+", lambda name: CONDA_NAMES.get(name[0], name[0]), line) for line in by_conda]
    assert sorted(renamed + by_pip) == sorted(requirements())


def test_every_requirement_has_an_upper_end():
    for line in requirements() + requirements("requirements-dev.txt"):
        assert line == "-e ." or "==" in line or "<" in line, line
    assert requirements()[-1] == "-e ."


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
    assert re.findall(r"^  make (\w+)", printed, re.MULTILINE) == targets


def test_the_build_server_runs_what_people_run():
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert lines[-2:] == ["make lint", "make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
