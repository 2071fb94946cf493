"""Bias panel behind a warning: next words after two sentences, completions counted and audited, sentence scores."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from course_utils.core.files import replace_file
from course_utils.core.paths import cache_folder
from course_utils.errors import NoSpace, SettingsError, TextError
from course_utils.experiments.bias import audit, completions, probes
from course_utils.experiments.bias import sentences as bias_sentences
from course_utils.experiments.core.cache import sha256_of_values
from course_utils.experiments.core.result import Result
from course_utils.experiments.core.statistics import Share
from course_utils.models.registry import registry
from course_utils.plots.bias import is_sure, rates_picture
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.result_panel import ResultPanel, number, row, share_row
from course_utils.widgets.base.share_vote import is_in_hall
from course_utils.widgets.base.static_view import Fact, Part, Table

CONSENTS = ("", "accepted", "declined")
LARGEST_N = 1000
MOST_SENTENCES = 20
N_WORDS_TOLD = 20  # in the static view
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


class BiasProbe(ResultPanel):
    """A panel to look for bias by numbers; it can be driven without a browser too.

    Nothing is asked of a model before the warning is accepted; who declines gets published figures. What a model wrote
    is counted, and shown to nobody but who calls `audit`.

    Parameters
    ----------
    model : str, Path or BaseLanguageModel, optional
        A name on the shelf, a checkpoint's folder or a loaded model; the best model on this machine when left out.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    consent : str
        ``""``, ``"accepted"`` or ``"declined"``.
    result, results : Result or None, dict
        The newest, and by name: sentences, completions, audit, stereotypes.
    hit : dict
        The keyword hit that waits for a mark: hit, group, words, found, context; empty when none does.
    marks : dict of int to bool
        By the hit's number, whether it is a true one.

    Examples
    --------
    ::

        probe = BiasProbe("pocket-xl")
        probe.accept()
        probe.compare("The man worked as a", "The woman worked as a")
        probe.wait()
        probe.result
    """

    _esm, _css = browser_bundle("bias_probe")
    panel_title = "Bias probe"

    warning = traitlets.Unicode(probes.WARNING).tag(sync=True)
    consent = traitlets.Enum(CONSENTS, "").tag(sync=True)
    published: traitlets.List[Any] = traitlets.List().tag(sync=True)
    sentences = traitlets.Dict().tag(sync=True)
    templates = traitlets.Dict().tag(sync=True)
    kinds: traitlets.List[Any] = traitlets.List().tag(sync=True)
    seconds_per_token = traitlets.Dict().tag(sync=True)
    hit = traitlets.Dict().tag(sync=True)
    n_hits = traitlets.Int(-1).tag(sync=True)
    n_marked = traitlets.Int(0).tag(sync=True)

    def __init__(self, model=None, projector: bool = False) -> None:
        self._hits: list[Any] = []
        self.marks: dict[Any, Any] = {}
        given = probes.probes()["next_words"]
        filled = {side: bias_sentences.fill(given["templates"], given[side]) for side in ("a", "b")}
        first = {side: many[:1] for side, many in filled.items()}
        super().__init__(model, projector=projector, sentences=first, templates=filled, kinds=completion_kinds())
        self._take_first()
        self.seconds_per_token = seconds_per_token([each["name"] for each in self.models])

    # -- consent -------------------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """Say that the warning was read and the probes are wanted."""
        self.set_traits(consent="accepted", message="")

    def decline(self) -> None:
        """Leave the probes out: what runs is stopped, nothing written is shown, and published figures stand instead."""
        self.stop()
        table = probes.published().astype(object)
        figures = table.where(table.notna(), None).to_dict("records")
        self.set_traits(consent="declined", published=figures, hit={}, message="")

    def reconsider(self) -> None:
        """Show the warning again."""
        self.set_traits(consent="", message="")

    # -- what is asked -------------------------------------------------------------------------------------------------

    def compare(
        self,
        a: str | Sequence[str] | None = None,
        b: str | Sequence[str] | None = None,
        words: Sequence[str] | None = None,
    ) -> None:
        """Compare, in the background, how likely words are after sentence A and after sentence B.

        Parameters
        ----------
        a, b : str or sequence of str, optional
            A sentence's beginning each, or as many of A as of B; the ten templates when left out.
        words : sequence of str, optional
            Which words; the likeliest when left out.

        Raises
        ------
        SettingsError
            The warning was not accepted.
        TextError
            A sentence is empty, or there are not as many of both.
        """
        self._require_consent()
        firsts, seconds = ([each] if isinstance(each, str) else list(each or []) for each in (a, b))
        if a is None and b is None:
            firsts, seconds = self.templates["a"], self.templates["b"]
        _require_pairs(firsts, seconds)
        asked = [" " + word.strip() for word in words or [] if word.strip()] or None
        self.set_traits(sentences={"a": firsts, "b": seconds})
        self._run_probe(
            "sentences",
            lambda model, reading: bias_sentences.next_words(model, firsts, seconds, words=asked, **reading),
        )

    def complete(self, kind: str = "abid", n: int = 50, seed: int = 0) -> None:
        """Let the model complete a probe's prompts, in the background, and count the texts with words of its lists.

        Parameters
        ----------
        kind : {"abid", "abid praised", "sheng occupation", "sheng respect"}
        n : int
            Texts a group; for Sheng's, which have five prompts, a multiple of 5.
        seed : int

        Raises
        ------
        SettingsError
            The warning was not accepted, there is no such probe, or n is out of its range.
        """
        self._require_consent()
        probe, variant, n_prompts = probe_settings(kind)
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= LARGEST_N or n % n_prompts:
            expected = f"A whole number from {n_prompts} to {LARGEST_N:,}{', a multiple of 5' * (n_prompts > 1)}."
            raise SettingsError(f"n is {n!r}.", expected, f"probe.complete({kind!r}, 50)")
        how: dict[str, Any] = {
            "n_samples": n // n_prompts,
            "max_new_tokens": N_TOKENS[probe],
            "seed": seed,
        }
        how |= {"templates": variant} if probe == "sheng" else {"praise": bool(variant)}
        experiments: dict[str, Callable[..., Result]] = {"abid": completions.abid, "sheng": completions.sheng}
        ask = experiments[probe]
        self._forget_hits()
        self._run_probe("completions", lambda model, reading: ask(model, **how, **reading))

    def stereotypes(self) -> None:
        """Score, in the background, sentences with a stereotype, its opposite, and a word without sense.

        Raises
        ------
        SettingsError
            The warning was not accepted.
        """
        self._require_consent()
        self._run_probe("stereotypes", lambda model, reading: bias_sentences.stereoset_style(model, **reading))

    # -- by hand -------------------------------------------------------------------------------------------------------

    def audit(self, n: int = 20, seed: int = 0) -> None:
        """Show keyword hits of the completions in their context, one at a time: calling this is the second consent.

        Parameters
        ----------
        n : int
            How many are drawn; all where there are fewer.
        seed : int
            Of the draw.

        Raises
        ------
        SettingsError
            The warning was not accepted.
        TextError
            There are no completions yet.
        """
        self._require_consent()
        drawn = audit.audit(self._completions(), n, seed, i_have_read_the_warning=self._has_read)
        self._hits = drawn.to_dict("records")
        self.set_traits(n_hits=len(self._hits), message="")
        shown = {each["hit"] for each in self._hits}
        self.marks = {**{hit: mark for hit, mark in self._remembered().items() if hit in shown}, **self.marks}
        if self.marks:
            self._add_outcome("audit", audited_result(self._completions(), self.marks, len(shown)))
        self._go_on()

    def mark(self, i: int, is_true: bool) -> None:
        """Say of a hit, by its number, whether it is what the list is after; the corrected rates follow at once.

        Raises
        ------
        SettingsError
            No such hit was shown.
        """
        shown = [each["hit"] for each in self._hits]
        if i not in shown:
            expected = f"One of {', '.join(map(str, shown))}." if shown else "A hit that was shown."
            raise SettingsError(f"There is no hit {i!r} to be marked.", expected, "probe.audit(), then probe.hit")
        with self._lock:
            self.marks[int(i)] = bool(is_true)
            self._add_outcome("audit", audited_result(self._completions(), self.marks, len(shown)))
            self.set_traits(message="")
            self._go_on()
            self._remember()

    def back(self) -> None:
        """Take the last mark back and show its hit again."""
        with self._lock:
            if self.marks:
                self.marks.popitem()
                self._add_outcome("audit", audited_result(self._completions(), self.marks, len(self._hits)))
                self._go_on()
                self._remember()

    # -- marks on the disk -----------------------------------------------------------------------------------------

    def _marks_file(self) -> Path | None:
        """Return where the marks of these very completions are kept; None in a hall, whose viewers share a folder."""
        if is_in_hall():
            return None
        found = self._completions()
        details = "" if found.details is None else found.details.to_json()
        key = sha256_of_values([dict(found.settings), dict(found.models), found.seed, details])[:24]
        return cache_folder() / "audits" / f"{key}.json"

    def _remember(self) -> None:
        """Write the marks down; where that cannot be, say so and go on."""
        file = self._marks_file()
        if file is not None:
            try:
                replace_file(file, json.dumps({str(hit): mark for hit, mark in self.marks.items()}))
            except NoSpace as error:
                self._show_not_saved(error)

    def _remembered(self) -> dict[int, bool]:
        """Return the marks that were given to these completions before, also by an earlier kernel."""
        file = self._marks_file()
        try:
            marks = json.loads(file.read_text("utf-8")) if file is not None else {}
            return {int(hit): bool(mark) for hit, mark in marks.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def static_parts(self) -> list[Part]:
        """Return what was counted; nothing that a model wrote is quoted, and nothing at all without consent."""
        if not self._has_read:
            names = ("model", "what", "group", "percent", "source")
            figures = [[each.get(name) for name in names] for each in self.published]
            parts: list[Part] = [Fact("Warning", self.warning), Fact("Your answer", self.consent or "none yet")]
            return [*parts, *([Table("Published figures", names, figures)] if figures else [])]
        parts = super().static_parts()
        points = self.outcomes.get("sentences", {}).get("points", [])
        if points:
            most = sorted(points, key=lambda each: -abs(each["log2_ratio"] or 0))[:N_WORDS_TOLD]
            rows = [[each[name] for name in ("word", "p_a", "p_b", "log2_ratio", "low", "high")] for each in most]
            heads = ["word", "p after A", "p after B", "log2 of A to B", "low", "high"]
            parts.append(Table("The words furthest from equality", heads, rows))
        compared = self.outcomes.get("completions", {}).get("compared")
        if compared:
            heads = ["list", "A", "B", "A minus B, percentage points (95 %)", "p", "p, Holm"]
            parts.append(Table("Two proportions compared", heads, compared))
        if self.n_hits >= 0:
            parts.append(Fact("Audit", f"{self.n_marked} of {self.n_hits} hits are judged by hand"))
        return parts

    # -- what happens --------------------------------------------------------------------------------------------------

    @property
    def _has_read(self) -> bool:
        return self.consent == "accepted"

    def _require_consent(self) -> None:
        probes.require_reading(self._has_read)

    def _run_probe(self, name: str, ask) -> None:
        """Have the worker ask the chosen model; what comes is shown as that outcome."""
        chosen = self.model or self._model_picker.first_name()

        def work(tell, cancel):
            model = self._load(chosen)
            tell(0.0, f"{chosen} is asked")
            reading = {"i_have_read_the_warning": self._has_read, "progress": tell, "cancel": cancel}
            result = ask(model, reading)
            return lambda: self._add_outcome(name, result)

        self._submit(work)

    def _add_outcome(self, name: str, result: Result) -> None:
        if not self._has_read:  # declined while it ran
            return
        self._add(name, result, **outcome_view(name, result))

    def _completions(self) -> Result:
        if "completions" not in self.results:
            raise TextError("There are no completions yet.", "A probe that has run.", 'probe.complete("abid", 50)')
        return self.results["completions"]

    def _forget_hits(self) -> None:
        """Begin anew: marks belong to texts that are no longer counted."""
        self._hits, self.marks = [], {}
        outcomes = {name: each for name, each in self.outcomes.items() if name != "audit"}
        self.results.pop("audit", None)
        self.set_traits(hit={}, n_hits=-1, n_marked=0, outcomes=outcomes)

    def _go_on(self) -> None:
        """Show the next hit without a mark."""
        left = [each for each in self._hits if each["hit"] not in self.marks]
        self.set_traits(hit=left[0] if left else {}, n_marked=len(self._hits) - len(left))

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "accept" | "decline" | "reconsider" | "audit" | "back" as verb}:
                getattr(self, verb)()
            case {"kind": "mark", "hit": int(hit), "is_true": bool(is_true)}:
                self.mark(hit, is_true)
            case {"kind": "compare", "a": [*a], "b": [*b], "words": [*words], "model": str(name)}:
                self.model = name
                self.compare([str(each) for each in a], [str(each) for each in b], [str(each) for each in words])
            case {"kind": "complete", "probe": str(kind), "n": int(n), "model": str(name)}:
                self.model = name
                self.complete(kind, n)
            case {"kind": "stereotypes", "model": str(name)}:
                self.model = name
                self.stereotypes()
            case _:
                super()._handle_message(content, buffers)


def _require_pairs(firsts: Sequence[str], seconds: Sequence[str]) -> None:
    """Refuse at once what the experiment would refuse later, in the background."""
    if len(firsts) != len(seconds) or not 1 <= len(firsts) <= MOST_SENTENCES:
        told = f"There are {len(firsts)} sentences A and {len(seconds)} sentences B."
        raise TextError(told, f"As many of both, {MOST_SENTENCES} at most.", "Write one on a line.")
    if not all(each.strip() for each in [*firsts, *seconds]):
        raise TextError(
            "A sentence is empty.", "A beginning with words in it.", 'probe.compare("The man is", "She is")'
        )


def completion_kinds() -> list[dict[str, Any]]:
    """Return what can be completed: name, words, how many groups and prompts it has, and how long a text may be."""
    told = []
    for name, about in KINDS.items():
        probe, variant, n_prompts = probe_settings(name)
        known = probes.probes()[probe]
        ends = known["templates"][variant] if probe == "sheng" else [known["praise"] * bool(variant) + known["prompt"]]
        prompts = [end.replace("{group}", "…") if probe == "abid" else f"… {end}" for end in ends]
        counts = {"n_groups": len(known["groups"]), "n_prompts": n_prompts, "n_tokens": N_TOKENS[probe]}
        told.append({"name": name, "about": about, "groups": known["groups"], "prompts": prompts, **counts})
    return told


def probe_settings(kind: str) -> tuple[str, str, int]:
    """Return probe, variant, and how many prompts a group has."""
    if kind not in KINDS:
        raise SettingsError(f"kind is {kind!r}.", f"One of {', '.join(KINDS)}.", 'probe.complete("abid", 50)')
    probe, _, variant = kind.partition(" ")
    return probe, variant, len(probes.probes()["sheng"]["templates"][variant]) if probe == "sheng" else 1


def seconds_per_token(models: Sequence[str]) -> dict[str, float]:
    """Return about how many seconds a token of a completion takes, by the sizes of models that are on the shelf."""
    sizes = {entry.name: entry.n_parameters for entry in registry.entries()}
    return {name: OVERHEAD_S + sizes[name] / PARAMETERS_PER_S for name in models if name in sizes}


def outcome_view(name: str, result: Result) -> dict[str, Any]:
    """Return what the browser shows of a result.

    Parameters
    ----------
    name : {"sentences", "completions", "audit", "stereotypes"}
    result : Result
        Of `bias_sentences.next_words`, `bias.abid` or `bias.sheng`, `audited` here, `bias_sentences.stereoset_style`.
    """
    shows = {"sentences": _sentences, "completions": _completions, "audit": _audit, "stereotypes": _stereotypes}
    return shows[name](result)


def audited_result(counted: Result, marks: Mapping[int, bool], n_drawn: int) -> Result:
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
    found = dataclasses.replace(
        counted, rows=rows, finding=finding, settings=settings, draw=draw,
        experiment="", inputs=None, headline=None, details=None,
    )  # fmt: skip
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
