"""Packaging: the pinned lists agree with pyproject.toml, and the wheel works away from the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]


def lines_of(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]


def pins_of(lines: list[str]) -> dict[str, list[Requirement]]:
    """The pinned requirements among lines, by name; a package may have one pin for each marker."""
    found: dict[str, list[Requirement]] = {}
    for pin in (Requirement(line) for line in lines if not line.startswith("-")):
        found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


# -- the pinned lists --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "dependencies"),
    [
        (["requirements.txt"], [*PROJECT["project"]["dependencies"], *sum(EXTRAS.values(), [])]),
        (["requirements.txt", "requirements-dev.txt"], sum(GROUPS.values(), [])),
    ],
    ids=["course", "development"],
)
def test_every_dependency_is_pinned_within_its_bounds(lists, dependencies):
    pins = pins_of([line for name in lists for line in lines_of(name)])
    for wanted in map(Requirement, dependencies):
        found = pins[canonicalize_name(wanted.name)]
        versions = [str(pin.specifier).removeprefix("==") for pin in found]
        assert all(wanted.specifier.contains(version) for version in versions), (str(wanted), versions)
        assert any(pin.marker is None for pin in found) or len(found) > 1, f"{wanted} is not pinned on every system"


def test_every_line_of_a_pinned_list_is_one_version():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in lines_of(name):
            assert line in ("-e .", "-r requirements.txt") or str(Requirement(line).specifier).startswith("=="), line


def test_no_pinned_list_says_where_packages_come_from():
    for name in ("requirements.txt", "requirements-dev.txt", "environment.yml", "pyproject.toml"):
        text = (ROOT / name).read_text("utf-8")
        assert "://" not in text and "--hash" not in text and "index-url" not in text, name


def test_the_two_pinned_lists_name_no_package_twice():
    assert not set(pins_of(lines_of("requirements.txt"))) & set(pins_of(lines_of("requirements-dev.txt")))


def test_conda_and_pip_install_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    by_pip = next(part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    listed = lines_of("requirements.txt")
    assert by_pip[0] == listed[0] == "-e ."
    assert [str(Requirement(line)) for line in by_pip[1:]] == [str(Requirement(line)) for line in listed[1:]]


def test_what_is_pinned_is_what_these_tests_run_with():
    import importlib.metadata

    for name, pins in pins_of(lines_of("requirements.txt")).items():
        for pin in pins:
            if pin.marker is None or pin.marker.evaluate():
                assert pin.specifier.contains(importlib.metadata.version(name)), str(pin)


# -- the wheel ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of what git has, so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "course_utils", copy / "course_utils", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(copy)], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return copy / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def away(wheel, tmp_path_factory) -> tuple[Path, Path]:
    """The Python of a new virtual environment with the wheel, and an empty folder to run it in.

    The dependencies are the ones of this environment. They are reached by a path in a .pth file, and such a path does
    not read the .pth files there: the editable installation of the checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("away")
    environment, work = folder / "environment", folder / "work"
    work.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile", "--quiet"]
    subprocess.run([*install, "--target", str(packages), str(wheel)], check=True, capture_output=True)
    here = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    (packages / "dependencies.pth").write_text(f"{here}\n", "utf-8")
    return python, work


def run_away(away: tuple[Path, Path], *arguments: str) -> subprocess.CompletedProcess:
    python, work = away
    return subprocess.run(
        [python, "-I", *arguments], cwd=work, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_all_package_data_is_in_the_wheel(wheel):
    package = ROOT / "course_utils"
    files = {
        file.relative_to(ROOT).as_posix()
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == files
    assert {Path(name).suffix for name in files} >= {".py", ".js", ".css", ".json", ".jsonl", ".md", ".yaml", ".png"}


def test_the_wheel_names_its_dependencies_and_extras(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    wanted = [Requirement(line.split(": ", 1)[1]) for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert {each.name for each in wanted if each.marker is None} == {
        Requirement(line).name for line in PROJECT["project"]["dependencies"]
    }
    assert set(EXTRAS) == {"grading", "lecture", "server", "train"}


AWAY = """
import sys
from pathlib import Path
import course_utils
assert Path(course_utils.__file__).is_relative_to(sys.prefix), course_utils.__file__
from course_utils.__main__ import main

model = course_utils.load("random-gpt2")
panel = course_utils.Playground(model, "Once", course_utils.Settings(max_new_tokens=3))
assert "render" in panel._esm and panel._css
panel.generate()
panel.wait()
assert len(panel.generations) == 1
from course_utils.experiments.detection.token_ranks import read_ranks
result = read_ranks(model, ["Once upon a time"])
assert len(result.rows) == 1 and result.finding
for command in (["say", "Once", "--model", "pocket-small"], ["demo", "--no-browser"], ["grade", "status"]):
    assert main(command) == 1

class Without:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "uvicorn":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
assert main(["serve"]) == 1
"""


@pytest.mark.slow
def test_the_wheel_works_away_from_the_checkout(away):
    done = run_away(away, "-c", AWAY)
    assert done.returncode == 0, done.stderr
    for told in (
        "pocket-small comes with the course's repository.",
        "No notebook lies in",
        "is not in the folder of a course.",
        "The package uvicorn is not installed.",
        'python -m pip install "starlette>=',
    ):
        assert told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert run_away(away, "-m", "course_utils", "--help").stdout.startswith("usage: python -m course_utils")
