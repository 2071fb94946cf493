"""Timeline panel: the releases of 2019 stage by stage; students decide first, then see what OpenAI did."""

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets

from course_utils.errors import AccessRefused, NoSpace, SettingsError, TextError
from course_utils.experiments.release import history
from course_utils.experiments.release.decisions import CHOICES, MAX_REASON_CHARACTERS, Decisions, next_size
from course_utils.models.architecture import LATER_NAMES
from course_utils.models.registry import registry, release_stage
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.share_vote import VoteSharingPanel
from course_utils.widgets.base.static_view import Fact, Part, Table, facts

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
ENDS = {history.DAY: pd.offsets.Day(0), history.MONTH: pd.offsets.MonthEnd(1), history.YEAR: pd.offsets.YearEnd(1)}
A_DAY = datetime.timedelta(days=1)
LAST_DAY = datetime.date(2019, 12, 31)  # where the last stage is looked at, which never ended
KINDS = {"OpenAI": "OpenAI", "others": "others' models", "comment": "articles, talks", "evidence": "evidence"}


class ReleaseTimeline(VoteSharingPanel):
    """A panel with the timeline of 2019 and its release stages; it can be driven without a browser too.

    A stage is seen from its last day, the eve of the next release: what came later is hidden, and later sizes are
    closed in every panel of the notebook. The next stage opens after a decision at the one before.

    Parameters
    ----------
    record : str or Path, optional
        A JSON Lines file. Its decisions are read, and each new one is added at once; so is what is being typed.
    projector : bool
        Large type, for a lecture hall.
    free : bool
        Every stage may be chosen without a decision, as a lecturer needs it; the whole year is shown at first.

    Attributes
    ----------
    stage : str or None
        The release stage of this kernel, which other panels may change too; None: all models are open.
    events, shown : list of dict, dict
        What the browser may know: the events until the stage's end; what was open and known by then.

    Raises
    ------
    DamagedFile
        The record is no record of this panel.

    Examples
    --------
    >>> timeline = ReleaseTimeline()
    >>> timeline.choose("Feb 2019")
    >>> timeline.decide("wait", "Nobody can tell its text from a person's yet.")
    >>> timeline.stage
    'May 2019'
    >>> timeline.decisions["openai"][0]
    'released 355M on 3 May 2019, 78 days after the announcement'
    >>> timeline.open_all()
    """

    _esm, _css = browser_bundle("timeline")
    panel_title = "Release timeline"
    class_demo, class_words = "timeline", "each stage that you decide at, and what you decide"

    stages: traitlets.List[Any] = traitlets.List().tag(sync=True)
    stage = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    events: traitlets.List[Any] = traitlets.List().tag(sync=True)
    sizes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    until = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    asked = traitlets.Dict().tag(sync=True)
    draft = traitlets.Unicode().tag(sync=True)
    decided: traitlets.List[Any] = traitlets.List().tag(sync=True)
    choices = traitlets.Dict(CHOICES).tag(sync=True)
    kinds = traitlets.Dict(KINDS).tag(sync=True)
    longest = traitlets.Int(MAX_REASON_CHARACTERS).tag(sync=True)

    def __init__(self, record: str | Path | None = None, projector: bool = False, free: bool = False) -> None:
        self._decisions = Decisions(record)
        self._is_free, self._is_whole = free, free
        super().__init__(projector)
        self._refresh()
        release_stage.on_change(self._refresh)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Set the stage of this kernel and show it.

        Raises
        ------
        SettingsError
            No stage has that name.
        AccessRefused
            The decision at the stage before is missing.
        """
        if name in release_stage.NAMES and not self._may_choose(name):
            before = release_stage.NAMES[release_stage.NAMES.index(name) - 1]
            raise AccessRefused(
                f"{name} is not open to you yet.",
                f"A decision at {before}, before seeing what came.",
                f'timeline.choose("{before}"), then timeline.decide("wait", "because…"); or free=True.',
            )
        release_stage.choose(name)
        self._refresh()

    def open_all(self) -> None:
        """Set no stage: all models are open, and the whole timeline is shown."""
        self._is_whole = True
        release_stage.open_all()
        self._refresh()

    def decide(self, decision: str, reason: str) -> None:
        """Commit what you would do with the next size; then the next stage opens, with what OpenAI did.

        Parameters
        ----------
        decision : {"release", "wait", "never"}
        reason : str

        Raises
        ------
        SettingsError
            No such decision.
        TextError
            There is nothing to decide, it is decided already, or the reason is missing.
        NoSpace
            The record cannot be written; the decision is in `decisions` all the same.
        """
        stage, is_new = self.stage, self.stage not in self._decisions.made()
        try:
            with self._lock:
                self._decisions.commit(stage, decision, reason)
        finally:
            if is_new and stage in self._decisions.made():
                self._give({stage: decision})
                self.choose(release_stage.NAMES[release_stage.NAMES.index(stage) + 1])

    def keep_draft(self, text: str, stage: str | None = None) -> None:
        """Keep a reason that is still being typed, for the stage that it was typed at."""
        with self._lock:
            self._decisions.keep_draft(stage or self.stage, text)

    @property
    def decisions(self) -> pd.DataFrame:
        """One row a decision: stage, next_size, decision, reason, time, openai, openai_reason, source."""
        return self._decisions.table()

    def close(self) -> None:
        """Take the panel away; the stage stays as it is."""
        release_stage.forget(self._refresh)
        super().close()

    def static_parts(self) -> list[Part]:
        """Return the stage, what was known by then, and what was decided."""
        parts = facts(stage=self.stage or "none: all is open", seen_until=self.until)
        told = self.shown
        if told:
            parts += facts(opened=told["opened"], open=", ".join(told["open"]), closed=", ".join(told["closed"]))
            parts += facts(reason=told["reason"], source=told["source"])
        rows = [[each["date"], each["event"], each["source"]] for each in self.events]
        parts.append(Table("Events", ["date", "event", "source"], rows))
        if self.asked:
            parts.append(Fact("To decide", f"{self.asked['size']} ({self.asked['model']}), on {self.asked['day']}"))
        parts += facts(reason_being_typed=self.draft)
        if self.decided:
            names = ("stage", "next_size", "choice", "reason", "openai")
            rows = [[each[name] for name in names] for each in self.decided]
            parts.append(Table("Decided", ["stage", "next size", "you", "your reason", "OpenAI"], rows))
        return parts

    def show_error(self, error: BaseException) -> None:
        """Show an error; a decision stays when the disk is full."""
        if isinstance(error, NoSpace):  # the decision, or what was typed, is in the panel
            self._show_not_saved(error)
        else:
            super().show_error(error)

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "choose", "stage": str(name)}:
                self.choose(name)
            case {"kind": "open all"}:
                self.open_all()
            case {"kind": "draft", "stage": str(stage), "text": str(text)}:
                self.keep_draft(text, stage)
            case {"kind": "decide", "decision": str(decision), "reason": str(reason)}:
                try:
                    self.decide(decision, reason)
                except (SettingsError, TextError):
                    self.keep_draft(reason)
                    raise

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Show the stage that is set, and nothing of what came after it."""
        with self._lock:
            stage, made = release_stage.now(), self._decisions.made()
            is_whole = stage is None and (self._is_whole or self._decisions.are_complete())
            until = None if is_whole else _eve(stage)
            self.set_traits(
                message="",
                stage=stage,
                until=str(until or ""),
                events=[_event(row) for row in history.timeline().itertuples() if until is None or _ends(row) <= until],
                sizes=[_size(row) for row in history.family().itertuples() if until is None or _day(row) <= until],
                shown=_as_of(stage, until) if stage and until else {},
                asked={} if stage in made else _question(stage),
                draft=self._decisions.drafts().get(stage or "", ""),
                decided=[row | {"choice": CHOICES[row["decision"]]} for row in self.decisions.to_dict("records")],
                stages=[
                    {"name": name, "can": self._may_choose(name), "is_decided": name in made}
                    for name in release_stage.NAMES
                ],
            )

    def _may_choose(self, name: str) -> bool:
        place = release_stage.NAMES.index(name)
        return self._is_free or place == 0 or release_stage.NAMES[place - 1] in self._decisions.made()


