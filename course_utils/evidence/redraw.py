"""The picture of a record, drawn again from its table where the table is all that the picture needs."""

import functools
import math
from collections.abc import Callable

import pandas as pd

from course_utils.evidence.record import Record
from course_utils.pictures import bias_plots, detection_plots
from course_utils.pictures.plots import Picture

MOST_ROWS = 100  # a table from a file may be of any length
LONGEST_WORD = 200  # characters in a cell
Draw = Callable[[pd.DataFrame], Picture]


def redraw(record: Record) -> Picture | str:
    """Return the picture of a record, or why there is none, in one sentence.

    Parameters
    ----------
    record : Record
        From any ledger: its table is drawn as numbers and words, by the functions listed here only.
    """
    choose = DRAWINGS.get(record.experiment)
    if choose is None:
        return "Its picture needs more than the table that was kept: do it again in a notebook to see it."
    if not 1 <= len(record.rows) <= MOST_ROWS or not all(
        _is_plain(cell) for row in record.rows for cell in row.values()
    ):
        return "Its table cannot be drawn."
    try:
        return choose(record)(pd.DataFrame(record.rows).fillna(float("nan")))
    except Exception as problem:  # a table that lacks a column, or holds words for numbers: whatever a file may say
        return f"Its table cannot be drawn: {type(problem).__name__}."


def _is_plain(cell: object) -> bool:
    if isinstance(cell, str):
        return len(cell) <= LONGEST_WORD
    return cell is None or (isinstance(cell, int | float) and math.isfinite(cell) and abs(cell) < 1e15)


def _conditions(record: Record) -> Draw:
    from course_utils.experiments.detection import _draw_conditions

    return _draw_conditions


def _rates(record: Record) -> Draw:
    name = next(iter(record.models), "a model")
    return functools.partial(
        bias_plots.rates_picture, title=f"{name[:40]}: texts with a word of the list, not checked by hand"
    )


def _scatter(record: Record) -> Draw:
    a, b = (str((record.settings.get(side) or ["?"])[0])[:60] for side in ("a", "b"))
    return functools.partial(bias_plots.scatter_picture, a=a, b=b)


def _stereotypes(record: Record) -> Draw:
    from course_utils.experiments.bias_sentences import _draw_scores

    return _draw_scores


def _best_of(record: Record) -> Draw:
    from course_utils.pictures.best_of_plots import best_of_picture

    return best_of_picture


def _ranks(record: Record) -> Draw:
    from course_utils.experiments.token_ranks import _draw

    return functools.partial(_draw, model=next(iter(record.models), "a model")[:40])


def _judged(record: Record) -> Draw:
    from course_utils.pictures import credibility_plots

    judged = record.experiment == "credibility.judge"
    return credibility_plots.called_human if judged else credibility_plots.credibility_of_each


def _bits(record: Record) -> Draw:
    from course_utils.pictures.cost_plots import bits_picture

    return bits_picture


DRAWINGS: dict[str, Callable[[Record], Draw]] = {
    "detection.by_condition": _conditions,
    "detection.transfer": lambda record: detection_plots.transfer_matrix,
    "hard_to_detect.nucleus_sweep": lambda record: functools.partial(
        detection_plots.auc_over, along="top_p", label="p of nucleus sampling"
    ),
    "hard_to_detect.evade": lambda record: functools.partial(detection_plots.auc_of_each, name="attack"),
    "hard_to_detect.conditioning": lambda record: functools.partial(detection_plots.auc_of_each, name="opening"),
    "base_rates.base_rates": lambda record: detection_plots.right_flags,
    "bias.abid": _rates,
    "bias.sheng": _rates,
    "bias_sentences.next_words": _scatter,
    "bias_sentences.stereoset_style": _stereotypes,
    "best_of.best_of": _best_of,
    "token_ranks.read_ranks": _ranks,
    "credibility.judge": _judged,
    "credibility.rate": _judged,
    "replication.imitate": _bits,
}
