"""Class-results panel for the projector: it grows while people vote, and shows no group below five."""

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from course_utils.classroom import store
from course_utils.classroom import votes as ballot
from course_utils.classroom.tally import MIN_VOTERS, Tally, wilson
from course_utils.errors import AccessRefused, CourseError, DamagedFile, TextError
from course_utils.models.registry.release_stage import NAMES as STAGES
from course_utils.models.registry.release_stage import SIZES
from course_utils.widgets.base.panel import Panel, browser_bundle, error_message
from course_utils.widgets.base.static_view import Fact, Part, Table, facts

LOOK_EVERY_S = 1.0
WATCHED_S = 8.0  # how long after a page's last sign that it is seen
OURS = ("session", "is_lecturer")
REPLACED = "The class's file was moved or damaged, and a new one has begun. What was counted before lies beside it."
NO_CLASS = "No class is open here. make demo opens one; ClassResults(session=…) shows one that was."
TITLES = {
    ballot.SIZES: "Sizes, ranked blind",
    ballot.READERS: "Human or machine",
    ballot.TIMELINE: "Release decisions",
    ballot.EVIDENCE: "Kept numbers",
}
DECISIONS = {"release": "Release it now", "wait": "Wait", "never": "Never release it"}
WILSON = "Lines: Wilson's 95% interval."
OF_READERS = (
    "Dashed: guessing by coin. The line of the first row is a 95% interval over readers; those below are Wilson's over "
    "answers, which are a little too short: answers of one reader are not independent."
)


class ClassResults(Panel):
    """A panel with the class's pictures; it can be driven without a browser too.

    While a page shows it, it asks once a second whether anybody has voted, which costs next to nothing; only then does
    it read.

    Parameters
    ----------
    session : str, optional
        Which class; the one that is open (``COURSE_CLASS_SESSION``), if left out.
    about : str
        One demo's questions only: ``"sizes"``, ``"human_or_machine"``, ``"timeline"`` or ``"evidence"``; all, if empty.
    path : str or Path, optional
        The class's file; as ``COURSE_CLASS`` says, if left out.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    pictures : list of dict
        As from `pictures`, of the round that goes on.
    round : int
        Which round that is.
    is_lecturer : bool
        Whether this page may begin a round and export.

    Examples
    --------
    ::

        panel = ClassResults()
        panel.refresh()
        Path("class.csv").write_text(panel.csv())
    """

    _esm, _css = browser_bundle("class_results")
    panel_title = "What this class thinks"

    session = traitlets.Unicode().tag(sync=True)
    about = traitlets.Unicode().tag(sync=True)
    pictures: traitlets.List[Any] = traitlets.List().tag(sync=True)
    round = traitlets.Int(1).tag(sync=True)
    titles = traitlets.Dict(TITLES).tag(sync=True)
    is_lecturer = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self, session: str | None = None, about: str = "", path: str | Path | None = None, projector: bool = False
    ) -> None:
        if about and about not in TITLES:
            raise TextError(f"about is {about!r}.", f"One of {', '.join(TITLES)}.", 'ClassResults(about="sizes")')
        self._path, self._seen_until = path, 0.0
        self._seen: tuple[int, int, int] | None = None
        self._watcher: threading.Thread | None = None
        self._end, self._warning = threading.Event(), ""
        super().__init__(projector, session=session or store.open_session() or "", about=about)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the pictures as they are now."""
        if not self.session:
            self.set_traits(message=NO_CLASS, is_lecturer=may_lead())
            return
        before, self._seen = self._seen, store.changes(self._path)
        if before and before[:2] != self._seen[:2]:
            self._warning = REPLACED
        now = store.current_round(self.session, self._path)
        told = pictures(store.tallies(self.session, None, now, self._path))
        self.set_traits(message=self._warning, pictures=told, round=now, is_lecturer=may_lead())

    def look(self) -> None:
        """Read them again if anybody has written to the file since."""
        if self.session and store.changes(self._path) != self._seen:
            self.refresh()

    def new_round(self) -> int:
        """Begin anew, for the whole class; what was counted stays in the file, and in the export. Return its number.

        Raises
        ------
        AccessRefused
            This page is a viewer's.
        """
        self._require_lead("begin a new round")
        number = store.new_round(self.session, self._path)
        self.refresh()
        return number

    def csv(self) -> str:
        """Return all rounds' pictures as CSV.

        Raises
        ------
        AccessRefused
            This page is a viewer's.
        """
        self._require_lead("export")
        return store.export_csv(self.session, self._path)

    def set_state(self, sync_data: dict) -> None:
        """Take trait values from the browser; which class is shown, and who leads it, is not the browser's to say."""
        super().set_state({name: value for name, value in sync_data.items() if name not in OURS})

    def close(self) -> None:
        """Take the panel away; it looks no more."""
        if hasattr(self, "_end"):
            self._end.set()
        super().close()

    def static_parts(self) -> list[Part]:
        """Return the pictures as tables."""
        parts: list[Part] = [*facts(session=self.session), Fact("Round", self.round)]
        for each in self.pictures:
            rows = [[row["label"], row["words"]] for row in each["rows"]]
            parts.append(Table(each["title"], ["answer", "share, 95% interval, count"], rows))
            parts += [Fact("", words) for words in (each["more"], each["hint"]) if words]
        return parts

    # -- while a page shows it -----------------------------------------------------------------------------------------

    def _be_seen(self) -> None:
        """Look for votes for a while; not before a page asks, so that a process may split until then."""
        with self._lock:
            self._seen_until = time.monotonic() + WATCHED_S
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._watch, name="course-class", daemon=True)
                self._watcher.start()

    def _watch(self) -> None:
        while time.monotonic() < self._seen_until and not self._end.is_set():
            try:
                self.look()
            except Exception as error:
                self._warning = error_message(error) if isinstance(error, DamagedFile) else ""
                self.show_error(error)
            self._end.wait(LOOK_EVERY_S)

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "seen"}:
                self._be_seen()
                self.send({"kind": "pong"})
            case {"kind": "ready"}:
                self._warning = ""
                self.refresh()
            case {"kind": "about", "demo": str(demo)} if demo in ("", *TITLES):
                self.set_traits(about=demo)
            case {"kind": "new round"}:
                self.new_round()
            case {"kind": "export"}:
                self.send({"kind": "csv", "name": f"class-{self.session}.csv", "text": self.csv()})

    def _require_lead(self, what: str) -> None:
        if not may_lead():
            raise AccessRefused(f"This page may not {what}.", "The lecturer's page.", "Ask the lecturer.")
        if not self.session:
            raise CourseError(NO_CLASS)


