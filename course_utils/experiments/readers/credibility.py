"""Credibility and blind-test accuracy: what readers call human, and the index of Kreps and McCain."""

import dataclasses
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from course_utils.core.json_lines import read_lines
from course_utils.core.json_types import JsonObject
from course_utils.errors import DamagedFile, SettingsError, TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.cache import sha256_of_values
from course_utils.experiments.core.input_types import InputType
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Result, kept_rows
from course_utils.experiments.core.statistics import kappa, mean_interval, two_proportions, wilson
from course_utils.experiments.readers.blind_items import HUMAN, Item, items_from_input
from course_utils.plots.credibility import called_human, credibility_of_each

ANSWERS = HUMAN, "machine"
SCALES = "believable", "accurate", "clear"  # each 1 to 4
MEASURES = (
    Measure("right", "share", "right_low", "right_high", "n"),
    Measure("called_human", "share", "low", "high", "n"),
)
INDEX = Measure("index", "points, 1 to 10", "low", "high", "n_texts")
OPENAI = {"GPT-2 355M": 6.07, "GPT-2 774M": 6.72, "GPT-2 1.5B": 6.91}
OPENAI_SOURCE = "OpenAI, GPT-2: 1.5B Release, 5 November 2019"


def _answers(types: Mapping[str, InputType[object]]) -> InputType[list[dict[str, object]]]:
    return input_types.rows({"item": input_types.short_text, "rater": input_types.short_text, **types})


