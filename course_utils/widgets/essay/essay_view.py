"""Essay view of the marking panels: text as plain data, evidence and findings, without the author's name."""

import base64
import bisect
import functools
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import traitlets

from course_utils.evidence.essay.essay import Section
from course_utils.evidence.essay.markdown import Run, blocks
from course_utils.evidence.essay.readings import readings
from course_utils.experiments.core.result import Metric
from course_utils.grading.assignments.rubric import Rubric
from course_utils.grading.marking.submissions_to_mark import PaperContents
from course_utils.grading.submissions.find import read_plain
from course_utils.widgets.base.keep_button import digits, value_in_words
from course_utils.widgets.base.static_view import visible

LEDGERS = {
    "sound": "is sound",
    "missing": "is missing",
    "tampered": "is not as the course wrote it",
    "torn": "was cut off at its end",
    "too large": "is too large to be read",
}
GIVEN_NAMES = ("release_strategy.ipynb", "evidence.jsonl")  # files that everybody hands in under the same name
LONGEST_SECTION = 60_000  # characters: ten times a long essay
LARGEST_PICTURE = 2_000_000  # bytes
PICTURE = re.compile(r"[\w-]+\.png")
PNG = b"\x89PNG\r\n\x1a\n"
HALF_A_LETTER = re.compile("[\ud800-\udfff]")  # no message to the browser can hold one
BLANK_LINE = re.compile(r"\n[ \t]*\n")
MAX_OCCURRENCES = 5000
NO_RECORD, UNKNOWN = "no such record", "nothing is known"


# -- where words stand ------------------------------------------------------------------------------------------------


def letters(text: str) -> str:
    """Return the letters and digits of a text: what counts where words are looked for.

    The page has the same rule, ``LETTER_OR_DIGIT`` in text.js.

    Signs are left out, because those of Markdown are not seen on a page.
    """
    return "".join(each for each in text if unicodedata.category(each)[0] in "LN")


@functools.lru_cache(maxsize=1000)
def page_letters(markdown: str) -> str:
    """Return the letters and digits of Markdown as a page shows it: no numbers of lists, no hidden addresses.

    Examples
    --------
    >>> page_letters("1. *One* [word](https://a.b) &amp; [@E-07f3]")
    'OnewordhttpsabE07f3'
    """
    return letters("".join(map(_on_page, (run for block in blocks(markdown) for run in block["runs"]))))


def _on_page(run: Run) -> str:
    """Return a run of text as ``buildRun`` in essay_view.js shows it."""
    address = f" ({visible(run['href'])})" if run.get("href") else ""
    return visible(run["text"]) + address


def occurrence(text: str, start: int, end: int, quote: str = "") -> tuple[str, int]:
    """Return the letters of a quotation, and which of their occurrences on the page is the one that is meant.

    Both marking pages and the essay check use this rule. It counts on the page's own text, as the page does, and takes
    the occurrence that is nearest to the place in the Markdown.

    Parameters
    ----------
    text : str
        Markdown, as it was handed to `blocks` for the page.
    start, end : int
        Where the quotation stands in it, in characters.
    quote : str, optional
        What was quoted, where that differs from these characters.

    Returns
    -------
    letters : str
    place : int
        From 0; -1 where the page does not show the words.
    """
    wanted = page_letters(quote or text[start:end]) or letters(quote or text[start:end])
    page = page_letters(text)
    before = _letters_before(text, start)
    places: list[int] = []
    place = page.find(wanted) if wanted else -1
    while place >= 0 and len(places) < MAX_OCCURRENCES:
        places.append(place)
        place = page.find(wanted, place + 1)
    if not places or start >= len(text) > 0:
        return wanted, -1
    after = bisect.bisect_left(places, before)
    near = [index for index in (after - 1, after) if 0 <= index < len(places)]
    return wanted, min(near, key=lambda index: abs(places[index] - before))


def _letters_before(text: str, start: int) -> int:
    """Return how many letters and digits the page shows before a place in Markdown; paragraphs are read one by one."""
    breaks = [found.end() for found in BLANK_LINE.finditer(text, 0, start)]
    ends = [0, *breaks]
    whole = sum(len(page_letters(text[a:b])) for a, b in zip(ends, ends[1:], strict=False))
    return whole + len(page_letters(text[ends[-1] : start]))


