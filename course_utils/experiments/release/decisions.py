"""Release decisions of a student at each stage of 2019, stored before OpenAI's decision is shown beside them."""

import datetime
import json
from pathlib import Path

import pandas as pd

from course_utils.core.files import expanded
from course_utils.core.json_lines import append_object, read_lines
from course_utils.errors import DamagedFile, SettingsError, TextError
from course_utils.experiments.release import history
from course_utils.experiments.release.release_plan import OPENAI
from course_utils.models.architecture import LATER_NAMES
from course_utils.models.registry import release_stage

CHOICES = {"release": "Release it now", "wait": "Wait", "never": "Never release it"}
MAX_REASON_CHARACTERS = 2000  # characters
HOW_TO_WRITE = "Make room, or name a file in another folder."
COLUMNS = ["stage", "next_size", "decision", "reason", "time", "openai", "openai_reason", "source"]


class Decisions:
    """One decision a stage, which stays as it was committed; and what is being typed, so that none of it is lost.

    Parameters
    ----------
    record : str or Path, optional
        A JSON Lines file, read now and only ever added to.

    Raises
    ------
    DamagedFile
        The file is something else.

    Examples
    --------
    >>> decisions = Decisions()
    >>> decisions.commit("Feb 2019", "wait", "Nobody knows yet who would misuse it.")
    >>> decisions.table()["openai"][0]
    'released 355M on 3 May 2019, 78 days after the announcement'
    """

    def __init__(self, record: str | Path | None = None) -> None:
        self._record = expanded(record) if record else None
        self._lines = _read(self._record) if self._record else []
        self._unsaved: list[dict[str, str]] = []

    def made(self) -> dict[str, dict[str, str]]:
        """Return the decision at each stage that has one: stage, decision, reason, time. The first one counts."""
        by_stage = {line["stage"]: line for line in reversed(self._lines) if "decision" in line}
        return {name: by_stage[name] for name in release_stage.NAMES if name in by_stage}

    def are_complete(self) -> bool:
        """Tell whether something was decided about every later size."""
        return len(self.made()) == len(release_stage.NAMES) - 1

    def commit(self, stage: str | None, choice: str, reason: str) -> None:
        """Decide, at a stage, on the next size.

        Raises
        ------
        SettingsError
            No such choice.
        TextError
            There is nothing to decide, it is decided already, or the reason is missing.
        NoSpace
            The record cannot be written; the decision counts all the same.
        """
        if choice not in CHOICES:
            expected = f"One of {', '.join(CHOICES)}."
            what = f"The decision is {choice!r}." if choice else "No decision is chosen."
            raise SettingsError(what, expected, 'timeline.decide("wait", "because…")')
        if stage in self.made():
            what = f"At {stage} you have decided: {self.made()[stage]['decision']}."
            raise TextError(what, "One decision for each stage; it cannot be changed.", "Go to the next stage.")
        if stage is None or not next_size(stage):
            what = f"After {stage} no size is left to decide on." if stage else "No stage is set."
            first = release_stage.NAMES[0]
            raise TextError(what, "A stage before the last one.", f'timeline.choose("{first}")')
        reason = reason.strip()
        if not 1 <= len(reason) <= MAX_REASON_CHARACTERS:
            what = f"The reason has {len(reason):,} characters."
            raise TextError(
                what, f"Why you decide so, in 1 to {MAX_REASON_CHARACTERS:,} characters.", "Write it, then commit."
            )
        self._add({"stage": stage, "decision": choice, "reason": reason})

    def drafts(self) -> dict[str, str]:
        """Return the reasons as they were typed last, by their stage."""
        return {line["stage"]: line["draft"] for line in self._lines if "draft" in line}

    def keep_draft(self, stage: str | None, text: str) -> None:
        """Keep a reason that is not committed yet."""
        text = text[:MAX_REASON_CHARACTERS]
        if stage is not None and next_size(stage) and stage not in self.made() and text != self.drafts().get(stage, ""):
            self._add({"stage": stage, "draft": text})

    def table(self) -> pd.DataFrame:
        """Return one row a decision: stage, next_size, decision, reason, time, openai, openai_reason, source."""
        return pd.DataFrame([_beside_openai(line) for line in self.made().values()], columns=COLUMNS)

    def __repr__(self) -> str:
        """Return one line a decision, and where they are kept."""
        where = f"in {self._record}" if self._record else "in memory"
        lines = [f"{stage}: {line['decision']} ({line['reason']})" for stage, line in self.made().items()]
        return "\n".join([f"{len(lines)} decisions, {where}", *lines])

    def _add(self, line: dict[str, str]) -> None:
        line = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), **line}
        self._lines.append(line)
        if self._record:
            self._unsaved.append(line)
            while self._unsaved:  # also what a full disk refused before
                append_object(self._record, self._unsaved[0], HOW_TO_WRITE)
                self._unsaved.pop(0)


def next_size(stage: str | None) -> str:
    """Return the size that the next stage opens; empty after the last one, and where no stage is set."""
    names = release_stage.NAMES
    return release_stage.SIZES[names.index(stage) + 1] if stage in names[:-1] else ""


def _beside_openai(line: dict[str, str]) -> dict[str, str]:
    size = next_size(line["stage"])
    did = OPENAI.set_index("model").loc[size]
    stage_row = history.rows("stages").set_index("opens").loc[size]
    words = f"released {LATER_NAMES[size]} on {did['released']}, {did['days_after_announcement']} days after the "
    openai = {"openai": words + "announcement", "openai_reason": stage_row["reason"], "source": stage_row["source"]}
    return {**{name: line[name] for name in ("stage", "decision", "reason", "time")}, "next_size": size, **openai}


# -- the file ----------------------------------------------------------------------------------------------------------


def _read(record: Path) -> list[dict[str, str]]:
    return [_parsed(record, number, line) for number, line in read_lines(record)]


def _parsed(record: Path, number: int, line: bytes) -> dict[str, str]:
    try:
        values = json.loads(line)
        what = "draft" if "draft" in values else "decision"
        needed = ["time", "stage", what, *(["reason"] if what == "decision" else [])]
        is_ours = all(isinstance(values[name], str) for name in needed)
        if is_ours and next_size(values["stage"]) and values.get("decision", "wait") in CHOICES:
            return values
    except (ValueError, KeyError, TypeError):
        pass
    raise DamagedFile(
        f"{record}, line {number}, is no decision.", "A record that this panel wrote.", "Name another file, or move it."
    )