@experiment(
    "credibility.judge",
    {"items": items_from_input, "answers": _answers({"answer": input_types.one_of(*ANSWERS)})},
    redraw=lambda rows, run: called_human(rows),
)
def judge(
    items: Sequence[Item],
    answers: Iterable[JsonObject],
    progress: Callable[[float, str], object] | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Compare what readers said with who wrote: how often they were right, and what they took for human.

    Parameters
    ----------
    items : sequence of Item
    answers : iterable of dict
        As JSON has them: item (its id), rater (a letter, no name), answer ("human" or "machine"). What a rater says
        about a text a second time does not count.
    progress, cancel
        As other experiments take them; here there is nothing to wait for.

    Returns
    -------
    Result
        One row a source, human first, and one for all: source, n, n_called_human, called_human, low, high, n_right,
        right, right_low, right_high. Its details: one row an answer.

    Raises
    ------
    TextError
        There is no answer, or one is not about these items, or is neither of the two.

    Notes
    -----
    Intervals are Wilson's over answers. Answers of several readers about one text are not independent of each other,
    so with few texts the intervals are too narrow. Readers lean towards "human": look at both shares, not at one.
    """
    table = _table(items, answers, _require_answer)
    sources = sorted(set(table["source"]), key=lambda source: (source != HUMAN, source))
    groups = {source: table[table["source"] == source] for source in sources} | {"all": table}
    rows = pd.DataFrame([_counted(source, group) for source, group in groups.items()])
    answer_rows: list[JsonObject] = table.to_dict("records")
    agreed = agreements(answer_rows)
    settings = _settings(items, answer_rows) | {"agreements": json.loads(agreed.to_json(orient="records"))}
    found = Result(
        rows,
        _finding(rows, agreed),
        settings=settings,
        models=_models(items),
        seed=None,
        draw=called_human,
        details=table,
    )
    found = dataclasses.replace(found, measures=MEASURES, inputs=_inputs(items, answer_rows, ("answer",)))
    if progress:
        progress(1.0, "done")
    return dataclasses.replace(found, headline=found.metric("right", "all"))


def agreements(answers: Iterable[JsonObject]) -> pd.DataFrame:
    """Return, for every two raters, Cohen's kappa on the texts that both judged.

    Returns
    -------
    pandas.DataFrame
        rater_a, rater_b, kappa, low, high, observed (share of equal answers), n.
    """
    of_rater: dict[str, dict[str, str]] = {}
    for answer in answers:
        of_rater.setdefault(answer["rater"], {}).setdefault(answer["item"], answer["answer"])
    rows = []
    for a, b in combinations(sorted(of_rater), 2):
        shared = sorted(set(of_rater[a]) & set(of_rater[b]))
        found = kappa([of_rater[a][item] for item in shared], [of_rater[b][item] for item in shared])
        rows.append({"rater_a": a, "rater_b": b} | dataclasses.asdict(found))
    return pd.DataFrame(rows, columns=["rater_a", "rater_b", "kappa", "low", "high", "observed", "n"])


def index(believable: int, accurate: int, clear: int) -> int:
    """Return the credibility index: three ratings of 1 to 4, summed and rescaled to 1 to 10.

    The design of Kreps and McCain with OpenAI (Solaiman et al. 2019, p. 64).

    Examples
    --------
    >>> index(1, 1, 1), index(3, 2, 3), index(4, 4, 4)
    (1, 6, 10)
    """
    for name, value in zip(SCALES, (believable, accurate, clear), strict=True):
        if isinstance(value, bool) or value not in (1, 2, 3, 4):
            raise SettingsError(f"{name} is {value!r}.", "1, 2, 3 or 4.", "1 is the least, 4 the most.")
    return believable + accurate + clear - 2  # 3 to 12 become 1 to 10, one for one


@experiment(
    "credibility.rate",
    {
        "items": items_from_input,
        "answers": _answers(dict.fromkeys(SCALES, input_types.integer(1, 4))),
        "seed": input_types.seed,
    },
    redraw=lambda rows, run: credibility_of_each(rows),
)
def rate(
    items: Sequence[Item],
    answers: Iterable[JsonObject],
    seed: int = 0,
    progress: Callable[[float, str], object] | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Average the credibility index by source, and put OpenAI's three figures of 2019 beside it.

    Parameters
    ----------
    items : sequence of Item
    answers : iterable of dict
        item, rater, and believable, accurate, clear, each 1 to 4; the first that a rater says about a text counts.
    seed : int
        Of the resampling.
    progress, cancel
        As for `judge`.

    Returns
    -------
    Result
        One row a source, human first, then OpenAI's: source, measured_by, n_texts, n_answers, index, low, high (95%,
        bootstrap over texts), and the mean believable, accurate and clear. OpenAI's intervals are not known to us.

    Raises
    ------
    TextError, SettingsError
        No answer, one about another item, or a rating out of its range.
    """
    table = _table(items, answers, _require_ratings)
    table["index"] = [index(*ratings) for ratings in table[list(SCALES)].itertuples(index=False)]
    sources = sorted(set(table["source"]), key=lambda source: (source != HUMAN, source))
    rows = [_averaged(source, table[table["source"] == source], seed) for source in sources]
    rows += [{"source": name, "measured_by": OPENAI_SOURCE, "index": value} for name, value in OPENAI.items()]
    rows = pd.DataFrame(rows)
    here = rows[rows["measured_by"] == "here"]
    sources_shown = zip(here["source"], _with_ends(here), here["n_texts"], strict=True)
    means = "; ".join(f"{source} {mean} ({n_texts:.0f} texts)" for source, mean, n_texts in sources_shown)
    finding = (
        f"Mean credibility from 1 to 10, 95% interval over texts: {means}; OpenAI reported 6.07, 6.72 and 6.91 for "
        "355M, 774M and 1.5B, of other readers and other texts."
    )
    answer_rows: list[JsonObject] = table.to_dict("records")
    settings = _settings(items, answer_rows)
    found = Result(
        rows,
        finding,
        settings=settings,
        models=_models(items),
        seed=seed,
        draw=credibility_of_each,
        details=table,
    )
    inputs = _inputs(items, answer_rows, SCALES) | {"seed": seed}
    if progress:
        progress(1.0, "done")
    found = dataclasses.replace(found, measures=(INDEX,), inputs=inputs)
    # The first machine's, or the people's where no machine wrote.
    return dataclasses.replace(found, headline=found.metric("index", min(1, len(sources) - 1)))


def read_answers(path: str | Path) -> list[JsonObject]:
    """Return the answers in a JSON Lines file, as `preferences.append` writes them; none where there is no file yet.

    Raises
    ------
    DamagedFile
        If a line is no answer; it names the line.
    """
    path = Path(path)
    return [_parsed(path, number, line) for number, line in read_lines(path)]


def _table(items: Sequence[Item], answers: Iterable[JsonObject], require: Callable[[JsonObject], None]) -> pd.DataFrame:
    """Return one row an answer, with its item's source; a rater's first answer about an item counts."""
    known = {item.id: item for item in items}
    first: dict[tuple[str, str], JsonObject] = {}
    for answer in answers:
        if not isinstance(answer, dict) or answer.get("item") not in known or "rater" not in answer:
            raise TextError(f"No item fits the answer {answer!r}.", "An item's id and a rater.", "Use the same items.")
        require(answer)
        first.setdefault((answer["rater"], answer["item"]), answer)
    if not first:
        raise TextError("answers is empty.", "At least one answer.", "Answer the test first.")
    return pd.DataFrame([{**answer, "source": known[answer["item"]].source} for answer in first.values()])


def _require_answer(answer: JsonObject) -> None:
    if answer.get("answer") not in ANSWERS:
        raise TextError(f"An answer is {answer.get('answer')!r}.", '"human" or "machine".', "Leave others out.")


def _require_ratings(answer: JsonObject) -> None:
    ratings: list[Any] = [answer.get(scale) for scale in SCALES]
    index(*ratings)


def _counted(source: str, group: pd.DataFrame) -> dict[str, object]:
    right = wilson(int(((group["source"] == HUMAN) == (group["answer"] == HUMAN)).sum()), len(group))
    called = wilson(int((group["answer"] == HUMAN).sum()), len(group))
    row = {"source": source, "n": called.n, "n_called_human": called.n_yes, "called_human": called.share}
    row |= {"low": called.low, "high": called.high, "n_right": right.n_yes, "right": right.share}
    return row | {"right_low": right.low, "right_high": right.high}


def _finding(rows: pd.DataFrame, agreed: pd.DataFrame) -> str:
    by = rows.set_index("source")
    everything = wilson(int(by.loc["all", "n_right"]), int(by.loc["all", "n"]))
    words = f"Readers were right in {everything}"
    machines = by.drop(index=[name for name in (HUMAN, "all") if name in by.index])
    if HUMAN in by.index and len(machines):
        human_row, machine_counts = by.loc[HUMAN], machines[["n_called_human", "n"]].sum()
        counts = human_row["n_called_human"], human_row["n"], machine_counts["n_called_human"], machine_counts["n"]
        apart = two_proportions(*map(int, counts))
        words += f"; they called human texts human more often than machine texts by {apart}"
    if len(agreed) == 1:
        found = agreed.iloc[0]
        ends = (
            "unknown"
            if np.isnan(found["kappa"])
            else f"{found['kappa']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
        )
        words += f"; kappa of the two raters is {ends}, n = {found['n']}"
    return words + "."


def _averaged(source: str, group: pd.DataFrame, seed: int) -> dict[str, object]:
    by_text = group.groupby("item")["index"].mean()
    mean = mean_interval(by_text.to_numpy(), seed)
    row = {"source": source, "measured_by": "here", "n_texts": mean.n, "n_answers": len(group), "index": mean.mean}
    row |= {"low": mean.low, "high": mean.high}
    return row | {scale: group.groupby("item")[scale].mean().mean() for scale in SCALES}


def _with_ends(rows: pd.DataFrame) -> list[str]:
    intervals = zip(rows["index"], rows["low"], rows["high"], strict=True)
    return [f"{mean:.2f}" + ("" if np.isnan(low) else f" ({low:.2f} to {high:.2f})") for mean, low, high in intervals]


def _settings(items: Sequence[Item], answers: list[JsonObject]) -> dict[str, object]:
    counts = {
        "n_items": len(items),
        "n_answers": len(answers),
        "n_raters": len({answer["rater"] for answer in answers}),
    }
    return counts | {"items_sha256": sha256_of_values([dataclasses.astuple(item) for item in items])}


def _inputs(items: Sequence[Item], answers: list[JsonObject], answered: Sequence[str]) -> dict[str, object]:
    """Return what a Result needs to be done again: the items and all that was said, if that is short enough."""
    answers = [{name: answer[name] for name in ("item", "rater", *answered)} for answer in answers]
    return {"items": kept_rows([dataclasses.asdict(item) for item in items]), "answers": kept_rows(answers)}


def _models(items: Sequence[Item]) -> dict[str, str]:
    return {item.source: item.weights_sha256 for item in items if item.source != HUMAN}


def _parsed(path: Path, number: int, line: bytes) -> JsonObject:
    try:
        answer = json.loads(line)
        if isinstance(answer, dict) and {"item", "rater"} <= set(answer):
            return answer
    except (ValueError, RecursionError):
        pass
    raise DamagedFile(
        f"{path}, line {number}, is no answer: {line[:60].decode('utf-8', 'replace')!r}.",
        "A JSON object with item, rater and an answer or ratings.",
        "Delete that line, or name another file.",
    )
