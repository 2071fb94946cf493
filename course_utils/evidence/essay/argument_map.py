"""Argument map of an essay: a thesis and its reasons as a drawing, and a list of what they still lack."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from course_utils.errors import SettingsError
from course_utils.evidence.ledger.ledger import read
from course_utils.plots.argument import map_picture
from course_utils.plots.picture import Picture

READINGS = ("reading 1", "reading 2", "reading 3", "reading 4")


@dataclasses.dataclass(frozen=True)
class Reason:
    """One reason for a thesis.

    Parameters
    ----------
    claim : str
        One sentence.
    readings : sequence of str
        Those that it builds on or answers, of `READINGS`.
    evidence : sequence of str
        Ids of records in the ledger, such as ``"E-07f3"``.
    objection, answer : str
        The best that can be said against it, and what you say to that.

    Raises
    ------
    SettingsError
        There is no such reading, or one text stands where several are expected.
    """

    claim: str
    readings: Sequence[str] = ()
    evidence: Sequence[str] = ()
    objection: str = ""
    answer: str = ""

    def __post_init__(self) -> None:
        """Refuse readings that the course does not have."""
        for name in ("readings", "evidence"):
            if isinstance(getattr(self, name), str):
                value = getattr(self, name)
                raise SettingsError(f"{name} is a string, {value!r}.", "A list of strings.", f"{name}=[{value!r}]")
        for reading in self.readings:
            if reading not in READINGS:
                expected = f"One of {', '.join(READINGS)}."
                raise SettingsError(f"There is no reading {reading!r}.", expected, 'readings=["reading 1"]')

    def row(self) -> dict[str, str]:
        """Return it as the map draws it."""
        rests_on = ", ".join([*self.readings, *self.evidence])
        return {"claim": self.claim, "rests_on": rests_on, "objection": self.objection, "answer": self.answer}


def gaps(thesis: str, reasons: Sequence[Reason], ledger: str | Path | None = None) -> list[str]:
    """Return what an argument lacks; an empty list says that its form is whole, not that it is right.

    Parameters
    ----------
    thesis : str
    reasons : sequence of Reason
    ledger : str or Path, optional
        As for `ledger.read`; evidence must stand in it.

    Examples
    --------
    >>> gaps("Release all at once.", [])[0]
    'There is no reason yet.'
    """
    kept = {record.id for record in read(ledger).records}
    found = [] if thesis.strip() else ["There is no thesis yet."]
    found += [] if reasons else ["There is no reason yet."]
    for number, reason in enumerate(reasons, 1):
        found += [f"Reason {number}: {gap}" for gap in _gaps_of(reason, kept)]
    met = {reading for reason in reasons for reading in reason.readings}
    found += [f"Nothing builds on {reading}, or answers it." for reading in READINGS if reading not in met]
    return found


def argument_map(thesis: str, reasons: Sequence[Reason]) -> Picture:
    """Draw an argument: dashed boxes are gaps.

    Parameters
    ----------
    thesis : str
    reasons : sequence of Reason
    """
    return map_picture(thesis, [reason.row() for reason in reasons])


def _gaps_of(reason: Reason, kept: set[str]) -> list[str]:
    """Return what one reason lacks."""
    unknown = [id for id in reason.evidence if id not in kept]
    checks = {
        "it says nothing yet.": not reason.claim.strip(),
        "it names no reading.": not reason.readings,
        "it rests on no measurement of yours.": not reason.evidence,
        f"{', '.join(unknown)} does not stand in your ledger.": bool(unknown),
        "no objection is considered.": not reason.objection.strip(),
        "its objection has no answer.": bool(reason.objection.strip()) and not reason.answer.strip(),
    }
    return [gap for gap, is_there in checks.items() if is_there]
