"""Course folder: where its assignments, submissions and marks lie, and its configuration of nbgrader."""

import dataclasses
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets.config import Config, PyFileConfigLoader

from course_utils.errors import CourseError, DamagedFile, TextError
from course_utils.grading.course.gradebook_access import (
    gradebook_errors,
    gradebook_url,
    install_lock_timeout,
    require_known_schema,
)
from course_utils.grading.course.literal_glob import install_literal_glob

if TYPE_CHECKING:
    from nbgrader.api import Gradebook
    from nbgrader.apps.api import NbGraderAPI

CONFIG = "nbgrader_config.py"
COURSE_ID = "model-release"
ESSAY, EXERCISES = "release_strategy", "size_comparison"
ASSIGNMENTS = (ESSAY, EXERCISES)
MAX_FILE_KB, MAX_FOLDER_KB = 100_000, 200_000


@dataclasses.dataclass(frozen=True)
class Course:
    """A folder with a course's sources, submissions and marks.

    Parameters
    ----------
    root : Path
    config : Config
        nbgrader's, as ``nbgrader_config.py`` there sets it.
    """

    root: Path
    config: Config

    def folder(self, step: str, student: str = "", assignment: str = "") -> Path:
        """Return ``root/step/student/assignment``; parts that are left out are left off."""
        return self.root.joinpath(*filter(None, (step, student, assignment)))

    def source(self, assignment: str) -> Path:
        """Return the instructor's notebook of an assignment.

        Raises
        ------
        TextError
            There is no such assignment.
        """
        file = self.folder("source", "", assignment) / f"{assignment}.ipynb"
        if not file.is_file():
            known = sorted(found.parent.name for found in self.root.glob("source/*/*.ipynb"))
            raise TextError(
                f"There is no assignment {assignment!r} in {self.root}.",
                f"One of {', '.join(known)}." if known else "A folder source/NAME with a notebook NAME.ipynb.",
                "Name one of them, or write its notebook first.",
            )
        return file

    @property
    def id(self) -> str:
        """Return nbgrader's id of the course: the name of its folder in the exchange."""
        return str(self.config.CourseDirectory.get("course_id") or COURSE_ID)

    @property
    def db_url(self) -> str:
        """Return the address of nbgrader's database of marks."""
        return str(self.config.CourseDirectory.get("db_url") or gradebook_url(self.root / "gradebook.db"))

    @property
    def exchange(self) -> Path:
        """Return nbgrader's exchange folder, where students fetch from and submit to."""
        return Path(self.config.Exchange.root)

    @property
    def own_exchange(self) -> Path:
        """Return this course's folder in the exchange, with ``outbound``, ``inbound`` and ``feedback`` in it."""
        return self.exchange / self.id

    @contextmanager
    def gradebook(self) -> Iterator["Gradebook"]:
        """Open nbgrader's database, and close it again.

        Raises
        ------
        GradebookError
            It is locked for longer than `wait_seconds`, damaged, of another version, or cannot be read or written.
        """
        from nbgrader.api import Gradebook

        from course_utils.grading.course.score_guard import install_score_guard

        _find_own_commands()
        install_score_guard()
        install_lock_timeout()
        install_literal_glob()
        require_known_schema(self.db_url)
        with gradebook_errors(self.db_url), Gradebook(self.db_url, self.id) as gradebook:
            gradebook.db.rollback()  # ends the transaction in which nbgrader looked for the course
            yield gradebook

    def api(self, **changes: dict[str, object]) -> "NbGraderAPI":
        """Return nbgrader's own interface, with some of its settings changed: ``api(Autograde={"force": True})``."""
        from nbgrader.apps.api import NbGraderAPI

        _find_own_commands()
        install_literal_glob()
        return NbGraderAPI(config=self.changed(**changes))

    def changed(self, **changes: Mapping[str, object]) -> Config:
        """Return the configuration with some settings changed."""
        config = Config(self.config.copy())
        for section, values in changes.items():
            config[section] = Config({**config[section], **values})
        return config


def find_course(start: str | Path | None = None) -> Course:
    """Return the course that a folder belongs to.

    Parameters
    ----------
    start : str or Path, optional
        The nearest folder upwards from here that has an ``nbgrader_config.py`` counts; the folder here if left out.

    Raises
    ------
    TextError
        There is none.
    DamagedFile
        Its ``nbgrader_config.py`` cannot be run.
    """
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / CONFIG).is_file():
            return Course(folder, _read_config(folder))
    raise TextError(
        f"{here} is not in the folder of a course.",
        f"A folder with {CONFIG} in it or above it.",
        "Go to the course's folder first.",
    )


def _read_config(folder: Path) -> Config:
    """Return nbgrader's settings of a course. They are Python, so anything may go wrong."""
    try:
        return PyFileConfigLoader(CONFIG, path=str(folder)).load_config()
    except CourseError:
        raise
    except Exception as problem:
        reason = " ".join(str(problem).split())[:200]
        raise DamagedFile(
            f"{folder / CONFIG} cannot be run: {type(problem).__name__}: {reason}.",
            "Python that calls configure(get_config(), ...), as the course's own file does.",
            "Mend it, or copy the course's own nbgrader_config.py.",
        ) from problem


@contextmanager
def ignore_nbgrader_warnings() -> Iterator[None]:
    """Ignore warnings of SQLAlchemy and traitlets about nbgrader's own code, which this course cannot change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Object of type .* not in session")
        warnings.filterwarnings("ignore", message="Passing unrecognized arguments", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=ResourceWarning, module="nbgrader")
        yield


def _find_own_commands() -> None:
    """Let nbgrader find alembic, which lies beside this Python."""
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", "")])


def original_step(name: str) -> Callable[..., Any]:
    """Return the original method of NbGraderAPI, which `patch_formgrader` may have replaced.

    Parameters
    ----------
    name : str
        A method of NbGraderAPI. It is called with the interface first.
    """
    from nbgrader.apps.api import NbGraderAPI

    step = getattr(NbGraderAPI, name)
    found: Callable[..., Any] = getattr(step, "__wrapped__", step)
    return found
