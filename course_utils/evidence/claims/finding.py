"""Finding of the claim checker: one message about some words of an essay."""

import dataclasses

from course_utils.evidence.essay.essay import Section

FAULT, HINT = "fault", "hint"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Finding of the claim checker about some words of an essay.

    Parameters
    ----------
    kind : str
        Such as ``"other number"``.
    severity : {"fault", "hint"}
        Missing or contradicted, or only worth a look.
    says : str
        Message to the author of the essay, one or two sentences.
    section : str
        The key of the section; "" where it is about the whole essay.
    start, end : int
        Where the words stand in the section's text.
    quote : str
        The words.
    evidence : str
        The id of the record that it is about, if it is about one.
    """

    kind: str
    severity: str
    says: str
    section: str = ""
    start: int = 0
    end: int = 0
    quote: str = ""
    evidence: str = ""

    def __str__(self) -> str:
        """Return what is said, about which words."""
        where = f"{self.section}: \u201c{self.quote[:80]}\u201d: " if self.quote else ""
        return f"{self.severity} ({self.kind}): {where}{self.says}"

    __repr__ = __str__


def finding_at(
    section: Section, start: int, end: int, kind: str, severity: str, says: str, evidence: str = ""
) -> Finding:
    """Return a finding about the words from start to end of a section."""
    return Finding(kind, severity, says, section.key, start, end, section.text[start:end], evidence)
