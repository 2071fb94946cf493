"""Essay check panel: length, sources, and what the cited records do not support, while the essay is written."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

import traitlets

from course_utils.core.files import expanded
from course_utils.errors import CourseError, TextError
from course_utils.evidence.claims.check import FAULT, Finding, check
from course_utils.evidence.essay.essay import Essay, Section, n_words
from course_utils.evidence.essay.markdown import blocks
from course_utils.evidence.essay.readings import readings
from course_utils.evidence.hand_in import HOW_TO_BEGIN, NOTEBOOK, find_essay, what_counts
from course_utils.evidence.ledger import ledger as ledgers
from course_utils.evidence.ledger.ledger import Ledger
from course_utils.evidence.ledger.record import Record
from course_utils.grading.assignments.rubric import NAME as RUBRIC
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.widgets.base.panel import Panel, browser_bundle, error_message
from course_utils.widgets.base.static_view import Fact, Part, Table
from course_utils.widgets.essay.essay_view import BLANK_LINE, occurrence, plain
from course_utils.widgets.evidence import labels as words

WORDS = (800, 1200)  # where no rubric lies beside the notebook
MOST_SHOWN = 200  # findings
AROUND = 1_500  # characters of a paragraph before and after the words that are meant
LONGEST_QUOTE = 600  # characters in the list; marked are all
CLEAR = "Nothing is missing or contradicted. That does not make it a good essay: whether it convinces, a reader says."
WHOLE = "The essay as a whole"
IN_STARS = re.compile(r",? \*[^*]+\*")  # a reading's title, within the title of its section


class EssayCheck(Panel):
    """A panel that reads the saved notebook, compares the essay with the ledger, and shows what it found at the words.

    Parameters
    ----------
    notebook : str or Path
        Its name, or where it lies. Where there is none of that name, another one there in which an essay stands.
    ledger : str or Path, optional
        As for `course_utils.evidence.ledger.ledger.ledger_path`.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    findings : list of Finding
        Faults first, then hints.
    faults : list of Finding
        What is missing or contradicted.
    n_words : int
        Of the essay as it was saved.
    message : str
        Why the notebook or the ledger could not be read; empty where both could.

    Examples
    --------
    ::

        mine = EssayCheck()
        mine.faults
    """

    _esm, _css = browser_bundle("essay_check")
    panel_title = "Essay check"

    sheet = traitlets.Dict().tag(sync=True)

    def __init__(
        self, notebook: str | Path = NOTEBOOK, ledger: str | Path | None = None, projector: bool = False
    ) -> None:
        self._notebook, self._ledger = expanded(notebook), ledger
        self._forget()
        self._seen: tuple[Path, int] | None = None
        super().__init__(projector)
        self.check()

    def check(self) -> list[Finding]:
        """Read notebook and ledger again, as they were saved, and return what is found."""
        self._forget()
        try:
            sheet, message = self._read()
        except Exception as problem:  # a file from disk can hold what nobody foresaw; the panel says so
            sheet, message = {}, error_message(problem)
        self.set_traits(sheet=plain(sheet), message=plain(message))
        return self.findings

    @property
    def faults(self) -> list[Finding]:
        """What is missing or contradicted."""
        return [each for each in self.findings if each.severity == FAULT]

    def static_parts(self) -> list[Part]:
        """Return verdict, length, sections, and what the checks found."""
        told = self.sheet
        if not told:
            return [Fact("", "Nothing could be checked.")]
        parts: list[Part] = [Fact("File", f"{told['file']}, as saved {told['saved']}"), Fact("", told["verdict"])]
        parts += [Fact("Length", told["length"]["says"]), Fact("Strategy", told["strategy"] or "none is chosen yet")]
        rows = [[each["title"], each["n"], each["faults"], each["hints"]] for each in told["sections"]]
        parts.append(Table("Sections", ["section", "words", "faults", "hints"], rows))
        parts += [Fact(each["title"], each["line"].lstrip("· ")) for each in told["read"]]
        parts += [Fact("Ledger", told["ledger"]["says"]), *(Fact("Fault", each) for each in told["ledger"]["faults"])]
        rows = [
            [group["title"], each["severity"], each["kind"], each["quote"], each["says"]]
            for group in told["groups"]
            for each in group["findings"]
        ]
        if rows:
            parts.append(Table("What the checks noticed", ["where", "", "kind", "words", "what"], rows))
        return parts

    def _forget(self) -> None:
        self.findings: list[Finding] = []
        self.n_words = 0

    def _read(self) -> tuple[dict[str, object], str]:
        """Return what the page shows, and what could not be read."""
        folder, name = self._notebook.parent, self._notebook.name
        found = find_essay(folder, name)
        if found is None:
            what = f"There is no {name} in {folder}, and no other notebook in which an essay stands."
            raise TextError(what, "The saved notebook.", 'Save it: Ctrl+S. Another name: EssayCheck("name.ipynb").')
        file, essay = found
        (ledger, no_ledger), (asked, no_rubric) = self._read_ledger(folder), _asked(folder)
        self.n_words = essay.n_words
        self.findings = sorted(check(essay, ledger.records, asked), key=lambda each: each.severity != FAULT)
        saved = {"file": file.name, "saved": self._saved(file)}
        return {**saved, **sheet(essay, ledger, asked, self.findings)}, "\n".join(filter(None, [no_ledger, no_rubric]))

    def _read_ledger(self, folder: Path) -> tuple[Ledger, str]:
        path = what_counts(folder, self._ledger)
        try:
            return ledgers.read(path), ""
        except CourseError as problem:
            return Ledger(path, ()), str(problem)

    def _saved(self, file: Path) -> str:
        """Say when a file was saved, and whether that is what was checked before."""
        stamp = file.stat().st_mtime_ns
        seen, self._seen = self._seen, (file, stamp)
        at = datetime.datetime.fromtimestamp(stamp / 1e9)
        told = "at " if at.date() == datetime.date.today() else f"on {at:%Y-%m-%d} at "
        return f"{told}{at:%H:%M:%S}" + (", and not since the check before" if seen == self._seen else "")

    def _handle_message(self, content: dict, _buffers: list) -> None:
        if content.get("kind") == "check":
            self.check()


# -- what the page is told ---------------------------------------------------------------------------------------------


def sheet(essay: Essay, ledger: Ledger, asked: tuple[int, int], findings: Sequence[Finding]) -> dict[str, object]:
    """Return an essay and what was found in it as plain data."""
    by_id = {record.id: record for record in ledger.records}
    cited = essay.cited_evidence
    return {
        "verdict": _verdict(findings),
        "is_clear": not any(each.severity == FAULT for each in findings),
        "length": _length(essay.n_words, asked),
        "strategy": essay.strategy,
        "sections": [_counted(section, findings) for section in essay.sections],
        "read": [_read_or_not(key, essay, findings) for key in readings()],
        "ledger": _ledger(ledger),
        "cited": [{"id": id, "line": _line(by_id.get(id)), "is_there": id in by_id} for id in cited],
        "unused": [{"id": id, "line": _line(record)} for id, record in by_id.items() if id not in cited],
        "groups": _groups(essay, findings[:MOST_SHOWN]),
        "n_more": max(0, len(findings) - MOST_SHOWN),
        "evidence": {id: _card(by_id.get(id), id, findings) for id in cited},
        "readings": {key: str(each) for key, each in readings().items()},
    }


def _asked(folder: Path) -> tuple[tuple[int, int], str]:
    """Return the fewest and the most words, as the rubric beside the notebook says, and why it cannot be used."""
    file = folder / RUBRIC
    try:
        return (load_rubric(file).words if file.is_file() else WORDS), ""
    except CourseError as problem:
        return WORDS, str(problem)


def _verdict(findings: Sequence[Finding]) -> str:
    n_faults = sum(each.severity == FAULT for each in findings)
    n_hints = len(findings) - n_faults
    first = f"{_n(n_faults, 'fault')}: something is missing or contradicted." if n_faults else CLEAR
    return first + (f" {_n(n_hints, 'hint')}: worth a look." if n_hints else "")


def _n(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _length(n: int, asked: tuple[int, int]) -> dict[str, object]:
    least, most = asked
    off = f": {least - n:,} too few" if n < least else f": {n - most:,} too many" if n > most else ""
    says = f"{_n(n, 'word')}; {least:,} to {most:,} are asked for{off}."
    return {"n": n, "least": least, "most": most, "says": says, "is_out": bool(off)}


def _counted(section: Section, findings: Sequence[Finding]) -> dict[str, object]:
    here = [each.severity == FAULT for each in findings if each.section == section.key]
    return {"title": _title(section), "n": n_words(section.text), "faults": sum(here), "hints": len(here) - sum(here)}


def _title(section: Section) -> str:
    return re.sub("[*_`]", "", IN_STARS.sub("", section.title)).strip() or section.key


def _read_or_not(key: str, essay: Essay, findings: Sequence[Finding]) -> dict[str, object]:
    is_engaged = not any(each.kind == "reading not engaged" and each.section == key for each in findings)
    state = "engaged" if is_engaged else "not engaged yet"
    cited = "cited" if key in essay.cited_readings else f"nowhere cited as [@{key}]"
    return {
        "title": f"{readings()[key].author}, {readings()[key].title}",
        "line": f"· {state}: {cited}, {_n(n_words(essay.section(key).text), 'word')}",
        "is_engaged": is_engaged,
    }


def _ledger(ledger: Ledger) -> dict[str, object]:
    n, faults = len(ledger.records), words.faults(ledger)
    says = f"{_n(n, 'record')} in {ledger.path}"
    if not ledger.path.exists():
        says = f"There is no ledger yet: {ledger.path} does not exist. {HOW_TO_BEGIN}"
    if ledger.faults:
        faults = [*faults, f"Your essay is compared with the {_n(n, 'record')} before that."]
    return {"says": says, "faults": faults}


def _line(record: Record | None) -> str:
    if record is None:
        return "does not stand in your ledger"
    told = words.row(record)
    return f"{told['what']}: {told['value']}"


def _card(record: Record | None, id: str, findings: Sequence[Finding]) -> dict[str, object]:
    """Return what unfolds under a citation, in the form of `essay_view.card`."""
    checks = [each.says for each in findings if each.evidence == id]
    if record is None:
        return {"status": "no such record", "finding": "", "facts": [], "again": "", "checks": checks}
    facts = [("Measured", _line(record)), *words.facts(record)]
    again = "EvidenceBoard() does it again, to see whether it still holds."
    status = "not sampled"  # what a report says of a record that was not done again
    return {"status": status, "finding": record.finding, "facts": facts, "again": again, "checks": checks}


# -- findings ----------------------------------------------------------------------------------------------------------


def _groups(essay: Essay, findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Return findings by section, those of the whole essay first, each with its paragraph."""
    parts = [(WHOLE, Section("", "", "")), *[(_title(section), section) for section in essay.sections]]
    groups: list[dict[str, object]] = [
        {"title": title, "findings": [_finding(each, part.text) for each in findings if each.section == part.key]}
        for title, part in parts
    ]
    return [group for group in groups if group["findings"]]


def _finding(found: Finding, text: str) -> dict[str, object]:
    told = {"severity": found.severity, "kind": found.kind, "says": found.says}
    if not found.end > found.start:
        return {**told, "quote": "", "words": "", "letters": "", "place": -1, "blocks": []}
    before, after = _around(text, found.start, found.end)
    quote = text[found.start : found.end]
    paragraph = before + quote + after
    letters, place = occurrence(paragraph, len(before), len(before) + len(quote))
    return {
        **told,
        "quote": quote if len(quote) <= LONGEST_QUOTE else f"{quote[:LONGEST_QUOTE]}…",
        "words": quote,
        "letters": letters,
        "place": place,
        "blocks": blocks(paragraph),
    }


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what stands before and after some words in their paragraph; of a very long one, what is nearest."""
    breaks = [(found.start(), found.end()) for found in BLANK_LINE.finditer(text)]
    first = max((after for _, after in breaks if after <= start), default=0)
    last = min((before for before, _ in breaks if before >= end), default=len(text))
    before, after = text[first:start], text[end:last]
    if len(before) > AROUND:
        before = "… " + before[-AROUND:].partition(" ")[2]
    if len(after) > AROUND:
        after = after[:AROUND].rpartition(" ")[0] + " …"
    return before, after
