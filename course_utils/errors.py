"""Error classes of the course: each message says what is wrong, what was expected and what to do next.

::

    CourseError
    ├── SettingsError         a number for generation is out of its range
    ├── TextError             a text or prompt that cannot be used
    ├── UnknownModel          no model of that name exists
    ├── ModelNotHere          the model exists, but not on this machine
    ├── AccessRefused         the model is here, but a release stage or its provider keeps it closed
    ├── NotEnoughMemory       the model would not fit into this machine's memory
    ├── DamagedFile           a file's hash or shape is not what it must be
    ├── DownloadFailed        a file could not be fetched: no network, no answer, cut off
    └── NoSpace               the disk is too full, or the folder may not be written
"""


class CourseError(Exception):
    """A message for the person at the keyboard, in at most three lines.

    Parameters
    ----------
    what : str
        What is wrong, with the value that is wrong.
    expected : str
        What would have been right.
    next_step : str
        What to do now, preferably something to type.

    Attributes
    ----------
    status : int or None
        HTTP status, where a server refused or is to refuse; else None.
    code : str or None
        OpenAI's short word for the refusal, for programs.

    Examples
    --------
    >>> print(CourseError("seed is -1.", "A whole number from 0.", "Set seed=0."))
    seed is -1.
    Expected: A whole number from 0.
    Next: Set seed=0.
    """

    status: int | None = None
    code: str | None = None

    def __init__(self, what: str, expected: str = "", next_step: str = "") -> None:
        self.what, self.expected, self.next_step = what, expected, next_step
        super().__init__(what, expected, next_step)

    def __str__(self) -> str:
        """Join the parts that were given, one a line.

        A part may hold a path or another program's words. Line breaks in it become blanks, so that there are never
        more than three lines; half surrogates, which stand for bytes that are no UTF-8, become question marks.
        """
        labelled = [
            self.what,
            self.expected and f"Expected: {self.expected}",
            self.next_step and f"Next: {self.next_step}",
        ]
        lines = [" ".join(str(line).splitlines()) for line in labelled if line]
        return "\n".join(lines).encode("utf-8", errors="replace").decode("utf-8")

    def _render_traceback_(self) -> list[str]:
        """Show these lines in a notebook instead of a traceback (IPython asks for this name)."""
        return [f"{type(self).__name__}: {self}"]


class SettingsError(CourseError):
    """A number for generation is out of its range."""


class TextError(CourseError):
    """A text or prompt that cannot be used."""


class UnknownModel(CourseError):
    """No model of that name exists."""


class ModelNotHere(CourseError):
    """The model exists, but not on this machine."""


class AccessRefused(CourseError):
    """The model is here, but a release stage or its provider keeps it closed."""


class NotEnoughMemory(CourseError):
    """The model would not fit into this machine's memory."""


class DamagedFile(CourseError):
    """A file's hash or shape is not what it must be."""


class DownloadFailed(CourseError):
    """A file could not be fetched: no network, no answer, or cut off."""


class NoSpace(CourseError):
    """The disk is too full, or the folder may not be written."""
