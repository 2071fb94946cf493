"""Sandbox for students' code: Python's standard library, a few packages and `runner`, each at a place of its own.

The folders in the sandbox are ``/python``, ``/packages``, ``/sandbox``, ``/given`` and ``/work``. Their names tell
nothing about this machine. Nothing else of the grader's is shown: no checks, no submissions, no gradebook.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from course_utils import errors
from course_utils.core import former_paths, lazy
from course_utils.core.paths import PACKAGE, source_file
from course_utils.grading.checks import codec, expect, plain_values, runner
from course_utils.grading.sandbox.sandbox import empty_sandbox, environment_options, memory_folders

PYTHON, PACKAGES, SANDBOX, GIVEN, WORK = "/python", "/packages", "/sandbox", "/given", "/work"  # in the small set
IMPORTED = ("ipython", "ipywidgets", "numpy", "pandas", "matplotlib")  # what students may import, where it is here
# Modules of this package that students' code may import. The packages above them come with them.
FOR_STUDENTS = (
    "course_utils.expect",  # by its name: the public face imports from this package, not the other way round
    *(module.__name__ for module in (expect, plain_values, errors, lazy, former_paths)),
)
# Programs of the sandbox by the names under which they import each other there.
RUN_INSIDE = {runner: "runner.py", codec: "codec.py"}
NOT_OF_PYTHON = ("site-packages", "dist-packages", "ensurepip", "test")  # folders of the standard library's


def student_command(given: Path | None, packages: Sequence[str] = (), disk_mb: int = 200) -> list[str]:
    """Return a command line that starts `runner.py` in a sandbox with the small set of files.

    Parameters
    ----------
    given : Path or None
        A folder whose files the student's code finds in its working folder. It works on a copy.
    packages : sequence of str
        Distributions that it may import besides `IMPORTED`, with all that they require.
    disk_mb : int
        How much it may write. It writes into memory: nothing of it is ever on this machine's disk.

    Notes
    -----
    There is no ``/proc``: neither the mounts, which name folders of this machine, nor another process can be seen.
    """
    line = empty_sandbox()
    for outside, inside in _small_files(tuple(packages)):
        line += ["--ro-bind", outside, inside]
    line += [word for folder in _covered() for word in ("--tmpfs", folder, "--remount-ro", folder)]
    if given is not None:
        line += ["--ro-bind", str(given), GIVEN]
    line += [*memory_folders(), "--size", str(disk_mb * 1_000_000), "--perms", "0700", "--tmpfs", WORK]
    line += environment_options(
        {
            "PATH": f"{PYTHON}/bin", "LD_LIBRARY_PATH": f"{PYTHON}/lib", "HOME": "/tmp", "TMPDIR": "/tmp",
            "IPYTHONDIR": "/tmp/ipython", "MPLCONFIGDIR": "/tmp/matplotlib", "LANG": "C.UTF-8",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        }
    )  # fmt: skip
    line += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", WORK, "--"]
    line += [f"{PYTHON}/bin/python3", "-I", "-S", f"{SANDBOX}/{RUN_INSIDE[runner]}", PACKAGES]
    return [*line, GIVEN if given is not None else "", WORK]


@functools.cache
def _small_files(packages: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the small set of files: where each lies, and where it appears."""
    standard, executable = Path(sysconfig.get_path("stdlib")), os.path.realpath(sys.executable)
    files = [(executable, f"{PYTHON}/bin/python3"), (str(standard), f"{PYTHON}/lib/{standard.name}")]
    if (dynamic := sysconfig.get_config_var("DESTSHARED")) and not (standard / "lib-dynload").is_dir():
        files += [(dynamic, f"{PYTHON}/lib/{standard.name}/lib-dynload")]
    tops = _tops_of([*IMPORTED, *packages])
    files += [(str(top), f"{PACKAGES}/{top.name}") for top in tops]
    files += [
        (str(package), f"{PACKAGES}/{package.relative_to(PACKAGE.parent)}") for package in _with_packages(FOR_STUDENTS)
    ]
    files += [(str(source_file(module.__name__)), f"{SANDBOX}/{name}") for module, name in RUN_INSIDE.items()]
    loaders, libraries = _libraries_of([Path(executable), standard / "lib-dynload", *tops])
    files += [(loader, loader) for loader in loaders]
    files += [(library, f"{PYTHON}/lib/{Path(library).name}") for library in libraries]
    zones = Path("/usr/share/zoneinfo")
    return [*files, *([(str(zones), str(zones))] if zones.is_dir() else [])]


def _with_packages(modules: Sequence[str]) -> list[Path]:
    """Return the files of modules, and of the packages in which they lie: Python needs both to import them."""
    names = {".".join(parts[:n]) for parts in (name.split(".") for name in modules) for n in range(1, len(parts) + 1)}
    return [source_file(importlib.import_module(name).__name__) for name in sorted(names)]


def _covered() -> list[str]:
    """Return the folders of the standard library that are shown empty."""
    standard = Path(sysconfig.get_path("stdlib"))
    return [f"{PYTHON}/lib/{standard.name}/{name}" for name in NOT_OF_PYTHON if (standard / name).is_dir()]


def _tops_of(names: Sequence[str]) -> list[Path]:
    """Return the folders and files of distributions and of all that they require."""
    from packaging.requirements import Requirement

    left, read, tops = list(names), set(), {}
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in read:
            continue
        read.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.distribution(name)
            for first in {file.parts[0] for file in found.files or () if len(file.parts) > 0} - {"..", "__pycache__"}:
                if (top := Path(str(found.locate_file(first)))).exists() and not first.endswith(".pth"):
                    tops[first] = top
            for requirement in map(Requirement, found.requires or ()):
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                    left.append(requirement.name)
    return [tops[name] for name in sorted(tops)]


def _libraries_of(paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the dynamic loader and the shared libraries of the system that programs and modules in places need."""
    modules = [str(path) for path in paths if path.is_file() and path.suffix != ".py"]
    for path in paths:
        modules += [str(file) for file in path.rglob("*.so*") if file.is_file()] if path.is_dir() else []
    own = [str(path) for path in paths if path.is_dir()]
    ldd_output = subprocess.run(["ldd", *modules], capture_output=True, text=True, check=False).stdout
    loaders, libraries = set(), {}
    for line in map(str.split, ldd_output.splitlines()):
        if len(line) >= 4 and line[1] == "=>" and line[2].startswith("/"):
            if not any(line[2].startswith(f"{folder}/") for folder in own):
                libraries[line[0]] = line[2]
        elif len(line) == 2 and line[0].startswith("/"):
            loaders.add(line[0])
    return sorted(loaders), sorted(libraries.values())
