"""Registry of experiments: what a record may run again under each name, and how its table is drawn.

A ledger keeps the name of an experiment, never that of a module. The names and the modules meet in the tables below and
nowhere else: when a module moves, its path changes here, and every record stays as it is. A name that is not listed
here imports nothing, whatever a file may say.

An experiment registers itself where it is defined: with the decorator `experiment`.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec

from course_utils.experiments.core.input_types import InputType, RecordedRun, Refused, require_few_tokens

if TYPE_CHECKING:
    # For the type checker only: a list of the names needs neither pandas nor Matplotlib.
    import pandas as pd

    from course_utils.experiments.core.result import Result
    from course_utils.plots.picture import Picture

Arguments = ParamSpec("Arguments")
Redraw = Callable[["pd.DataFrame", RecordedRun], "Picture"]
CountTokens = Callable[[Mapping[str, Any]], int]

RERUNNABLE: dict[str, str] = {
    "sizes.compare_sizes": "course_utils.experiments.sizes.compare",
    "token_ranks.read_ranks": "course_utils.experiments.detection.token_ranks",
    "sampling_effects.measure_settings": "course_utils.experiments.sampling.effects",
    "best_of.best_of": "course_utils.experiments.sampling.best_of",
    "bias.abid": "course_utils.experiments.bias.completions",
    "bias.analogies": "course_utils.experiments.bias.completions",
    "bias.sheng": "course_utils.experiments.bias.completions",
    "bias_sentences.next_words": "course_utils.experiments.bias.sentences",
    "bias_sentences.stereoset_style": "course_utils.experiments.bias.sentences",
    "detection.compare_detectors": "course_utils.experiments.detection.compare",
    "detection.by_condition": "course_utils.experiments.detection.compare",
    "detection.transfer": "course_utils.experiments.detection.compare",
    "detection_trial.run_trial": "course_utils.experiments.detection.trial",
    "hard_to_detect.nucleus_sweep": "course_utils.experiments.detection.evasion",
    "hard_to_detect.evade": "course_utils.experiments.detection.evasion",
    "hard_to_detect.conditioning": "course_utils.experiments.detection.evasion",
    "base_rates.base_rates": "course_utils.experiments.detection.base_rates",
    "credibility.judge": "course_utils.experiments.readers.credibility",
    "credibility.rate": "course_utils.experiments.readers.credibility",
}
"""The module that defines each experiment that a record may run again, by the experiment's name in a ledger."""

DRAWN_ONLY: dict[str, str] = {
    "replication.imitate": "course_utils.experiments.replication.distill",  # it trains two models
}
"""The same for experiments whose records can be drawn from their table, but not run again."""

ALIASES: dict[str, str] = {}
"""The name of today for each name that an older version of the course wrote into ledgers."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A registered experiment.

    Parameters
    ----------
    name : str
        In every ledger, for ever: a new name needs an entry in `ALIASES`.
    function : callable
        Takes the accepted inputs, progress and cancel as keyword arguments; returns a Result.
    inputs : mapping of str to InputType, optional
        The type of each keyword argument, except progress and cancel. None where a record cannot be run again.
    count_tokens : callable, optional
        Takes the accepted inputs; returns how many tokens models would write at most.
    redraw : callable, optional
        Takes a record's table and the record; returns the Picture. None where the picture needs more than the table.
    """

    name: str
    function: "Callable[..., Result]"
    inputs: Mapping[str, InputType[object]] | None
    count_tokens: CountTokens | None
    redraw: Redraw | None

    def accept_inputs(self, run: RecordedRun) -> dict[str, object]:
        """Return the keyword arguments of a record, each checked and made by its input type.

        Parameters
        ----------
        run : RecordedRun
            A record of any ledger: what it says is not trusted.

        Raises
        ------
        Refused
            An input is missing, unknown, of another type or out of its range; or too much would be written.
        CourseError
            A model is not on this machine, or cannot be loaded.
        """
        if self.inputs is None:
            raise Refused(f"{self.name} is no experiment that can be done again")
        given = run.inputs or {}
        if set(given) != set(self.inputs):
            odd = ", ".join(sorted(set(given) ^ set(self.inputs)))
            raise Refused(f"its inputs are not those of {self.name}: {odd[:100]}")
        accepted: dict[str, object] = {}
        for name, accept in self.inputs.items():
            try:
                accepted[name] = accept(given[name], run)
            except Refused as why:
                raise Refused(f"its input {name} cannot be taken: {why}") from None
        if self.count_tokens:
            require_few_tokens(self.count_tokens(accepted))
        return accepted


_registered: dict[str, Experiment] = {}


def experiment(
    name: str,
    inputs: Mapping[str, InputType[object]] | None = None,
    *,
    count_tokens: CountTokens | None = None,
    redraw: Redraw | None = None,
) -> "Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]":
    """Register an experiment: return a decorator, which also writes the name into each Result.

    Parameters
    ----------
    name, inputs, count_tokens, redraw
        As for `Experiment`. The name must stand in `RERUNNABLE`, or in `DRAWN_ONLY` where inputs are left out.

    Raises
    ------
    ValueError
        The tables name no such experiment, or another module.
    """

    def register(function: "Callable[Arguments, Result]") -> "Callable[Arguments, Result]":
        listed = (DRAWN_ONLY if inputs is None else RERUNNABLE).get(name)
        if listed != function.__module__:
            raise ValueError(f"{name!r} is defined in {function.__module__}, and the registry lists {listed}")

        @functools.wraps(function)
        def run(*args: Arguments.args, **keywords: Arguments.kwargs) -> "Result":
            return dataclasses.replace(function(*args, **keywords), experiment=name)

        _registered[name] = Experiment(name, run, inputs, count_tokens, redraw)
        return run

    return register


def can_rerun(name: str) -> bool:
    """Return whether records of that name can be run again; nothing is imported for it."""
    return ALIASES.get(name, name) in RERUNNABLE


def find(name: str) -> Experiment | None:
    """Return the experiment of that name, today's or an older one; None where there is none.

    The module that defines it is imported. A name that is not listed imports nothing.
    """
    name = ALIASES.get(name, name)
    module = RERUNNABLE.get(name) or DRAWN_ONLY.get(name)
    if module is None:
        return None
    importlib.import_module(module)
    return _registered[name]
