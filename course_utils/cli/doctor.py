"""Health check of this machine: one line for each thing that the course needs, with what to do when it fails."""

import dataclasses
import importlib.metadata
import os
import shutil
import socket
import sys
import tempfile
import webbrowser
from pathlib import Path

from packaging.requirements import Requirement

from course_utils.core import extras
from course_utils.core.files import nearest_folder, why_not_writable
from course_utils.core.limits import memory_available_mb
from course_utils.core.paths import cache_folder, own_models_folder
from course_utils.data import news_articles
from course_utils.errors import CourseError, ModelNotHere
from course_utils.evidence.ledger.ledger import ledger_path
from course_utils.grading.sandbox.sandbox import sandbox_problem
from course_utils.models.registry import registry, stored_answer
from course_utils.models.registry.catalogue import CATALOGUE, Entry
from course_utils.models.weights import cached_files

TESTED_PYTHON = (3, 11)
JUPYTER_PORT = 8888
ROOM_TO_WORK_MB = 200
HOW_TO_MOVE_JUPYTER = "Set JUPYTER_DATA_DIR, JUPYTER_CONFIG_DIR and IPYTHONDIR to folders that you may write to."


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    thing, found : str
        What was looked at, and what was seen.
    state : {"ok", "note", "fix"}
        Good; good enough to run; must be put right before the course can run.
    cure : str
        What to do, preferably something to type.
    """

    thing: str
    found: str
    state: str = "ok"
    cure: str = ""

    def __str__(self) -> str:
        """Return the line, and where there is a cure a second one."""
        line = f"{self.state:4}  {self.thing:17} {self.found}"
        return f"{line}\n{'':24}{self.cure}" if self.cure else line


@dataclasses.dataclass(frozen=True)
class Report:
    """What the doctor found; shown in a notebook as its lines."""

    findings: tuple[Finding, ...]

    @property
    def is_ready(self) -> bool:
        """Whether the course can run here."""
        return all(finding.state != "fix" for finding in self.findings)

    def __str__(self) -> str:
        """Return one line a thing, and the verdict."""
        n_to_fix = sum(finding.state == "fix" for finding in self.findings)
        things = "1 thing" if n_to_fix == 1 else f"{n_to_fix} things"
        verdict = (
            "The course can run here." if self.is_ready else f"Put right {things} first: see the lines marked fix."
        )
        return "\n".join([*map(str, self.findings), "", verdict])

    __repr__ = __str__


def examine() -> Report:
    """Look at Python, packages, models, texts, memory, disk, folders, network settings, port and browser.

    Nothing is changed but the notes of which models were found whole: what is written to try a folder is gone at once.
    """
    models = [_model(known) for known in registry.entries()]
    rest = [
        _some_model(),
        _texts(),
        _memory(),
        _disk(),
        _copies(),
        *_folders(),
        _network(),
        _port(),
        _browser(),
        _sandbox(),
    ]
    return Report((_python(), *_packages(), *models, *rest, _browser(), _sandbox()))


def _python() -> Finding:
    version, tested = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, TESTED_PYTHON))
    if sys.version_info < TESTED_PYTHON:
        return Finding("Python", version, "fix", f"Install Python {tested}, delete the folder .venv, then: make lab")
    newer = sys.version_info[:2] > TESTED_PYTHON
    return Finding("Python", f"{version}{f' (tested: {tested})' if newer else ''}", "note" if newer else "ok")


def _packages() -> list[Finding]:
    """Compare what is installed with what the course asks for: one line in all, or one for each that is wrong."""
    asked = extras.requirements()
    if not asked.get(""):
        return [Finding("packages", "not compared: the course is not installed", "note", "make lab")]
    wrong = [_package(wanted, extra) for extra, several in asked.items() for wanted in several]
    wrong = [finding for finding in wrong if finding.state != "ok"]
    return wrong or [Finding("packages", f"all {sum(map(len, asked.values()))} as the course asks")]


def _package(wanted: Requirement, extra: str) -> Finding:
    """Look at one package. One that only an extra needs, such as grading, is no reason to stop."""
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if version and wanted.specifier.contains(version, prereleases=True):
        return Finding(wanted.name, version)
    found = f"{version or 'missing'} (asked for: {wanted.specifier}{f', only for {extra}' if extra else ''})"
    return Finding(wanted.name, found, "note" if extra else "fix", extras.pip_install([wanted]))


def _model(known: Entry) -> Finding:
    """Verify a model that is here; one that is not is no fault."""
    try:
        folder = registry.find(known.name)
    except ModelNotHere:
        return Finding(known.name, f"not here; python -m course_utils fetch {known.name}", "note")
    except CourseError as error:
        return Finding(known.name, error.what, "fix", error.next_step)
    return Finding(known.name, f"whole, in {folder}", "ok" if registry.fits(known) else "note")


def _some_model() -> Finding:
    try:
        name = registry.best_here()
    except ModelNotHere as error:
        return Finding("default model", error.what, "fix", error.next_step)
    if not registry.fits(registry.entry(name)):
        need, free = registry.memory_needed_mb(registry.entry(name)), memory_available_mb()
        return Finding(
            "default model",
            f"{name} needs {need:,.0f} MB of memory, {free:,.0f} are free",
            "fix",
            "Close other programs.",
        )
    if registry.entry(name).origin == "course":
        return Finding("default model", f"{name}; for a fluent one: python -m course_utils fetch --default", "note")
    return Finding("default model", f"{name} ({registry.entry(name).about})")


def _texts() -> Finding:
    if not news_articles.is_here():
        return Finding("human texts", "not here; python -m course_utils fetch texts", "note")
    try:
        return Finding("human texts", f"{len(news_articles.articles('held_out')):,} held-out articles")
    except CourseError as error:
        return Finding("human texts", error.what, "fix", error.next_step)


def _memory() -> Finding:
    fitting = [known for known in CATALOGUE.values() if registry.fits(known)]
    found = f"{memory_available_mb():,.0f} MB free"
    if not fitting:
        return Finding(
            "memory", f"{found}, too little for the smallest GPT-2", "note", "Close other programs or notebooks."
        )
    largest = max(fitting, key=lambda known: known.n_parameters)
    return Finding("memory", f"{found}, enough for {largest.name} in {stored_answer.expected()}")


def _disk() -> Finding:
    folder = nearest_folder(cache_folder())
    try:
        free_mb = shutil.disk_usage(folder).free / 1e6
    except OSError as problem:
        return Finding("disk", f"{folder}: {problem.strerror}", "note", "Set COURSE_CACHE to a folder on another disk.")
    found = f"{free_mb:,.0f} MB free at {folder}"
    if free_mb < ROOM_TO_WORK_MB:
        return Finding("disk", f"{found}; no model can be fetched", "note", "Make room, or set COURSE_CACHE.")
    return Finding("disk", found)


def _copies() -> Finding:
    """Tell how much the 8-bit copies of models take, which are kept so that models load quickly."""
    return Finding("8-bit copies", f"{cached_files.summary()}; to remove them: python -m course_utils cache --clear")


def _folders() -> list[Finding]:
    """Try to write where the course and Jupyter write, and tell what it costs where that cannot be."""
    from jupyter_core.paths import jupyter_runtime_dir

    cache, ledger = cache_folder(), ledger_path()
    costs = "models cannot be fetched, votes are not kept, results are computed anew each time"
    findings = [
        _folder("cache folder", cache, costs, "Set COURSE_CACHE to a folder that you may write to.", "note"),
        _folder("ledger", ledger.parent, "no result can be kept as evidence", "Set COURSE_LEDGER to another file."),
        _folder("Jupyter", Path(jupyter_runtime_dir()), "JupyterLab cannot start", HOW_TO_MOVE_JUPYTER),
    ]
    if os.path.lexists(ledger) and not os.access(ledger, os.R_OK | os.W_OK):
        what = f"{ledger} may not be written: no result can be kept as evidence"
        findings[1] = Finding("ledger", what, "fix", "Set COURSE_LEDGER to another file.")
    try:
        findings.append(_folder("temporary files", Path(tempfile.gettempdir()), "little works", "Set TMPDIR."))
    except OSError as problem:
        what = f"no folder for them: {problem.strerror}"
        findings.append(Finding("temporary files", what, "fix", "Set TMPDIR to a folder that you may write to."))
    models = own_models_folder()
    if models:
        try:
            os.listdir(models)
        except OSError as problem:
            what = f"COURSE_MODELS names {models}: {problem.strerror}"
            findings.append(Finding("class's models", what, "note", "Set it to the folder with the class's models."))
    return findings


def _folder(thing: str, folder: Path, costs: str, cure: str, state: str = "fix") -> Finding:
    why = why_not_writable(folder)
    if why:
        return Finding(thing, f"{folder} cannot be written ({why}): {costs}", state, cure)
    return Finding(thing, f"{folder} can be written")


def _network() -> Finding:
    """Look at the settings for downloads; nothing is sent."""
    from course_utils.models.registry import hub

    try:
        address = hub.check_settings()
    except CourseError as error:
        return Finding("downloads", error.what, "note", error.next_step)
    return Finding("downloads", f"from {address}, by the settings of this machine's network")


def _port() -> Finding:
    """Try whether JupyterLab's usual port can be had."""
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", JUPYTER_PORT)) == 0
    if taken:
        return Finding("port", f"{JUPYTER_PORT} is taken; JupyterLab takes the next free one and says which", "note")
    return Finding("port", f"{JUPYTER_PORT} is free")


def _browser() -> Finding:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return Finding("browser", "none found; open the address that JupyterLab prints", "note")
    return Finding("browser", "found")


def _sandbox() -> Finding:
    """Only those who grade need one."""
    why = sandbox_problem()
    return Finding("sandbox", f"none, and only graders need one: {why}" if why else "found", "note" if why else "ok")
