"""Votes and shared numbers, and their validation: choices from fixed lists, numbers of experiments, no free text."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from course_utils.errors import SettingsError, TextError
from course_utils.evidence.ledger.record import Record
from course_utils.experiments.core.registry import can_rerun
from course_utils.models.registry.release_stage import NAMES as STAGES

SIZES, READERS, TIMELINE, EVIDENCE = "sizes", "human_or_machine", "timeline", "evidence"
DEMOS = SIZES, READERS, TIMELINE, EVIDENCE
DECISIONS = "release", "wait", "never"  # as experiments.release_decisions has them
PRECISIONS = "fp32", "int8"
SCORE, SESSION, VIEWER = "score", re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), re.compile(r"[0-9a-f]{32}")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")  # as a lecturer's shelf has them; viewers cannot make any
METRIC = re.compile(r"[a-z][a-z0-9_]{0,39}")
READ = re.compile("([0-9]{1,2})/([0-9]{1,2}) ([0-9]{1,2})/([0-9]{1,2})")
MAX_MODELS, MAX_TEXTS, MAX_SETTINGS = 4, 60, 30  # texts: of either kind
LARGEST = 1e15


class InvalidVote(TextError):
    """A vote or a shared number that is not of a known kind."""


@dataclasses.dataclass(frozen=True)
class SharedNumber:
    """Shared number: what of a ledger record is counted for the class; made by `shared_number`.

    Parameters
    ----------
    kind : str
        Which experiment, such as ``sizes.compare_sizes``.
    metric : str
        What was measured.
    model : str
        The model's name, or several joined by ``|``.
    row : int or None
        The place in the experiment's table; None for the number of its finding.
    value : float
    low, high : float or None
        Its interval.
    n : int or None
        How many it rests on.
    settings : mapping
        Only numbers, yes and no, and the precision.
    """

    kind: str
    metric: str
    model: str
    row: int | None
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def question(self) -> str:
        """What it is counted under."""
        return f"{self.kind} {self.metric} {'' if self.row is None else self.row} {self.model}"

    def check(self) -> "SharedNumber":
        """Return it, if all of it is of the kind that may be counted.

        Raises
        ------
        InvalidVote
        """
        names = self.model.split("|") if self.model else []
        _require(can_rerun(self.kind), "kind", self.kind, "An experiment of the course.")
        _require(METRIC.fullmatch(self.metric), "metric", self.metric, "A name such as bits_per_character.")
        _require(len(names) <= MAX_MODELS and all(map(MODEL.fullmatch, names)), "model", self.model, "Names of models.")
        _require(self.row is None or 0 <= self.row < 1000, "row", self.row, "A row of the table.")
        _require(is_number(self.value), "value", self.value, "A number.")
        numbers = [each for each in (self.low, self.high, self.n) if each is not None]
        _require(all(map(is_number, numbers)), "interval", numbers, "Numbers.")
        _require(self.settings == plain_settings(self.settings), "settings", self.settings, "Numbers, by name.")
        return self


def shared_number(record: Record) -> SharedNumber:
    """Return the shared number of a record: its number and plain settings, but no finding, note or prompt.

    Parameters
    ----------
    record : Record

    Raises
    ------
    InvalidVote
        It is of no experiment of the course.
    """
    named = record.of.split(" against ")
    models = named if set(named) <= set(record.models) else sorted(record.models)
    model = "|".join(models[:MAX_MODELS])
    given = {**(record.settings or {}), **(record.inputs or {})}
    numbers = (record.value, record.low, record.high, record.n)
    return SharedNumber(record.experiment, record.metric, model, record.row, *numbers, plain_settings(given)).check()


def plain_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Return those of the settings that are no text.

    Examples
    --------
    >>> plain_settings({"n_pairs": 40, "prompt": "My name is", "precision": "fp32"})
    {'n_pairs': 40, 'precision': 'fp32'}
    """
    fits = {
        name: value
        for name, value in settings.items()
        if isinstance(name, str)
        and METRIC.fullmatch(name)
        and (isinstance(value, bool) or is_number(value) or (name == "precision" and value in PRECISIONS))
    }
    return dict(list(fits.items())[:MAX_SETTINGS])


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether this is a number that can be counted with."""
    # No isfinite: it cannot take a whole number that is larger than any float. A comparison can; with NaN it is False.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


# -- votes -------------------------------------------------------------------------------------------------------------


def ranking_votes(best_first: Sequence[str], n_parameters: Mapping[str, int]) -> dict[str, str]:
    """Return one reader's ranking as votes: which model came first, and of each two neighbours in size, which won.

    Examples
    --------
    >>> ranking_votes(["large", "small", "medium"], {"small": 1, "medium": 2, "large": 3})
    {'first small|medium|large': 'large', 'pair small|medium': 'small', 'pair medium|large': 'large'}
    """
    by_size = sorted(best_first, key=lambda name: (n_parameters[name], name))
    votes = {f"first {'|'.join(by_size)}": best_first[0]}
    pairs = zip(by_size, by_size[1:], strict=False) if len(by_size) > 2 else ()
    return votes | {f"pair {small}|{large}": min(small, large, key=best_first.index) for small, large in pairs}


def score_vote(of_people: tuple[int, int], of_machines: tuple[int, int]) -> dict[str, str]:
    """Return one reader's score as a vote: of people's texts and of machines', how many right, of how many.

    Examples
    --------
    >>> score_vote((5, 6), (2, 6))
    {'score': '5/6 2/6'}
    """
    return {SCORE: "{}/{} {}/{}".format(*of_people, *of_machines)}


def parse_score(choice: str) -> tuple[int, int, int, int]:
    """Return the numbers of a `score_vote`.

    Raises
    ------
    InvalidVote
    """
    found = READ.fullmatch(choice)
    right_h, n_h, right_m, n_m = map(int, found.groups()) if found else (1, 0, 0, 0)
    fits = right_h <= n_h <= MAX_TEXTS and right_m <= n_m <= MAX_TEXTS and n_h + n_m > 0
    _require(fits, "choice", choice, "Such as 5/6 2/6.")
    return right_h, n_h, right_m, n_m


def check_vote(demo: str, question: str, choice: str) -> None:
    """Require that a question belongs to a demo, and a choice to the question.

    Raises
    ------
    InvalidVote
    """
    _require(demo in (SIZES, READERS, TIMELINE), "demo", demo, f"One of {SIZES}, {READERS}, {TIMELINE}.")
    _require(isinstance(question, str) and isinstance(choice, str), "vote", (question, choice), "Two texts.")
    if demo == TIMELINE:
        _require(question in STAGES[:-1], "question", question, f"One of {', '.join(STAGES[:-1])}.")
        _require(choice in DECISIONS, "choice", choice, f"One of {', '.join(DECISIONS)}.")
    elif demo == READERS:
        _require(question == SCORE, "question", question, SCORE)
        parse_score(choice)
    else:
        names = models_in_question(question)
        _require(choice in names, "choice", choice, f"One of {', '.join(names)}.")


def models_in_question(question: str) -> list[str]:
    """Return the models among which a reader chose, the smallest first.

    Raises
    ------
    InvalidVote
        It is no question about models.
    """
    kind, _, told = question.partition(" ")
    names = told.split("|")
    fits = kind in ("first", "pair") and 2 <= len(names) <= (2 if kind == "pair" else MAX_MODELS)
    fits = fits and len(set(names)) == len(names) and all(map(MODEL.fullmatch, names))
    _require(fits, "question", question, "Such as first small|large.")
    return names


def check_session(session: str) -> str:
    """Return the name of a session, if it is one.

    Raises
    ------
    SettingsError
    """
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        expected = "Up to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit."
        raise SettingsError(f"The session is {str(session)[:80]!r}.", expected, 'session="2026-11-25"')
    return session


def _require(fits: object, what: str, value: object, expected: str) -> None:
    if not fits:
        told = f"{what} is {str(value)[:80]!r}."
        raise InvalidVote(told, expected, "Nothing was counted; keep it for yourself.")