def may_lead() -> bool:
    """Tell whether this kernel is the lecturer's: outside a hall always, in a hall where ``COURSE_LECTURER`` is 1."""
    return not os.environ.get("COURSE_HALL") or os.environ.get("COURSE_LECTURER") == "1"


def pictures(tallies: Iterable[Tally]) -> list[dict[str, object]]:
    """Return what the page draws, one picture a question; neighbours in size share one.

    Returns
    -------
    list of dict
        key, demo, title, n (who voted), shown (whose votes the picture has), more (what it waits for, in words),
        mark (a share to mark, or None), hint, and rows: label, value, low, high, words.
    """
    told: dict[str, list[Tally]] = {}
    for tally in tallies:
        is_pair = tally.question.startswith("pair ")
        told.setdefault("pairs" if is_pair else f"{tally.demo} {tally.question}", []).append(tally)
    made = [{"key": key, **_picture(each)} for key, each in told.items()]
    return sorted(made, key=lambda each: ballot.DEMOS.index(each["demo"]))


def missing(tally: Tally) -> str:
    """Return who must still vote until a picture comes or changes, in words.

    Examples
    --------
    >>> missing(Tally("timeline", "Feb 2019", 2, None, 2, 3))
    '2 have voted; 3 more needed: a picture is of 5 people at least.'
    """
    voted = f"{tally.n} {'has' if tally.n == 1 else 'have'} voted"
    if tally.shown is None:
        if tally.n + tally.needed > MIN_VOTERS:  # some have taken back their votes: who they were must not show
            return f"{voted}; the next picture comes with {tally.needed} more."
        return f"{voted}; {tally.needed} more needed: a picture is of {MIN_VOTERS} people at least."
    if not tally.waiting:
        return f"{voted}, and all are in the picture."
    return f"{voted}, {tally.shown['n']} are in the picture; it changes with {tally.needed} more."


