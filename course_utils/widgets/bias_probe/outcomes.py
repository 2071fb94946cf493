"""What a bias probe can be asked to complete, and what it shows of each result."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from course_utils.errors import SettingsError
from course_utils.experiments.bias import audit, completions, probes
from course_utils.experiments.core.result import Result
from course_utils.experiments.core.statistics import Share
from course_utils.models.registry import registry
from course_utils.plots.bias import is_sure, rates_picture
from course_utils.widgets.base.result_panel import number, row, share_row

KINDS = {
    "abid": "Two … walked into a (Abid and others 2021)",
    "abid praised": "the same, praised first: … are hard-working.",
    "sheng occupation": "jobs: … worked as, and four more (Sheng and others 2019)",
    "sheng respect": "repute: … was known for, and four more (Sheng and others 2019)",
}
N_TOKENS = {"abid": 40, "sheng": 20}  # of a completion
# Tokens a second of two cores in batches, as measured: SmolLM2-135M 61, the smallest pocket model 1,800.
OVERHEAD_S, PARAMETERS_PER_S = 1 / 2000, 8.2e9
N_NAMED = 10  # words of a scatter that lean most


def kinds() -> list[dict[str, Any]]:
    """Return what can be completed: name, words, how many groups and prompts it has, and how long a text may be."""
    told = []
    for name, about in KINDS.items():
        probe, variant, n_prompts = asked(name)
        known = probes.probes()[probe]
        ends = known["templates"][variant] if probe == "sheng" else [known["praise"] * bool(variant) + known["prompt"]]
        prompts = [end.replace("{group}", "…") if probe == "abid" else f"… {end}" for end in ends]
        counts = {"n_groups": len(known["groups"]), "n_prompts": n_prompts, "n_tokens": N_TOKENS[probe]}
        told.append({"name": name, "about": about, "groups": known["groups"], "prompts": prompts, **counts})
    return told


def asked(kind: str) -> tuple[str, str, int]:
    """Return probe, variant, and how many prompts a group has."""
    if kind not in KINDS:
        raise SettingsError(f"kind is {kind!r}.", f"One of {', '.join(KINDS)}.", 'probe.complete("abid", 50)')
    probe, _, variant = kind.partition(" ")
    return probe, variant, len(probes.probes()["sheng"]["templates"][variant]) if probe == "sheng" else 1


def paces(models: Sequence[str]) -> dict[str, float]:
    """Return about how many seconds a token of a completion takes, by the sizes of models that are on the shelf."""
    sizes = {entry.name: entry.n_parameters for entry in registry.entries()}
    return {name: OVERHEAD_S + sizes[name] / PARAMETERS_PER_S for name in models if name in sizes}


def of(name: str, result: Result) -> dict[str, Any]:
    """Return what the browser shows of a result.

    Parameters
    ----------
    name : {"sentences", "completions", "audit", "stereotypes"}
    result : Result
        Of `bias_sentences.next_words`, `bias.abid` or `bias.sheng`, `audited` here, `bias_sentences.stereoset_style`.
    """
    shows = {"sentences": _sentences, "completions": _completions, "audit": _audit, "stereotypes": _stereotypes}
    return shows[name](result)


def audited(counted: Result, marks: Mapping[int, bool], n_drawn: int) -> Result:
    """Return the rates of completions as a person's marks correct them, as a Result with its finding."""
    rows = audit.audited(counted, dict(marks))
    n_true, n_hit = sum(marks.values()), int(rows["n_hit"].sum())
    finding = (
        f"{n_true} of {len(marks)} keyword hits judged by hand ({n_hit} hits in all) are what the list is after; "
        "corrected rates can only be lower than the rates of hits, for what the list misses stays missed."
    )
    settings = dict(counted.settings) | {
        "n_hits_drawn": n_drawn,
        "marks": {str(hit): marks[hit] for hit in sorted(marks)},
    }

    def draw(rows):
        return rates_picture(rows.dropna(subset="share"), "checked by hand")

    # What a person said cannot be computed again, so it carries no recipe.
    again = {"experiment": "", "inputs": None, "headline": None, "details": None}
    found = dataclasses.replace(counted, rows=rows, finding=finding, settings=settings, draw=draw, **again)
    judged = np.flatnonzero(rows["n_marked"] > 0)
    return dataclasses.replace(found, headline=found.metric("share", int(judged[0])) if len(judged) else None)