class EssayView(traitlets.HasTraits):
    """An essay with its evidence; mixed into a panel.

    Attributes
    ----------
    sheet : dict
        The essay that is shown, as `sheet_data` returns it.
    pictures : dict
        By the id of a record: ``src`` and ``alt``, or ``why`` there is none; fetched when a citation is unfolded.
    """

    sheet = traitlets.Dict().tag(sync=True)
    pictures = traitlets.Dict().tag(sync=True)

    def show_picture(self, id: str) -> None:
        """Send the picture of a record to the page."""
        found = self._picture_of(id)
        told = {"why": found} if isinstance(found, str) else {"src": _data_url(found[0]), "alt": found[1]}
        self.pictures = {**self.pictures, id: plain(told)}

    def _picture_of(self, id: str) -> tuple[bytes, str] | str:
        """Return a record's picture and what is seen in it, or why there is none."""
        raise NotImplementedError


def sheet_data(sheet: PaperContents, rubric: Rubric) -> dict[str, Any]:
    """Return a paper as its page needs it: texts, true or false, and nothing that tells whose it is.

    Parameters
    ----------
    sheet : PaperContents
    rubric : Rubric
        Says how many words were asked for.
    """
    essay, report, (least, most) = sheet.essay, sheet.report, rubric.words
    hide = _hider(sheet)
    checked = report.get("essay") or {}
    found = [_finding(each, essay.section(str(each.get("section")))) for each in checked.get("findings") or ()]
    told = {
        "key": sheet.paper.key,
        "number": sheet.paper.number,
        "length": f"{essay.n_words:,} words; {least:,} to {most:,} were asked for",
        "is_out": not least <= essay.n_words <= most,
        "strategy": essay.strategy,
        "sections": [_section(each) for each in essay.sections],
        "findings": sorted(found, key=lambda each: each["severity"] != "fault"),
        "evidence": {id: card(id, report, found) for id in essay.cited_evidence},
        "readings": {key: str(each) for key, each in readings().items()},
        "notices": [{**each, "lines": [hide(line) for line in each["lines"]]} for each in notices(report)],
    }
    return plain(told)


def picture_in(report: Mapping[str, Any], id: str, read: Callable[[str], bytes]) -> tuple[bytes, str] | str:
    """Return the picture that a report names for a record, with what is seen in it, or why there is none."""
    each = _entry(report, id) or {}
    name = str(each.get("picture") or "")
    if not PICTURE.fullmatch(name):
        return "There is no picture of this record."
    try:
        png = read(name)
    except OSError:
        return "Its picture is no longer in the folder reports: grade again."
    if not png.startswith(PNG) or len(png) > LARGEST_PICTURE:
        return "Its picture cannot be shown."
    return png, str(each.get("alt") or f"The picture of {id}")


def picture_of(sheet: PaperContents, id: str) -> tuple[bytes, str] | str:
    """Return a record's picture out of the folder of a paper's report, or why there is none."""
    return picture_in(sheet.report, id, lambda name: read_plain(sheet.folder / name))