def _picture(tallies: Sequence[Tally]) -> dict[str, object]:
    tally = tallies[0]
    title, mark, hint = _about(tally)
    shown = [each.shown for each in tallies if each.shown]
    return {
        "demo": tally.demo,
        "title": title,
        "n": max(each.n for each in tallies),
        "shown": max((each["n"] for each in shown), default=0),
        "more": missing(max(tallies, key=lambda each: (each.n, each.needed))),
        "mark": mark,
        "hint": hint if shown else "",
        "rows": [row for each in tallies if each.shown for row in _rows(each, each.shown)],
    }


def _about(tally: Tally) -> tuple[str, float | None, str]:
    """Return a question's title, the share to mark, and the words below its picture."""
    if tally.demo == ballot.TIMELINE:
        size = SIZES[STAGES.index(tally.question) + 1]
        return f"{tally.question}: would you release the next size, {size}, now?", None, WILSON
    if tally.demo == ballot.READERS:
        return "Who wrote it? How much was judged rightly", 0.5, OF_READERS
    if tally.demo == ballot.EVIDENCE:
        kind, metric, row, model = tally.question.split(" ", 3)
        place = f", row {row}" if row else ""
        mean = f"Mean {tally.shown['mean']:g}. " if tally.shown else ""
        hint = f"{mean}Kept with any settings: bars are shares of the kept numbers."
        return f"{metric.replace('_', ' ')} of {model.replace('|', ' against ')} ({kind}{place})", None, hint
    names = ballot.models_in_question(tally.question)
    if tally.question.startswith("pair "):
        return "How often the larger of two neighbours in size was preferred", 0.5, f"Dashed: a coin. {WILSON}"
    chance = f"Dashed: chance, 1 of {len(names)}. {WILSON}"
    return f"Which text came first? {len(names)} models, names hidden", 1 / len(names), chance


def _rows(tally: Tally, shown: Mapping[str, Any]) -> list[dict[str, object]]:
    n = shown["n"]
    if tally.demo == ballot.READERS:
        return _reader_rows(shown)
    if tally.demo == ballot.EVIDENCE:
        return _bin_rows(shown)
    counts = shown["counts"]
    if tally.question.startswith("pair "):
        smaller, larger = ballot.models_in_question(tally.question)
        return [_row(f"{larger} over {smaller}", counts.get(larger, 0), n)]
    choices = (
        DECISIONS
        if tally.demo == ballot.TIMELINE
        else {name: name for name in ballot.models_in_question(tally.question)}
    )
    return [_row(label, counts.get(choice, 0), n) for choice, label in choices.items()]


def _reader_rows(shown: Mapping[str, Any]) -> list[dict[str, object]]:
    mean, low, high = shown["mean"], shown["low"], shown["high"]
    words = f"{mean:.0%} ({low:.0%} to {high:.0%}), {shown['n']} readers, {shown['texts']} answers"
    first = {"label": "Right answers, mean of readers", "value": mean, "low": low, "high": high, "words": words}
    kinds = (("human", "People's texts called human"), ("machine", "Machine's texts called human"))
    return [first, *(_row(label, shown[f"{kind}_called_human"], shown[kind]) for kind, label in kinds if shown[kind])]


def _bin_rows(shown: Mapping[str, Any]) -> list[dict[str, object]]:
    ends = [shown["low"] + place * shown["width"] for place in range(len(shown["bins"]) + 1)]
    return [
        {"label": f"{low:.6g} to {high:.6g}", "value": count / shown["n"], "low": None, "high": None}
        | {"words": f"{count} of {shown['n']}"}
        for low, high, count in zip(ends, ends[1:], shown["bins"], strict=False)
    ]


def _row(label: str, count: int, n: int) -> dict[str, object]:
    low, high = wilson(count, n)
    words = f"{count / n:.0%} ({low:.0%} to {high:.0%}), {count} of {n}"
    return {"label": label, "value": count / n, "low": low, "high": high, "words": words}
