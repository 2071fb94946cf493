"""Timestamps of submissions in all common forms; a doubtful time is refused, never guessed.

What is read
------------
* Dates: ``2026-01-15``, ``2026/01/15``, ``20260115``, ``15.01.2026``, ``15 January 2026``, ``Jan 15, 2026``,
  ``Thu, 15 Jan 2026``, ``2026年1月15日``; names of months in English, German, French, Spanish, Italian, Portuguese and
  Dutch. ``15/01/2026`` is read where only one order of day and month is possible.
* Times: ``01:30``, ``01:30:00.5``, ``1:30 AM``, ``130 AM`` (Brightspace), ``01-30-00`` (Blackboard), ``013000``,
  ``01h30``; ``24:00`` is the end of the day. Seconds since 1970, and milliseconds, as they stand.
* Zones: ``Z``, ``UTC``, ``+02:00``, ``+0200``, ``+02``, ``GMT+2``, a name such as ``Europe/Berlin``, and the
  abbreviations of `OFFSETS`. Without a zone a time is in the course's.

An abbreviation that several countries use for different zones (`AMBIGUOUS`: IST, CST, BST ...) is read only where the
course's own zone has it. Times that cannot be are refused: 30 February, 25:00, an hour that the clock skipped.
"""

import datetime
import os
import re
import unicodedata
import zoneinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.grading.course.course import Course

EARLIEST_YEAR = 2000
CLOCKS_DIFFER = datetime.timedelta(days=1)  # a student's clock, and a zone that was left out
MAX_LENGTH = 120  # characters

# Hours east of UTC. None of these abbreviations is in wide use for anything else.
OFFSETS = {
    "UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "WET": 0, "WEST": 1, "CET": 1, "MEZ": 1, "MET": 1, "CEST": 2, "MESZ": 2,
    "MEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "TRT": 3, "SAST": 2, "CAT": 2, "EAT": 3, "WAT": 1, "PKT": 5,
    "NPT": 5.75, "ICT": 7, "WIB": 7, "HKT": 8, "SGT": 8, "AWST": 8, "JST": 9, "KST": 9, "ACST": 9.5, "ACDT": 10.5,
    "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "HST": -10, "AKST": -9, "AKDT": -8, "PST": -8, "PDT": -7,
    "MDT": -6, "EST": -5, "EDT": -4, "NST": -3.5, "NDT": -2.5, "BRT": -3, "ART": -3, "CLT": -4, "CLST": -3,
}  # fmt: skip
AMBIGUOUS = {
    "IST": "India, Israel or Ireland", "CST": "North America, China or Cuba", "CDT": "North America or Cuba",
    "BST": "Britain, Bangladesh or Bougainville", "AST": "the Atlantic or Arabia", "ADT": "the Atlantic or Arabia",
    "MST": "North America, Malaysia or Myanmar", "GST": "the Gulf or South Georgia", "SST": "Samoa or Singapore",
    "AMT": "the Amazon or Armenia", "ECT": "Ecuador or the Caribbean", "WST": "Samoa or Western Australia",
    "LMT": "any place", "PYT": "Paraguay or Pyongyang",
}  # fmt: skip
_MONTHS = (
    "january jan januar jän jänner janvier janv enero ene gennaio gen janeiro januari",
    "february feb februar febr feber février févr fév febrero febbraio fevereiro fev februari",
    "march mar märz mär mrz mars marzo março maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug août aou agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro",
)
_WEEKDAYS = (
    "monday mon montag mo lundi lun lunes lunedì segunda seg maandag ma",
    "tuesday tue tues dienstag di mardi martes martedì mar ter terça dinsdag",
    "wednesday wed mittwoch mi mercredi mer miércoles mié mercoledì qua quarta woensdag wo",
    "thursday thu thur thurs donnerstag do jeudi jeu jueves jue giovedì gio qui quinta donderdag",
    "friday fri freitag fr vendredi ven viernes vie venerdì sex sexta vrijdag vr",
    "saturday sat samstag sonnabend sa samedi sam sábado sáb sabato sab zaterdag za",
    "sunday sun sonntag so dimanche dim domingo dom domenica zondag zo",
)


HALVES = {"上午": "a", "下午": "p", "午前": "a", "午後": "p"}  # of a day