def card(id: str, report: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return what unfolds under a citation: the record, how it came out when done again, and what the checks said."""
    each, ledger = _entry(report, id), report.get("ledger") or {}
    record, again = (each or {}).get("record"), (each or {}).get("again") or {}
    checks = [found["says"] for found in findings if found.get("evidence") == id]
    if record:
        status, why = str(again.get("status")), _again(again, record)
        facts = [
            ("Measured", _number(record)),
            ("Experiment", str(record.get("experiment") or "none that can be done again")),
            ("Model", ", ".join(record.get("models") or ()) or "–"),
            ("Their note", str(record.get("note") or "")),
        ]
    else:
        status, why, facts = NO_RECORD if each else UNKNOWN, _no_record(each, ledger), []
    return {
        "status": status,
        "finding": str((record or {}).get("finding", "")),
        "facts": [[name, value] for name, value in facts if value],
        "again": why,
        "checks": checks,
        "has_picture": bool((each or {}).get("picture")),
    }


def notices(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a marker must know of how a paper came in: what needs a person first, each with its lines."""
    if not report:
        lines = ["The machine has written nothing about this paper. In a terminal: make grade"]
        return [{"title": "No report", "lines": lines, "is_alarm": True}]
    why, ledger = [str(each) for each in report.get("why") or ()], report.get("ledger") or {}
    told = [{"title": "Needs a person", "lines": why, "is_alarm": True}] if why else []
    state = str(ledger.get("status", "missing"))
    line = f"The ledger {LEDGERS.get(state, state)}; {ledger.get('n_records', 0)} of its records can be trusted."
    more = [str(ledger["why"])] if ledger.get("why") else []
    return [*told, {"title": "How it came in", "lines": [line, *more, *_came_in(report)], "is_alarm": False}]


def plain(value: object) -> Any:
    """Return what can be sent to a browser: half letters, which some programs leave behind, are replaced."""
    if isinstance(value, str):
        return HALF_A_LETTER.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {plain(name): plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


# -- parts -------------------------------------------------------------------------------------------------------------


def _section(section: Section) -> dict[str, Any]:
    text, n_left = section.text[:LONGEST_SECTION], len(section.text) - LONGEST_SECTION
    more = f"This section goes on for {n_left:,} characters, which are not shown." if n_left > 0 else ""
    return {"key": section.key, "title": re.sub("[*_`]", "", section.title), "blocks": blocks(text), "more": more}


def _finding(each: Mapping[str, Any], section: Section) -> dict[str, Any]:
    """Return a finding with the letters of its words, and which of their occurrences in the section is meant."""
    start, end = (value if isinstance(value := each.get(name), int) else 0 for name in ("start", "end"))
    text = section.text[:LONGEST_SECTION]
    quote = str(each.get("quote") or section.text[start:end])
    found, place = occurrence(text, start, end, quote)
    return {
        "severity": str(each.get("severity")),
        "says": str(each.get("says", "")),
        "section": section.key if section.text else "",
        "quote": quote,
        "letters": found,
        "place": place,
        "evidence": str(each.get("evidence") or ""),
    }


def _entry(report: Mapping[str, Any], id: str) -> Mapping[str, Any] | None:
    return next((each for each in report.get("evidence") or () if each.get("id") == id), None)


def _number(record: Mapping[str, Any]) -> str:
    """Return a record's number with all that belongs to it, as the evidence board writes it."""
    name, of = str(record.get("metric", "")), str(record.get("of", ""))
    value, unit = record.get("value"), str(record.get("unit"))
    number = Metric(name, of, value, unit, record.get("low"), record.get("high"), record.get("n"))
    return f"{name.replace('_', ' ')}, {of}: {value_in_words(number)}"


def _again(again: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Say how a record came out when it was done again."""
    recorded = record.get("value")
    if again.get("why") or again.get("value") is None or recorded is None:
        return str(again.get("why") or "")
    return f"Recorded {digits(recorded)}, now {digits(again['value'])}."


def _no_record(each: object, ledger: Mapping[str, Any]) -> str:
    state = str(ledger.get("status", ""))
    if each is None:
        return "The report says nothing of it; grade again."
    if state in LEDGERS and state != "sound":
        return (
            f"The ledger {LEDGERS[state]}, and no record of this id can be trusted. {ledger.get('why') or ''}".strip()
        )
    return "The ledger that was handed in has no record of this id."


def _came_in(report: Mapping[str, Any]) -> list[str]:
    intake, execution = report.get("intake") or {}, report.get("execution") or {}
    files = intake.get("files") or ()
    left = [each for each in files if not each.get("kept")]
    lines = [] if intake.get("notebook") else ["No notebook could be read."]
    lines.append(f"Files that came: {len(files)}" + (f"; not kept beside the notebook: {len(left)}." if left else "."))
    for each in left[:20]:
        what = f"{PurePath(str(each.get('name'))).suffix or 'a file'}, {digits((each.get('bytes') or 0) / 1000)} kB"
        lines.append(f"{what}: {each.get('why') or 'not kept'}")
    lines += [str(each) for each in report.get("repairs") or ()]
    if execution.get("status") not in (None, "nothing to run", "run"):
        lines.append(f"Its code: {execution['status']}. {execution.get('why') or ''}".strip())
    return lines


def _hider(sheet: PaperContents) -> Callable[[str], str]:
    """Return what takes a student's name, and the names that they gave to files, out of a sentence."""
    files = (sheet.report.get("intake") or {}).get("files") or ()
    named = [str(each.get("name")) for each in files]
    names = {name: f"file {place}" for place, name in enumerate(named, 1) if name and name not in GIVEN_NAMES}
    student = re.compile(rf"(?<!\w){re.escape(sheet.paper.student)}(?!\w)", re.IGNORECASE)

    def hide(text: str) -> str:
        for name in sorted(names, key=len, reverse=True):
            text = text.replace(name, names[name])
        return student.sub("this student", text) if sheet.paper.student else text

    return hide


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
