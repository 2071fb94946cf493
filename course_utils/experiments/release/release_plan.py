"""Staged release plan: rules that are fixed before the measurement decide which sizes are released."""

import dataclasses
import datetime
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from course_utils.core.files import append_to_file, expanded, read_errors
from course_utils.errors import DamagedFile, SettingsError

DIRECTIONS: dict[str, Callable[[float, float], bool]] = {
    "at least": lambda value, threshold: value >= threshold,
    "at most": lambda value, threshold: value <= threshold,
}
OF = {"the size itself": "", "the step to it": "the step in "}

# What OpenAI published about its four sizes; NaN where it published nothing. `SOURCES` says where each column stands.
OPENAI = pd.DataFrame(
    {
        "model": ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"],
        "released": ["14 February 2019", "3 May 2019", "20 August 2019", "5 November 2019"],
        "days_after_announcement": [0, 78, 187, 264],
        "credibility": [math.nan, 6.07, 6.72, 6.91],
        "detected_by_smallest": [99.3, 96.6, 90.9, 79.3],
        "detected_by_own_size": [99.3, 98.5, 97.9, 96.0],
        "detected_by_word_counts": [88.29, 88.94, 77.16, 74.31],
    }
)
_R15 = "OpenAI, GPT-2: 1.5B Release, 5 November 2019"
SOURCES = {
    "released": "commits of github.com/openai/gpt-2; OpenAI, GPT-2: 6-Month Follow-Up, 20 August 2019",
    "days_after_announcement": "counted from the dates",
    "credibility": f"out of 10, from a survey of readers; {_R15}",
    "detected_by_smallest": f"% right, RoBERTa trained on the smallest size's nucleus samples; {_R15}",
    "detected_by_own_size": f"% right, RoBERTa trained on the same size's nucleus samples; {_R15}",
    "detected_by_word_counts": "% right, tf-idf and logistic regression, temperature 1; "
    "detection.md of github.com/openai/gpt-2-output-dataset",
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition on the next size, said before it is measured.

    Parameters
    ----------
    measure : str
        A column of the measured table.
    direction : {"at least", "at most"}
    threshold : float
        In the measure's own unit.
    of : {"the size itself", "the step to it"}
        Whether the next size's value is compared, or how much it differs from the size released before.

    Raises
    ------
    SettingsError

    Examples
    --------
    >>> print(Rule("detected", "at least", 95))
    release the next size if detected is at least 95
    >>> print(Rule("credibility", "at most", 0.5, of="the step to it"))
    release the next size if the step in credibility is at most 0.5
    """

    measure: str
    direction: str
    threshold: float
    of: str = "the size itself"

    def __post_init__(self) -> None:
        """Refuse what could not be decided."""
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if not number or not math.isfinite(self.threshold):
            raise SettingsError(
                f"threshold is {self.threshold!r}.", "A number.", "Set threshold to the limit of your rule."
            )
        for name, known in (("direction", DIRECTIONS), ("of", OF)):
            if getattr(self, name) not in known:
                raise SettingsError(f"{name} is {getattr(self, name)!r}.", f"One of {', '.join(known)}.", "Choose one.")

    @property
    def condition(self) -> str:
        """What must hold, in words."""
        return f"{OF[self.of]}{self.measure} is {self.direction} {self.threshold:g}"

    def __str__(self) -> str:
        """Return the rule as a sentence."""
        return f"release the next size if {self.condition}"

    __repr__ = __str__

    def holds(self, value: float) -> bool:
        """Tell whether a value lies on the right side; one that was not measured does not."""
        return DIRECTIONS[self.direction](value, self.threshold)


class Plan:
    """The rules of one release, in the order in which they were fixed, and every look at numbers between them.

    Each entry carries the hash of the entry before, so that the last seal, read out to the class or noted on paper,
    vouches for all of them. A rule can be changed after looking; it cannot be changed without a trace.

    Parameters
    ----------
    path : str or Path, optional
        A JSON Lines file to keep the plan in; one that is there is gone on with.

    Raises
    ------
    DamagedFile
        If an entry of the file is not what it was when it was sealed.

    Examples
    --------
    >>> plan = Plan()
    >>> seal = plan.fix(Rule("detected_by_smallest", "at least", 95))
    >>> plan.decide(OPENAI)["decision"].tolist()
    ['released', 'released', 'held back', 'held back']
    >>> plan.fix(Rule("detected_by_smallest", "at least", 75)) == seal
    False
    >>> plan.history()["fixed"].tolist()
    ['before looking', 'after looking']
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = expanded(path) if path is not None else None
        self._entries: list[dict] = []
        if self._path and os.path.exists(self._path):
            with read_errors(self._path):
                lines = self._path.read_text(encoding="utf-8").splitlines()
            self._entries = [_parsed(line) for line in lines]
            self._check()

    def __repr__(self) -> str:
        """Return how many entries it has, and where it is kept."""
        return f"Plan of {len(self._entries)} entries, kept in {self._path or 'memory'}"

    def fix(self, *rules: Rule, reason: str = "") -> str:
        """Fix rules, all of which must hold, and return the seal: the first letters of their hash.

        Parameters
        ----------
        rules : Rule
        reason : str
            Why here; a threshold without a reason is hard to defend.
        """
        if not rules:
            raise SettingsError("No rule is given.", "One rule or several.", 'plan.fix(Rule("measure", "at most", 1))')
        return self._add({"rules": [dataclasses.asdict(rule) for rule in rules], "reason": reason})

    def decide(self, measured: pd.DataFrame) -> pd.DataFrame:
        """Apply the rules fixed last; from now on, a rule that is fixed counts as fixed after looking.

        Parameters
        ----------
        measured : pandas.DataFrame
            As for :func:`decide`.

        Raises
        ------
        SettingsError
            If no rule is fixed, or a rule's measure is no column.
        """
        fixed = [entry["rules"] for entry in self._entries if "rules" in entry]
        if not fixed:
            raise SettingsError(
                "The plan has no rule yet.", "A rule that is fixed before the measurement.", "plan.fix(Rule(…))"
            )
        verdict = decide([Rule(**rule) for rule in fixed[-1]], measured)
        self._add({"measured_sha256": hashlib.sha256(measured.to_csv().encode()).hexdigest()})
        return verdict

    def history(self) -> pd.DataFrame:
        """Return one row for each time that rules were fixed: fixed, rule, reason, time, seal.

        Raises
        ------
        DamagedFile
            If an entry is not what it was when it was sealed.
        """
        self._check()
        rows, fixed = [], "before looking"
        for entry in self._entries:
            if "rules" not in entry:
                fixed = "after looking"
                continue
            rule = " and ".join(Rule(**rule).condition for rule in entry["rules"])
            about = {"reason": entry["reason"], "time": entry["time"], "seal": entry["seal"][:12]}
            rows.append({"fixed": fixed, "rule": rule} | about)
        return pd.DataFrame(rows, columns=["fixed", "rule", "reason", "time", "seal"])

    def _add(self, content: dict) -> str:
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        entry = content | {"time": time, "before": self._entries[-1]["seal"] if self._entries else ""}
        entry |= {"seal": _hash(entry)}
        if self._path:
            line = json.dumps(entry, ensure_ascii=False) + "\n"
            append_to_file(self._path, line, "Make room, or name a file in another folder.")
        self._entries.append(entry)  # last: what could not be written can be fixed again
        return entry["seal"][:12]

    def _check(self) -> None:
        before = ""
        for number, entry in enumerate(self._entries, start=1):
            kept = {name: value for name, value in entry.items() if name != "seal"}
            if entry.get("before") != before or entry.get("seal") != _hash(kept):
                raise DamagedFile(
                    f"Entry {number} of the plan {self._path or ''} is not the one that was sealed.",
                    "Every entry as it was written.",
                    "Find out who changed it; Plan() begins a new one.",
                )
            before = entry["seal"]


def decide(rules: Rule | Iterable[Rule], measured: pd.DataFrame) -> pd.DataFrame:
    """Let out the first size, as in February 2019, and each next one while the rules hold for it.

    Parameters
    ----------
    rules : Rule or iterable of Rule
        All must hold.
    measured : pandas.DataFrame
        One row a size, smallest first: model, and a column for each measure. Columns named ``<measure>_low`` and
        ``<measure>_high`` are taken for its interval.

    Returns
    -------
    pandas.DataFrame
        One row a size and rule: stage, model, measure, value, threshold, holds, is_clear, decision. ``is_clear`` says
        whether the whole interval lies on the value's side of the threshold; missing where there is no interval. After
        the first size that is held back, all are.

    Raises
    ------
    SettingsError
        If a rule's measure is no column.
    """
    rules = [rules] if isinstance(rules, Rule) else list(rules)
    for rule in rules:
        if rule.measure not in measured.columns:
            columns = ", ".join(column for column in measured.columns if column != "model")
            raise SettingsError(
                f"{rule.measure!r} was not measured.", f"One of {columns}.", "Fix a rule on one of them."
            )
    rows, is_open = [], True
    for stage in range(len(measured)):
        judged = [_judge(rule, measured, stage) for rule in rules]
        is_open = is_open and (stage == 0 or all(row["holds"] for row in judged))
        rows += [row | {"decision": "released" if is_open else "held back"} for row in judged]
    return pd.DataFrame(rows)


def _judge(rule: Rule, measured: pd.DataFrame, stage: int) -> dict:
    """Return what one rule says of one size; of the first it says nothing."""
    row, is_step = measured.iloc[stage], rule.of == "the step to it"
    value = float(row[rule.measure])
    if is_step:
        value = value - float(measured.iloc[stage - 1][rule.measure]) if stage else math.nan
    judgement = {"stage": stage + 1, "model": row["model"], "measure": f"{OF[rule.of]}{rule.measure}", "value": value}
    holds = rule.holds(value)
    ends = [] if is_step else [float(row.get(f"{rule.measure}_{end}", math.nan)) for end in ("low", "high")]
    is_clear = all(rule.holds(end) == holds for end in ends) if ends and not any(map(math.isnan, ends)) else None
    limits = {"threshold": f"{rule.direction} {rule.threshold:g}"}
    return judgement | limits | {"holds": holds if stage else None, "is_clear": is_clear if stage else None}


def _parsed(line: str) -> dict:
    """Return an entry; an empty one, which fits no seal, where there is none."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _hash(entry: dict) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
