"""Pinned lists of dependencies, made from pyproject.toml: requirements.txt, requirements-dev.txt and environment.yml.

``make requirements`` runs this. It needs uv and a connection to the package index. Versions that are already pinned
stay, unless pyproject.toml no longer allows them; ``--upgrade`` takes the newest.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
HEADER = "# Made by `make requirements` from pyproject.toml, for Python 3.11 to 3.14 on Linux, macOS 14 and Windows.\n"
PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==")
Pins = dict[str, list[str]]


def resolve(options: list[str], preferred: str, upgrade: bool) -> Pins:
    """Resolve the dependencies for all systems and Pythons.

    Parameters
    ----------
    options : list of str
        Which extras and groups of pyproject.toml to take.
    preferred : str
        Pins to keep where they are allowed, in the format of requirements.txt.
    upgrade : bool
        Take the newest versions instead.

    Returns
    -------
    dict of str to list of str
        By package, its lines for requirements.txt: one, or one for each marker.
    """
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text(preferred, encoding="utf-8")
        command = ["uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", PYTHONS[0]]
        command += ["--no-header", "--no-annotate", "--quiet", "--output-file", str(pins), *options]
        subprocess.run(command + ["--upgrade"] * upgrade, cwd=ROOT, check=True)
        lines = pins.read_text(encoding="utf-8").splitlines()
    found: Pins = {}
    for line in lines:
        if match := PIN.match(line):  # all others are comments and addresses
            found.setdefault(match[1].lower().replace("_", "-").replace(".", "-"), []).append(line)
    return found


def to_lines(pins: Pins) -> list[str]:
    """Flatten pins into lines, in the order of their names."""
    return [line for name in sorted(pins) for line in pins[name]]


def pinned_before() -> str:
    """Return the pins of the lists as they are now."""
    files = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]
    lines = [line for file in files if file.is_file() for line in file.read_text(encoding="utf-8").splitlines()]
    return "".join(f"{line}\n" for line in lines if PIN.match(line))


def write_lists(upgrade: bool) -> None:
    """Write the three lists."""
    everything = resolve(["--all-extras", "--group", "dev", "--group", "docs"], pinned_before(), upgrade)
    # With the versions of the larger list, so that the two lists never ask for two versions of one package.
    names = set(resolve(["--all-extras"], "".join(f"{line}\n" for line in to_lines(everything)), False))
    course = to_lines({name: lines for name, lines in everything.items() if name in names})
    only_dev = to_lines({name: lines for name, lines in everything.items() if name not in names})
    # An extra of a package that the course needs anyway, such as transformers[serving], brings packages, no version.
    course = [re.sub(r"^([\w.-]+)\[[\w,-]+\]", r"\1", line) for line in course]
    (ROOT / "requirements.txt").write_text("\n".join([HEADER + "-e .", *course, ""]), encoding="utf-8")
    (ROOT / "requirements-dev.txt").write_text(
        "\n".join([HEADER + "-r requirements.txt", *only_dev, ""]), encoding="utf-8"
    )
    conda = [
        f"{HEADER}# conda brings Python; pip brings the same packages as requirements.txt.",
        "name: model-release-course",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python={PYTHONS[0]}",
        "  - pip",
        "  - pip:",
        *(f"      - {line}" for line in ["-e .", *(line.replace(" ; ", "; ") for line in course)]),
    ]
    (ROOT / "environment.yml").write_text("\n".join([*conda, ""]), encoding="utf-8")


if __name__ == "__main__":
    write_lists(upgrade="--upgrade" in sys.argv[1:])