# -- what the browser may know -----------------------------------------------------------------------------------------


def _eve(stage: str | None) -> datetime.date:
    """Return the last day of a stage, the eve of the next release; without a stage, the eve of the first one."""
    names = release_stage.NAMES
    following = names.index(stage) + 1 if stage else 0
    return history.stage(names[following]).begins - A_DAY if following < len(names) else LAST_DAY


def _as_of(stage: str, until: datetime.date) -> dict:
    """Return what was open and known on the last day of a stage."""
    then = history.stage_at(until)
    told = history.rows("stages").set_index("name").loc[stage]
    stand_in = [release_stage.STAND_IN] if registry.is_here(release_stage.STAND_IN) else []
    return {
        "day": _in_words(until),
        "begins": _in_words(then.begins),
        "opened": LATER_NAMES[then.opened],
        "open": [*then.open_sizes, *then.open_pocket, *stand_in],
        "closed": [f"{LATER_NAMES[size]} ({size})" for size in then.closed_sizes],
        "reason": then.reason,
        "source": told["source"],
        "how": history.TAGS[told["tag"]],
        "evidence": [
            {"date": _date(row), "about": row.about, "finding": row.finding, "source": row.source}
            | {"how": history.TAGS[row.tag], "is_new": row.first_day.date() >= then.begins}
            for row in then.evidence.itertuples()
        ],
    }


def _question(stage: str | None) -> dict[str, str]:
    size = next_size(stage)
    return {"model": size, "size": LATER_NAMES[size], "day": _in_words(_eve(stage))} if size else {}


def _event(row) -> dict[str, str]:
    told = {name: getattr(row, name) for name in ("event", "short", "kind", "size", "source", "precision")}
    days = {"first": str(row.first_day.date()), "last": str(_ends(row))}
    return told | days | {"date": _date(row), "how": history.TAGS[row.tag]}


def _size(row) -> dict[str, str | int | float]:
    told = {"model": row.model, "name": row.later_name, "n_parameters": int(row.n_parameters)}
    return told | {"share": float(row.share_of_largest), "day": str(_day(row))}


def _day(row) -> datetime.date:
    return row.released.date()


def _ends(row) -> datetime.date:
    """Return the last day on which something told by its month or year can have happened."""
    return (row.first_day + ENDS[row.precision]).date()


def _date(row) -> str:
    """Return a date as exactly as it is known."""
    day = row.first_day.date()
    month = f"{MONTHS[day.month - 1]} {day.year}"
    return {history.DAY: _in_words(day), history.MONTH: month, history.YEAR: str(day.year)}[row.precision]


def _in_words(day: datetime.date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"
