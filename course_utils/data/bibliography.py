"""Bibliography of the course in CSL-JSON: every source that a figure, a date or a quotation refers to.

Data files name sources by their ids, notebooks and pages by links to ``docs/sources.md``. An entry's ``note`` says how
much of the source the authors of the course have read.
"""

import functools
import json
from collections.abc import Iterable

from course_utils.core.json_types import JsonObject
from course_utils.core.paths import data_file
from course_utils.errors import SettingsError

FILE = data_file(__name__, "bibliography.json")
PAGE = "docs/sources.md"  # made by `as_markdown`; a test compares the two


@functools.cache
def _entries() -> dict[str, JsonObject]:
    return {entry["id"]: entry for entry in json.loads(FILE.read_text("utf-8"))}


def ids() -> list[str]:
    """Return the id of every source, in the order of the file."""
    return list(_entries())


def entry(source_id: str) -> JsonObject:
    """Return the CSL-JSON entry of a source.

    Raises
    ------
    SettingsError
        The bibliography has no source of that id.
    """
    if source_id not in _entries():
        raise SettingsError(
            f"The bibliography has no source {source_id!r}.", f"One of {', '.join(ids())}.", f"Add it to {FILE.name}."
        )
    return dict(_entries()[source_id])


def in_words(source_ids: Iterable[str]) -> str:
    """Return sources as tables show them, separated by semicolons.

    Examples
    --------
    >>> in_words(["solaiman2023", "course"])
    'Solaiman 2023, The Gradient of Generative AI Release, arXiv 2302.04844; this course'
    """
    return "; ".join(str(entry(source_id)["custom"]["words"]) for source_id in source_ids)


def as_markdown() -> str:
    """Return the page of sources for readers. Each id is a heading, so that links can point to it."""
    lines = [
        "# Sources",
        "",
        "Every figure, date and quotation of the course about the readings, the models and the events of 2019 refers",
        "to an entry of this list. Each entry says how much of the source the authors of the course have read.",
        "The list is [`bibliography.json`](../course_utils/data/bibliography.json), in the format CSL-JSON.",
        "Reference managers can import it.",
        "",
    ]
    for source_id in ids():
        lines += [f"## {source_id}", "", _reference(source_id), ""]
    return "\n".join(lines)


def _reference(source_id: str) -> str:
    """Return an entry as one paragraph: authors, year, title, where it appeared, address, and what was read."""
    found = entry(source_id)
    names = [
        " ".join(filter(None, [name.get("given"), name.get("family")])) or name["literal"]
        for name in found.get("author", [])
    ]
    others = " and others" if "and others" in names else ""
    who = ", ".join(name for name in names if name != "and others") + others
    date = "-".join(f"{part:02d}" for part in found["issued"]["date-parts"][0]) if "issued" in found else ""
    head = " ".join(filter(None, [who, f"({date})" if date else ""]))
    parts = [head, f"*{found['title']}*", found.get("container-title"), found.get("number"), found.get("publisher")]
    reference = ". ".join(str(part) for part in parts if part) + "."
    return " ".join(filter(None, [reference, f"<{found['URL']}>" if "URL" in found else "", str(found["note"])]))