def _folded(text: str) -> str:
    """Return text in small letters without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


MONTHS = {_folded(name): number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
WEEKDAYS = {_folded(name) for names in _WEEKDAYS for name in names.split()}

_DATES = [
    (re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?=$|[T\s,_-])", re.A | re.I), ""),
    (re.compile(r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})(?=$|[\s,])", re.A), ""),
    (re.compile(r"(?P<y>\d{4})\.(?P<m>\d{1,2})\.(?P<d>\d{1,2})\.?(?=$|[\s,])", re.A), ""),
    (re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?=$|[T\s_-])", re.A | re.I), ""),
    (re.compile(r"(?P<y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日", re.A), ""),
    (re.compile(r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?=$|[\s,])", re.A), ""),
    (re.compile(r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>\d{4})(?=$|[\s,])", re.A), "either"),
    (re.compile(r"(?P<d>\d{1,2})(?:st|nd|rd|th|\.|º|er)?[\s-](?:(?:de|of)\s)?(?P<n>[^\W\d_]{2,12})\.?,?[\s-]"
                r"(?:(?:de|del)\s)?(?P<y>\d{4})(?=$|[\s,])", re.A | re.I), "name"),
    (re.compile(r"(?P<n>[^\W\d_]{3,12})\.?\s(?P<d>\d{1,2})(?:st|nd|rd|th)?,?\s(?P<y>\d{4})(?=$|[\s,])", re.A | re.I),
     "name"),
    # As the command "date" writes it: the year at the end.
    (re.compile(r"(?P<n>[^\W\d_]{3,12})\s(?P<d>\d{1,2})\s(?P<rest>\d\d?:.*)\s(?P<y>\d{4})$", re.A | re.I), "name"),
]  # fmt: skip
_CLOCK = re.compile(
    r"(?P<h>\d{1,2})(?:[:.h](?P<m>\d\d)(?:[:.](?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?)?|-(?P<m2>\d\d)-(?P<s2>\d\d))(?!\d)",
    re.A,
)
_COMPACT = re.compile(r"(?P<h>\d\d)(?P<m>\d\d)(?P<s>\d\d)?(?:[.,](?P<f>\d{1,9}))?(?=$|[\sZz+-])", re.A)
_TWELVE = re.compile(r"(?P<h>\d{1,2}?)(?P<m>\d\d)?(?=\s?[ap]\.?\s?m)", re.A | re.I)
_HALF_DAY = re.compile(r"\s?(?P<half>[ap])\.?\s?m\.?(?![^\W\d_])", re.I)
_OFFSET = re.compile(r"(?:UTC|GMT|UT)?\s?(?P<sign>[+\-\u2212])(?P<h>\d{1,2})(?::?(?P<m>\d\d))?(?::?00)?", re.A | re.I)
_EPOCH = re.compile(r"\d{10}(?:\.\d{1,9})?|\d{13}", re.A)


class NotATime(ValueError):
    """A time of submission that cannot be read, or cannot be; says why in a few words."""


def read_time(
    text: str | bytes,
    zone: str = "UTC",
    now: datetime.datetime | None = None,
    released: datetime.datetime | None = None,
) -> datetime.datetime:
    """Return a time of submission in UTC.

    Parameters
    ----------
    text : str or bytes
        As nbgrader, a learning platform or a person wrote it.
    zone : str
        The course's zone by its name in the time zone database: that of a time which names none.
    now : datetime, optional
        The time at which it is read; a submission cannot come later. With a zone. The clock's, when left out.
    released : datetime, optional
        When the assignment was given out; a submission cannot come earlier. With a zone.

    Returns
    -------
    datetime.datetime
        With the zone UTC.

    Raises
    ------
    NotATime
        It cannot be read, it is ambiguous, or no submission can have it.

    Examples
    --------
    >>> read_time("2026-01-15 01:30:00.000000 +0200").isoformat()
    '2026-01-14T23:30:00+00:00'
    >>> read_time("2026-07-01 12:00", "Europe/Berlin").isoformat()
    '2026-07-01T10:00:00+00:00'
    >>> read_time("2026-02-30 12:00 UTC")
    Traceback (most recent call last):
    course_utils.grading.submissions.timestamps.NotATime: '2026-02-30 12:00 UTC' is no day of the calendar
    """
    line = _line(text)
    try:
        found = _read(line, zone)
    except NotATime as why:
        raise NotATime(f"{line[:60]!r} {why}") from None
    now = now or datetime.datetime.now(datetime.UTC)
    if found > now + CLOCKS_DIFFER:
        raise NotATime(f"{line[:60]!r} lies in the future")
    if released and found < released - CLOCKS_DIFFER:
        raise NotATime(f"{line[:60]!r} lies before the assignment was given out")
    return found


def course_zone(course: "Course") -> str:
    """Return the zone of a course's times that name none: ``COURSE_TIME_ZONE``, nbgrader's ``Exchange.timezone``, UTC.

    Both are names of the time zone database, such as ``Europe/Berlin``.
    """
    return os.environ.get("COURSE_TIME_ZONE") or str(course.config.Exchange.get("timezone") or "UTC")


def utc_text(time: datetime.datetime) -> str:
    """Return a time as nbgrader writes it.

    Examples
    --------
    >>> utc_text(read_time("2026-01-15T01:30Z"))
    '2026-01-15 01:30:00.000000 UTC'
    """
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S.%f} UTC"


def _line(text: str | bytes) -> str:
    if isinstance(text, bytes):
        if len(text) > 8 * MAX_LENGTH:
            raise NotATime(f"it has {len(text):,} bytes")
        try:
            marked = text.startswith((b"\xff\xfe", b"\xfe\xff"))
            text = text.decode("utf-16" if marked else "utf-8-sig")
        except UnicodeDecodeError:
            raise NotATime("it is no text") from None
    line = " ".join(unicodedata.normalize("NFKC", text.replace("\u2212", "-")).split()).strip("\ufeff\x00 \"'")
    if not line:
        raise NotATime("it is empty")
    if len(line) > MAX_LENGTH:
        raise NotATime(f"it has {len(line):,} characters")
    return line


def _read(line: str, zone: str) -> datetime.datetime:
    if _EPOCH.fullmatch(line):
        seconds = int(line) / 1000 if len(line) == 13 and line.isdigit() else float(line)
        return _checked(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
    first, _, others = line.partition(" ")
    try:
        year, month, day, rest = _date(line)
    except NotATime:
        if _folded(first.strip(".,")) not in WEEKDAYS:
            raise
        year, month, day, rest = _date(others)
    hour, minute, second, micro, rest = _clock(rest)
    extra_day = hour == 24 and minute == second == micro == 0
    try:
        local = datetime.datetime(year, month, day, 0 if extra_day else hour, minute, second, micro)
        local += datetime.timedelta(days=int(extra_day))
    except (ValueError, OverflowError) as problem:
        is_day = "day is out of range" in str(problem) or "month must be" in str(problem) or "year" in str(problem)
        raise NotATime("is no day of the calendar" if is_day else "is no time of the day") from None
    if not EARLIEST_YEAR <= local.year <= 9998:
        raise NotATime(f"lies in the year {local.year}")
    return _checked(_in_utc(local, rest, zone))


def _checked(time: datetime.datetime) -> datetime.datetime:
    if time.year < EARLIEST_YEAR:
        raise NotATime(f"lies in the year {time.year}")
    return time


def _date(line: str) -> tuple[int, int, int, str]:
    """Return year, month, day and what follows the date."""
    for pattern, way in _DATES:
        found = pattern.match(line)
        if not found:
            continue
        rest = found.groupdict().get("rest") or line[found.end() :]
        if way == "name":
            month = MONTHS.get(_folded(found["n"]))
            if month is None:
                continue
        elif way == "either":
            return *_day_and_month(int(found["y"]), int(found["a"]), int(found["b"])), rest
        else:
            month = int(found["m"])
        return int(found["y"]), month, int(found["d"]), rest
    raise NotATime("has no date that can be read")


def _day_and_month(year: int, first: int, second: int) -> tuple[int, int, int]:
    if first != second and first <= 12 and second <= 12:
        raise NotATime("may be in the order day/month or month/day")
    return (year, second, first) if second <= 12 else (year, first, second)


def _clock(rest: str) -> tuple[int, int, int, int, str]:
    """Return hour, minute, second, microsecond and what follows them."""
    rest = rest.lstrip(" ,_").removeprefix("-").strip()
    rest = re.sub(r"^(?:at|um|à|a las|alle|às|om)\s|^T(?=\d)", "", rest, flags=re.I)
    named = re.match(rf"({'|'.join(HALVES)})\s?", rest)
    rest = rest[named.end() :] if named else rest
    found = _CLOCK.match(rest) or _TWELVE.match(rest) or _COMPACT.match(rest)
    if not found:
        raise NotATime("has no time of the day that can be read")
    parts = found.groupdict()
    hour = int(parts["h"])
    minute, second = int(parts.get("m") or parts.get("m2") or 0), int(parts.get("s") or parts.get("s2") or 0)
    micro = int((parts.get("f") or "0")[:6].ljust(6, "0"))
    rest = rest[found.end() :]
    rest = re.sub(r"^\s?(?:Uhr|h|hrs|Z(?=$))(?=$|\s)", lambda match: " Z" if "Z" in match[0] else "", rest, flags=re.I)
    half = _HALF_DAY.match(rest)
    half_day = half["half"].lower() if half else HALVES[named[1]] if named else ""
    rest = rest[half.end() :] if half else rest
    if half_day:
        if not 1 <= hour <= 12:
            raise NotATime("is no time of the day")
        hour = hour % 12 + 12 * (half_day == "p")
    return hour, minute, second, micro, rest.strip(" ,")


# -- zones -------------------------------------------------------------------------------------------------------------


def _in_utc(local: datetime.datetime, time_text: str, zone: str) -> datetime.datetime:
    """Return a local time in UTC; ``told`` is what the text says about its zone."""
    time_text = re.sub(r"\s?\([^()]*\)$", "", time_text).strip()  # "(Central European Time)" behind an offset
    if not time_text:
        return _in_zone(local, _zone(zone))
    if offset := _OFFSET.fullmatch(time_text):
        hours, minutes = int(offset["h"]), int(offset["m"] or 0)
        if minutes > 59 or 60 * hours + minutes > 14 * 60:
            raise NotATime(f"has the zone {time_text}, which is none")
        return _shifted(local, (1 if offset["sign"] == "+" else -1) * (hours + minutes / 60))
    name = time_text.upper().rstrip(".")
    if (own := _abbreviated(local, name, zone)) is not None:
        return _shifted(local, own)
    if name in OFFSETS:
        return _shifted(local, OFFSETS[name])
    if name in AMBIGUOUS:
        raise NotATime(f"has the zone {name}, which may be that of {AMBIGUOUS[name]}")
    if "/" in time_text:
        return _in_zone(local, _zone(time_text))
    raise NotATime(f"has the zone {time_text[:30]!r}, which is not known")


def _shifted(local: datetime.datetime, hours_east: float) -> datetime.datetime:
    return (local - datetime.timedelta(hours=hours_east)).replace(tzinfo=datetime.UTC)


def _abbreviated(local: datetime.datetime, name: str, zone: str) -> float | None:
    """Return how many hours east an abbreviation is in the course's zone; None where that zone does not have it."""
    time_zone = _zone(zone)
    for month in (local.month, 1, 4, 7, 10):
        then = local.replace(month=month, day=min(local.day, 28), tzinfo=time_zone)
        for fold in (0, 1):
            offset = then.replace(fold=fold).utcoffset()
            if offset is not None and (then.replace(fold=fold).tzname() or "").upper() == name:
                return offset.total_seconds() / 3600
    return None


def _in_zone(local: datetime.datetime, time_zone: datetime.tzinfo) -> datetime.datetime:
    """Return a local time in UTC; of an hour that the clock showed twice the first one, as that is never later."""
    found = local.replace(tzinfo=time_zone).astimezone(datetime.UTC)
    if found.astimezone(time_zone).replace(tzinfo=None) != local:
        raise NotATime(f"is a time that {time_zone} skipped when its clocks went forward")
    return found


def _zone(name: str) -> datetime.tzinfo:
    """Return a zone of the time zone database."""
    if not re.fullmatch(r"[A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+){0,2}", name):
        raise NotATime(f"has the zone {name[:30]!r}, which is none")
    for spelling in (name, name.title(), "/".join(part.capitalize() for part in name.split("/"))):
        try:
            return zoneinfo.ZoneInfo(spelling)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            continue
    raise NotATime(f"has the zone {name[:30]!r}, which is not known")
