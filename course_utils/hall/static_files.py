"""Static files of the pages: a list made at the start, so that no address can reach another file."""

import gzip
import hashlib
import mimetypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from course_utils.core.paths import data_file

ENDINGS = {".js", ".css", ".woff", ".woff2", ".ttf", ".eot", ".svg", ".png", ".jpg"}
SQUEEZABLE = {".js", ".css", ".svg"}
HALL, PICTURES = data_file(__name__, "."), data_file(__name__, "pictures")


@dataclass(frozen=True)
class Asset:
    """One file; what is in it is read when first asked for, and kept."""

    file: Path

    @cached_property
    def content(self) -> bytes:
        """Its bytes."""
        return self.file.read_bytes()

    @cached_property
    def squeezed(self) -> bytes | None:
        """Its bytes in gzip, made once for all viewers; None where that would save nothing."""
        return gzip.compress(self.content, 6) if self.file.suffix in SQUEEZABLE else None

    @cached_property
    def tag(self) -> str:
        """A name for just these bytes."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    @property
    def kind(self) -> str:
        """Its MIME type."""
        if self.file.suffix == ".js":
            return "text/javascript"  # on Windows a registry entry may claim otherwise
        return mimetypes.guess_type(self.file.name)[0] or "application/octet-stream"


def collect(app: Any) -> dict[str, Asset]:
    """Return every file that the hall serves, by its path below the base address."""
    found: dict[str, Asset] = {}
    template = app.voila_configuration.template
    for address, folders in (
        ("voila/static", app.static_paths),
        (f"voila/templates/{template}/static", app.static_paths),
        ("hall", [HALL]),
        ("hall/pictures", [PICTURES]),
    ):
        for folder in map(Path, folders):
            deep = not address.startswith("hall")
            for file in _files(folder, deep):
                found.setdefault(f"{address}/{file.relative_to(folder).as_posix()}", Asset(file))
    for name in _extensions(app):
        for folder in map(Path, app.labextensions_path):
            for file in _files(folder / name / "static", deep=True):
                found.setdefault(f"voila/labextensions/{file.relative_to(folder).as_posix()}", Asset(file))
    return found


def _files(folder: Path, deep: bool) -> Iterator[Path]:
    if folder.is_dir():
        files = sorted(folder.rglob("*") if deep else folder.glob("*"))
        yield from (file for file in files if file.suffix in ENDINGS and file.is_file())


def _extensions(app: Any) -> Iterable[str]:
    """Return the names of JupyterLab's extensions that a page loads."""
    from voila.utils import get_page_config

    config = get_page_config(app.base_url, app.app.settings, app.log, app.voila_configuration)
    return [extension["name"] for extension in config["federated_extensions"]]
