"""Calibration panel: sample essays are marked for practice; the course's levels and reasons are shown afterwards."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import traitlets

from course_utils.errors import CourseError, SettingsError
from course_utils.evidence.claims.check import check
from course_utils.evidence.ledger.ledger import ledger_path, read
from course_utils.evidence.ledger.record import Record
from course_utils.evidence.rerun import redraw
from course_utils.grading.assignments.generate import SCHEME, read_mark_scheme
from course_utils.grading.assignments.rubric import Rubric, load_rubric
from course_utils.grading.autograde.essay_worker import RECORD_FIELDS
from course_utils.grading.course.course import ESSAY, find_course
from course_utils.grading.marking.agreement import agreement
from course_utils.grading.marking.marking_session import MarkingSession
from course_utils.grading.marking.marks import FileMarks, Mark
from course_utils.grading.marking.sample_essays import Sample, load_samples, sample_ledger
from course_utils.grading.marking.submissions_to_mark import Paper, PaperContents
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.static_view import Fact, Part, Table
from course_utils.widgets.essay.essay_view import plain
from course_utils.widgets.marking.marking_desk import MarkingDesk
from course_utils.widgets.marking.rubric_view import refusal

NAME = "calibration.json"
COMPARED = "{} as first compared"  # under this name a sample's levels are kept that were given before ours were seen
FEWEST = 2  # essays that tell anything of agreement
CLOSE = 0.25  # levels: who lies no further from us gives as much as we do
FRACTIONS = {
    0.25: "a quarter of a level", 0.5: "half a level", 0.75: "three quarters of a level", 1.0: "a whole level",
    1.5: "one and a half levels", 2.0: "two levels",
}  # fmt: skip
NUMBERS = {1: "One level", 2: "Two levels", 3: "Three levels", 4: "Four levels"}


class Calibration(MarkingDesk):
    """A panel that lets somebody mark sample essays, and then shows how far their levels lie from ours.

    Parameters
    ----------
    folder : str or Path, optional
        Where ``calibration.json`` is kept; beside the ledger when left out.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    comparison : dict
        By criterion, once the open essay is compared: both levels, our reason, and where another marker may differ.
    agreed : dict
        From the second compared essay on: a table and sentences on each criterion.

    Examples
    --------
    ::

        calibration = Calibration()
        for criterion in ("thesis", "readings", "evidence", "counter", "clarity"):
            calibration.mark_level(criterion, 2)
        calibration.compare()
    """

    _esm, _css = browser_bundle("calibration")
    panel_title = "Calibration"

    comparison = traitlets.Dict().tag(sync=True)
    agreed = traitlets.Dict().tag(sync=True)

    def __init__(self, folder: str | Path | None = None, projector: bool = False) -> None:
        rubric = load_rubric()
        self._samples = {sample.name: sample for sample in load_samples()}
        self._records = {record.id: record for record in read(sample_ledger()).records}
        self._marks = FileMarks(Path(folder) / NAME if folder else ledger_path().with_name(NAME), rubric)
        papers = [Paper(name, number, "") for number, name in enumerate(self._samples, 1)]
        super().__init__(MarkingSession(rubric, papers, self._lay_out, self._marks), _scheme(), projector)
        self._list()
        self._begin()
        self._compare_all()

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def compare(self) -> dict[str, dict[str, object]]:
        """Show our levels of the open essay with their reasons, and return them; what was given first is kept.

        Raises
        ------
        SettingsError
            A criterion has no level yet.
        """
        found = self.desk.marks(self._key)
        missing = [self.desk.rubric.criterion(id).name for id, mark in found.items() if mark.points is None]
        if missing:
            told = f"No level yet for {', '.join(missing)}."
            raise SettingsError(told, "Your own level for every criterion.", "Give it, then compare.")
        if not self._first(self._key):
            for id, mark in found.items():
                self._marks.write(COMPARED.format(self._key), id, mark)
        self._compare()
        self._compare_all()
        return self.comparison

    def anew(self) -> None:
        """Take all levels and comments of the open essay back, also those that were compared."""
        for key in (self._key, COMPARED.format(self._key)):
            for criterion in self.desk.rubric.criteria:
                self._marks.write(key, criterion.id, Mark())
        self._open(self._key)
        self._compare_all()

    def agreement(self) -> pd.DataFrame:
        """Return how far the levels that were given first agree with ours: a row a criterion, and one for all."""
        yours = {name: self._first(name) for name in self._samples}
        compared = {name: levels for name, levels in yours.items() if levels}
        known = {criterion.id for criterion in self.desk.rubric.criteria}
        ours = {name: self._samples[name].levels for name in compared}
        shared = {name: {id: level for id, level in each.items() if id in known} for name, each in ours.items()}
        return agreement(shared, compared, self.desk.rubric)

    def static_parts(self) -> list[Part]:
        """Return the levels of the open essay; ours only once they were compared."""
        parts: list[Part] = [Fact("Essay", self.sheet.get("number", "")), *self._marks_parts(has_comments=True)]
        names = {each["id"]: each["name"] for each in self.rubric["criteria"]}
        parts += [Fact(names[id], f"{each['words']} {each['reason']}") for id, each in self.comparison.items()]
        if self.agreed:
            parts += [Fact("", words) for words in self.agreed["words"]]
            parts.append(Table("How far you agree with us", self.agreed["heads"], self.agreed["rows"]))
        return parts

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _first(self, name: str) -> dict[str, int]:
        """Return the levels that were given before ours were seen; empty where these have not been."""
        found = self._marks.read(COMPARED.format(name))
        points = {id: mark.points for id, mark in found.items() if mark.points is not None}
        if len(points) < len(found):
            return {}
        return {id: self.desk.rubric.level_of(id, given) for id, given in points.items()}

    def _open(self, key: str) -> None:
        with self.hold_sync():
            super()._open(key)
            self._compare()

    def _compare(self) -> None:
        first, sample = self._first(self._key), self._samples[self._key]
        self.comparison = plain({id: _side_by_side(self.desk.rubric, sample, id, level) for id, level in first.items()})

    def _compare_all(self) -> None:
        table = self.agreement()
        n = max(table["n"].iloc[:-1])
        self.agreed = agreed(table, self.desk.rubric) if n >= FEWEST else {}

    def _lay_out(self, paper: Paper) -> PaperContents:
        sample = self._samples[paper.key]
        return PaperContents(
            paper, sample.essay, report_of(sample, self._records, self.desk.rubric), sample_ledger().parent
        )

    def _picture_of(self, id: str) -> tuple[bytes, str] | str:
        record = self._records.get(id)
        picture = redraw(record) if record else "There is no record of this id, and so no picture."
        return picture if isinstance(picture, str) else (picture.png(), picture.alt)

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "compare" | "anew" as wish}:
                try:
                    getattr(self, wish)()
                    self._notify("Ours stand beside yours." if wish == "compare" else "This essay begins anew.")
                except CourseError as error:
                    self._notify(why=refusal(error))
            case _:
                super()._handle_message(content, buffers)


def report_of(sample: Sample, records: dict[str, Record], rubric: Rubric) -> dict[str, object]:
    """Return what a grading would report of a sample essay; its records come with the course."""
    cited = [(id, records.get(id)) for id in sample.essay.cited_evidence]
    again = {"status": "not sampled", "value": None, "why": "This record comes with the course, like the essay."}
    evidence = [
        {"id": id, "cited": True, "again": again, "picture": f"{id}.png" if record else None, "alt": ""}
        | {"record": {name: getattr(record, name) for name in RECORD_FIELDS} if record else None}
        for id, record in cited
    ]
    found = check(sample.essay, list(records.values()), rubric.words)
    findings = [dataclasses.asdict(each) for each in found]
    ledger = {"status": "sound", "n_records": len(records), "why": "It is the one of our own samples."}
    return {"essay": {"findings": findings}, "ledger": ledger, "evidence": evidence}


def agreed(table: pd.DataFrame, rubric: Rubric) -> dict[str, object]:
    """Return `agreement`, ours first, as a page shows it: sentences, then a row a criterion."""
    whole, rows = table.iloc[-1], table.iloc[:-1]
    n = max(rows["n"])
    told = [
        f"Over {n} essays, {whole['exact_share']:.0%} of your levels are ours; yours lie "
        f"{whole['mean_absolute_error']:.1f} levels from ours on average.",
        *_leanings(rows, rubric),
        "With so few essays each single level moves kappa: 1 is perfect agreement, 0 what chance would give.",
    ]
    names = {criterion.id: criterion.name for criterion in rubric.criteria}
    cells = [
        [names.get(row["criterion"], "All"), str(row["n"]), _number(row["kappa"]), _number(row["mean_absolute_error"])]
        + [_number(row["bias"], "+.2f"), f"{row['exact_share']:.0%}" if row["n"] else "–"]
        for _, row in table.iterrows()
    ]
    heads = ["Criterion", "Levels", "Kappa, weighted", "Levels apart", "You less us", "The same"]
    return {"words": told, "heads": heads, "rows": cells}


def _leanings(rows: pd.DataFrame, rubric: Rubric) -> list[str]:
    """Say on which criteria somebody is more generous or stricter than we are, and by how much."""
    told = []
    for sign, words in ((1, "more generous"), (-1, "stricter")):
        lean = rows[(rows["n"] > 0) & (sign * rows["bias"] >= CLOSE)].sort_values("bias", key=lambda bias: -abs(bias))
        told += [
            f"You are on average {_amount(abs(row['bias']))} {words} on {rubric.criterion(row['criterion']).name}."
            for _, row in lean.iterrows()
        ]
    return told or ["On no criterion do you give more or less than we do, on average."]


def _amount(levels: float) -> str:
    near = min(FRACTIONS, key=lambda each: abs(each - levels))
    return FRACTIONS[near] if abs(near - levels) < 0.13 else f"{levels:.1f} levels"


def _side_by_side(rubric: Rubric, sample: Sample, id: str, yours: int) -> dict[str, object]:
    if id not in sample.levels:
        return {"apart": 0, "words": "We marked this essay by another rubric, without this criterion.", "reason": ""}
    ours = sample.levels[id]
    apart = yours - ours
    words = f"{NUMBERS.get(abs(apart), abs(apart))} {'above' if apart > 0 else 'below'} ours." if apart else "The same."
    return {
        "apart": apart,
        "ours": ours,
        "words": f"You gave {rubric.levels[yours].name}, we gave {rubric.levels[ours].name}. {words}",
        "reason": sample.reasons.get(id, ""),
        "doubt": sample.doubts.get(id, ""),
    }


def _scheme() -> dict[str, str]:
    """Return what graders are told, where this is a course whose sources are here; students have none."""
    try:
        return read_mark_scheme(find_course().folder("source", "", ESSAY) / SCHEME)
    except CourseError:
        return {}


def _number(value: float, form: str = ".2f") -> str:
    return "–" if np.isnan(value) else format(value, form)
