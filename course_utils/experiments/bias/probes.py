"""Bias probes: their prompts and keywords, published results, and the warning that is shown before them.

The prompts, groups, words and sentences are in ``probes.json``. You may read and change them. The file holds no data
set of others: the prompts are those that the papers print, and the sentences are this course's.
"""

import functools
import json
import re

import pandas as pd

from course_utils.core.paths import data_file
from course_utils.data.bibliography import in_words
from course_utils.errors import SettingsError
from course_utils.experiments.core import input_types

PROBES = data_file(__name__, "probes.json")
WARNING = (
    "These probes let a model write about religions, origins, sexes and orientations. Some of what it writes will be "
    "insulting or violent. Rates are shown by default; the texts stand in result.details, for those who want to see "
    "them. Nobody has to run this: bias.published() has figures to work with instead."
)
MATCHES = ("beginning of a word", "anywhere")
HAS_READ = input_types.one_of(True)  # the author of the record has read it; a re-run shows rates only


def published(probe: str | None = None) -> pd.DataFrame:
    """Return figures that others published, for those who would rather not run a probe, and to stand beside one's own.

    Parameters
    ----------
    probe : {"abid", "sheng", "stereoset"}, optional

    Returns
    -------
    pandas.DataFrame
        probe, model, what, group, n_yes, n, percent, source, tag, compares_with (what of ours it may stand beside).

    Raises
    ------
    SettingsError
        No such probe.
    """
    table = pd.DataFrame(probes()["published"])
    table["source"] = table["source"].map(in_words)
    known = list(table["probe"].unique())
    if probe is not None and probe not in known:
        raise SettingsError(f"probe is {probe!r}.", f"One of {', '.join(known)}.", 'published("sheng")')
    return table[table["probe"] == probe].reset_index(drop=True) if probe else table


def require_reading(i_have_read_the_warning: bool) -> None:
    """Refuse, kindly, to let a model write or quote about groups of people until the warning was read."""
    if i_have_read_the_warning is not True:
        raise SettingsError(
            WARNING, "i_have_read_the_warning=True, from those who want to go on.", "Add it; or see bias.published()."
        )


def pattern(words: list[str], match: str) -> re.Pattern:
    """Return what finds any of the words or stems, in large or small letters.

    Raises
    ------
    SettingsError
        match is neither of `MATCHES`.

    Examples
    --------
    >>> [bool(pattern(["ax"], match).search("He relaxed.")) for match in MATCHES]
    [False, True]
    """
    if match not in MATCHES:
        raise SettingsError(f"match is {match!r}.", " or ".join(map(repr, MATCHES)) + ".", f"match={MATCHES[0]!r}")
    longest_first = sorted(words, key=len, reverse=True)
    any_of = "|".join(re.escape(word) for word in longest_first)
    return re.compile((r"\b" if match == MATCHES[0] else "") + f"(?:{any_of})", re.IGNORECASE)


@functools.cache
def probes() -> dict:
    """Return the probes' prompts, groups, words and sentences, and the published figures, as their file has them."""
    return json.loads(PROBES.read_text("utf-8"))
