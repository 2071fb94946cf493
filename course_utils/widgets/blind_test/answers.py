"""The answers of a blind test: those that a record holds, and what is told about them when all are given."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.classroom.votes import score_vote
from course_utils.errors import DamagedFile, TextError
from course_utils.experiments.core.result import Result
from course_utils.experiments.core.statistics import Agreement, wilson
from course_utils.experiments.readers import credibility
from course_utils.experiments.readers.blind_items import HUMAN, Item
from course_utils.widgets.base.result_panel import row, share_row

HOW_RATED = (
    "Index: three ratings of 1 to 4, summed and rescaled to 1 to 10 (Solaiman et al. 2019, p. 64). OpenAI asked other "
    "readers about other texts."
)

LONGEST_RATER = 20  # characters: a letter is enough, a name is not wanted
Told = tuple[Result, list[int], dict[str, Any]]  # as `ResultPanel._add` takes them


def letter(rater: str) -> str:
    """Return who answers, as a record has it.

    Raises
    ------
    TextError
        It is empty, or longer than a letter need be.
    """
    if not isinstance(rater, str) or not 1 <= len(rater.strip()) <= LONGEST_RATER:
        expected = f"A letter, no name; {LONGEST_RATER} characters at most."
        raise TextError(f"rater is {str(rater)[:40]!r}.", expected, 'rater="A"')
    return rater.strip()


def read(path: Path) -> list[dict]:
    """Return the answers that a record holds.

    Raises
    ------
    DamagedFile
        One of them is none, or its ratings are none.
    TextError
        That is a folder.
    """
    if path.is_dir():
        raise TextError(f"{path} is a folder.", "A file for the answers.", f'Use "{path / "answers.jsonl"}".')
    lines = credibility.read_answers(path)
    for number, line in enumerate(lines, start=1):
        ratings = [line[scale] for scale in credibility.SCALES if scale in line]
        if line.get("answer") not in credibility.ANSWERS or not all(each in (1, 2, 3, 4) for each in ratings):
            raise DamagedFile(
                f"{path}, answer {number}, is neither human nor machine, or its ratings are none.",
                "A record that this panel wrote.",
                "Delete that line, or name another file.",
            )
    return lines


def judged(items: Sequence[Item], lines: list[dict], rater: str) -> Told:
    """Return the result of all answers, and what is shown of it and of this rater's own answers."""
    found = credibility.judge(items, lines)
    shown = {"groups": _groups(found), "agreed": _agreed(found), "texts": _texts(items, lines, rater)}
    return found, list(range(len(found.rows) - 1)), shown  # the last row, of all, is the headline


def score(items: Sequence[Item], lines: list[dict], rater: str) -> dict[str, str]:
    """Return how this rater judged, as a vote for the class's picture."""
    said = {line["item"]: line["answer"] == HUMAN for line in lines if line["rater"] == rater}
    judged = [(item.source == HUMAN, said[item.id]) for item in items if item.id in said]
    of_people = [called_human for is_human, called_human in judged if is_human]
    of_machines = [not called_human for is_human, called_human in judged if not is_human]
    return score_vote((sum(of_people), len(of_people)), (sum(of_machines), len(of_machines)))


def rated(items: Sequence[Item], lines: list[dict]) -> Told | None:
    """Return the result of all ratings, of which OpenAI's three are not to be kept; None where there is no rating."""
    lines = [line for line in lines if all(scale in line for scale in credibility.SCALES)]
    if not lines:
        return None
    found = credibility.rate(items, lines)
    here = [place for place, by in enumerate(found.rows["measured_by"]) if by == "here"]
    title = "Credibility index, mean over texts, from 1 (least) to 10"
    hint = f"Hollow: {credibility.OPENAI_SOURCE}, a survey by Sarah Kreps and Miles McCain. {HOW_RATED}"
    rows = [_index_row(each) for each in found.rows.to_dict("records")]
    group = {"title": title, "low": 1, "high": 10, "mark": None, "rows": rows, "hint": hint}
    first = found.headline.row if found.headline else None
    return found, [place for place in here if place != first], {"groups": [group]}


def _groups(found: Result) -> list[dict[str, Any]]:
    rows, answers = found.rows.to_dict("records"), found.details
    is_right = (answers["source"] == HUMAN) == (answers["answer"] == HUMAN)
    each = [(f"rater {name}", is_right[part.index]) for name, part in answers.groupby("rater")]
    parts = [("all answers", is_right), *(each if len(each) > 1 else [])]
    right = [share_row(name, wilson(int(part.sum()), len(part))) for name, part in parts]
    called = [share_row(each["source"], wilson(each["n_called_human"], each["n"])) for each in rows[:-1]]
    scale = {"low": 0, "high": 1, "mark": 0.5}
    chance = "Dashed: guessing by coin. Bars: Wilson's 95% interval over answers."
    lean = "Who calls most texts human is right about all of people's: look at both shares."
    return [
        {"title": "Right answers", **scale, "rows": right, "hint": chance},
        {"title": "Called human, by true source", **scale, "rows": called, "hint": lean},
    ]


def _agreed(found: Result) -> list[str]:
    """Return one sentence for every two raters."""
    return [
        f"Raters {each['rater_a']} and {each['rater_b']} gave the same answer to {_percent(each['observed'])} of the "
        f"{each['n']} texts that both judged; beyond chance, Cohen's {_kappa(each)}."
        for each in found.settings["agreements"]
    ]


def _kappa(agreed: dict[str, Any]) -> Agreement:
    unknown = {name: math.nan for name in ("kappa", "low", "high") if agreed[name] is None}
    return Agreement(**{name: agreed[name] for name in ("kappa", "low", "high", "observed", "n")} | unknown)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"


def _texts(items: Sequence[Item], lines: list[dict], rater: str) -> list[dict[str, Any]]:
    mine = {line["item"]: line for line in lines if line["rater"] == rater}
    said = [(item, mine[item.id]) for item in items if item.id in mine]
    return [
        item.shown()
        | {"source": item.source, "answer": line["answer"], "confidence": line.get("confidence")}
        | {"is_right": (item.source == HUMAN) == (line["answer"] == HUMAN)}
        for item, line in said
    ]


def _index_row(each: dict[str, Any]) -> dict[str, Any]:
    ends = "" if math.isnan(each["low"]) else f" ({each['low']:.2f} to {each['high']:.2f})"
    counted = f", {each['n_texts']:.0f} texts" if each["measured_by"] == "here" else ", OpenAI 2019"
    hollow = (each["low"], each["high"]) if each["measured_by"] == "here" else (None, None)
    return row(each["source"], each["index"], *hollow, f"{each['index']:.2f}{ends}{counted}") | {
        "is_hollow": each["measured_by"] != "here"
    }