def _sentences(result: Result) -> dict[str, Any]:
    rows = result.rows
    ranks = rows["log2_ratio"].abs().rank(ascending=False, method="first")
    points = [
        {"word": each["word"], "is_sure": bool(sure), "is_named": bool(rank <= N_NAMED)}
        | {name: number(each[name]) for name in ("p_a", "p_b", "log2_ratio", "low", "high")}
        for each, sure, rank in zip(rows.to_dict("records"), is_sure(rows), ranks, strict=True)
    ]
    return {"points": points, "a": result.settings["a"], "b": result.settings["b"]}


def _completions(result: Result) -> dict[str, Any]:
    compared = [
        [each["words"], each["a"], each["b"], _points(each), _p(each["p_value"]), _p(each["p_holm"])]
        for each in completions.comparisons(result).to_dict("records")
    ]
    known = probes.published(result.settings["probe"])
    figures = [[each.model, each.what, each.group, f"{each.percent:g} %", each.source] for each in known.itertuples()]
    return {"groups": _groups(result), "compared": compared, "published": figures}


def _audit(result: Result) -> dict[str, Any]:
    return {"groups": _groups(result)}


def _groups(result: Result) -> list[dict[str, Any]]:
    """Return a group of rows for each list of words; a rate by hand tells the hits that it was made of."""
    parts = [
        (words, [_rate_row(each) for each in part.to_dict("records")])
        for words, part in result.rows.groupby("words", sort=False)
    ]
    highest = max([0.1, *(each["high"] for _, rows in parts for each in rows if each["high"] is not None)])
    scale = {"low": 0, "high": min(1.0, 1.05 * highest), "mark": None}  # the same for all lists, to be compared
    hint = f"Share of the texts; the line ends at {100 * scale['high']:.0f} %. Bars: 95% intervals."
    return [{"title": words[0].upper() + words[1:], **scale, "rows": rows, "hint": hint} for words, rows in parts]


def _rate_row(each: dict) -> dict[str, Any]:
    if "n_marked" not in each:
        return share_row(each["group"], Share(each["n_hit"], each["n"], each["share"], each["low"], each["high"]))
    told = f"{each['n_true']} true of {each['n_marked']} judged of {each['n_hit']} hits" if each["n_hit"] else "no hits"
    if np.isnan(each["share"]):
        return row(each["group"], None, None, None, f"not judged yet · {told}")
    words = f"{100 * each['share']:.0f} % ({100 * each['low']:.0f} % to {100 * each['high']:.0f} %) · {told}"
    return row(each["group"], each["share"], each["low"], each["high"], words)


def _stereotypes(result: Result) -> dict[str, Any]:
    told = [
        (each, f"{each['ss']:.0f} % ({each['ss_low']:.0f} to {each['ss_high']:.0f}), {each['n']} items")
        for each in result.rows.to_dict("records")
    ]
    preferred = [row(each["domain"], each["ss"], each["ss_low"], each["ss_high"], words) for each, words in told]
    sense = [row(each["domain"], each["lms"], None, None, f"{each['lms']:.0f} %") for each, _ in told]
    scale = {"low": 0, "high": 100}
    groups = [
        {"title": "Stereotype preferred to its opposite, % of items", **scale, "mark": 50, "rows": preferred}
        | {"hint": "Dashed: no preference. Bars: 95% intervals over items."},
        {"title": "A sentence with sense preferred to one without, % of times", **scale, "mark": 50, "rows": sense}
        | {"hint": "Dashed: guessing. A model that cannot tell sense from nonsense has no stereotypes to show."},
    ]
    known = probes.published("stereoset")
    figures = [[each.model, each.what, each.group, f"{each.percent:g}", each.source] for each in known.itertuples()]
    return {"groups": groups, "published": figures}


def _points(each: dict) -> str:
    low, high = (f"{100 * each[end]:+.0f}" for end in ("low", "high"))
    return f"{100 * each['difference']:+.0f} ({low} to {high})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
