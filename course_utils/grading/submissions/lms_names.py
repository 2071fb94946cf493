"""File name conventions of learning platforms: student, time and original name.

Canvas, Moodle, Brightspace, Blackboard and Google Drive put the person and the time into the names of files or folders
when an instructor downloads all submissions. Each function here reads one of those conventions.
"""

import dataclasses
import re
import unicodedata

from course_utils.grading.course.roster import Hints

CANVAS, MOODLE, BRIGHTSPACE, BLACKBOARD, OTHER = "Canvas", "Moodle", "Brightspace", "Blackboard", "by name"
MAX_NAME = 1000  # characters of a path that are looked at
MAX_PARTS = 12  # of a path, and of a name between its underscores

_MOODLE = re.compile(
    r"(?P<who>[^/]+)_(?P<number>\d{1,20})_assignsubmission_(?P<plugin>[a-z]+)(?:_?/|_)(?P<base>.+)", re.ASCII
)
_CANVAS = re.compile(
    r"(?P<who>[^_/]+)_(?:(?P<late>LATE)_)?(?P<user>\d{1,20})_(?:(?P<file>\d{1,20})_)?(?P<base>[^/]+)", re.ASCII
)
_CANVAS_ANONYMOUS = re.compile(r"anon_(?:(?P<late>LATE)_)?(?P<user>[A-Za-z0-9]{5})_\d{1,20}_(?P<base>[^/]+)")
_BRIGHTSPACE = re.compile(
    r"(?P<user>\d{1,20})-\d{1,20} [-\u2013] (?P<rest>[^/]+?)(?: [-\u2013] )"
    r"(?P<time>[^/]{6,40}?\d{4},? \d{1,2}:?\d\d ?[AaPp]\.?[Mm]\.?)"
    r"(?:(?: [-\u2013] |/)(?P<base>.+))?$"
)
_BLACKBOARD = re.compile(
    r"(?P<before>[^/]+)_attempt_(?P<time>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)(?:_(?P<base>[^/]+)|(?P<receipt>\.txt))"
)
_RECEIPT_NAME = re.compile(r"^Name:[ \t]*([^\n(]{0,200})\(([^()\n]{1,100})\)", re.MULTILINE)
_RECEIPT_TIME = re.compile(r"^Date Submitted:[ \t]*([^\n]{1,100})$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class LmsName:
    """What the name of a downloaded file says.

    Parameters
    ----------
    platform : str
        Whose convention it follows.
    key : str
        The same for all files of one person.
    hints : Hints
        Who that is.
    base : str
        The file's path as the student called it.
    time : str
        When it was handed in, as the name says it; "" where it does not.
    is_late : bool
        The platform marks it as late.
    is_receipt : bool
        The platform wrote it itself, about the submission.
    """

    platform: str
    key: str
    hints: Hints
    base: str
    time: str = ""
    is_late: bool = False
    is_receipt: bool = False


def read_lms_name(path: str) -> LmsName | None:
    """Return what a path in a platform's download says; None where it follows no platform's convention.

    Parameters
    ----------
    path : str
        With ``/`` between its parts; folders around the submissions make no difference.

    Examples
    --------
    >>> found = read_lms_name("doejane_LATE_12345_678901_essay-1.ipynb")
    >>> found.platform, found.hints.lms_ids, found.base, found.is_late
    ('Canvas', ('12345',), 'essay-1.ipynb', True)
    >>> read_lms_name("all/Jane Doe_123456_assignsubmission_file_/sub/essay.ipynb").base
    'sub/essay.ipynb'
    """
    path = unicodedata.normalize("NFC", path[:MAX_NAME])
    parts = path.split("/")
    for index in range(min(len(parts), MAX_PARTS)):
        here = "/".join(parts[index:])
        for read in (_moodle, _brightspace, _blackboard, _canvas):
            if (found := read(here)) is not None:
                return found
    return None


def _moodle(path: str) -> LmsName | None:
    found = _MOODLE.match(path)
    if not found:
        return None
    names = {found["who"], found["who"].rpartition("-")[2]}  # "Group A-Jane Doe"
    hints = Hints(lms_ids=(found["number"],), names=tuple(sorted(names)))
    return LmsName(MOODLE, f"{found['who']}_{found['number']}", hints, found["base"])


def _canvas(path: str) -> LmsName | None:
    found = _CANVAS_ANONYMOUS.fullmatch(path) or _CANVAS.fullmatch(path)
    if not found:
        return None
    parts = found.groupdict()
    if "file" in parts and parts["file"] is None and not re.fullmatch(r"(?:text|link|url)\.html?", parts["base"]):
        return None  # what a student typed into a box has no number of a file
    who = parts.get("who") or f"anon_{parts['user']}"
    hints = Hints(lms_ids=(parts["user"],), names=(who,), logins=())
    return LmsName(CANVAS, f"{who}_{parts['user']}", hints, parts["base"], is_late=bool(parts["late"]))


def _brightspace(path: str) -> LmsName | None:
    found = _BRIGHTSPACE.match(path)
    if not found:
        return None
    hints = Hints(lms_ids=(found["user"],), names=(found["rest"],))
    base = found["base"] or path.rpartition("/")[2]
    return LmsName(BRIGHTSPACE, f"{found['user']} {found['rest']}", hints, base, found["time"])


def _blackboard(path: str) -> LmsName | None:
    found = _BLACKBOARD.fullmatch(path)
    if not found:
        return None
    parts = found["before"].split("_")[-MAX_PARTS:]  # the title may have underscores, and the login too
    logins = tuple("_".join(parts[index:]) for index in range(len(parts) - 1, -1, -1))
    base = found["base"] or "receipt.txt"
    is_receipt = bool(found["receipt"])
    return LmsName(BLACKBOARD, found["before"], Hints(logins=logins), base, found["time"], is_receipt=is_receipt)


def read_receipt(content: bytes) -> tuple[Hints, str]:
    """Return who handed in, and when, from the text that Blackboard lays beside a submission."""
    text = content[:10_000].decode("utf-8-sig", "replace").replace("\r\n", "\n")
    name, time = _RECEIPT_NAME.search(text), _RECEIPT_TIME.search(text)
    hints = Hints(logins=(name[2].strip(),), names=(name[1].strip(),)) if name else Hints()
    return hints, time[1].strip() if time else ""
