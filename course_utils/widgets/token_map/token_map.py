"""Token-map panel: a text coloured by how likely a model finds each token; one text, or two compared."""

import math
import threading
from collections.abc import Sequence
from typing import Any

import pandas as pd
import traitlets

from course_utils.errors import CourseError, TextError
from course_utils.experiments.core.result import Result
from course_utils.experiments.detection.token_ranks import SHARES, read_ranks
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.widgets.base.experiment_panel import ExperimentPanel, Show, Tell
from course_utils.widgets.base.panel import browser_bundle
from course_utils.widgets.base.static_view import Part, Table, Text, facts, token_name

N_TOLD = 10  # tokens in the static view
LONGEST = 6000  # characters: about 1,300 tokens of GPT-2, as many as a page can show and a laptop read in seconds


class TokenMap(ExperimentPanel):
    """A panel that shows a text as a model reads it, as GLTR does; it can be driven without a browser too.

    Parameters
    ----------
    text : str or sequence of str
        What stands in the text box at first; two texts stand one above the other, to be compared.
    model : str, Path or BaseLanguageModel, optional
        A name on the shelf, a checkpoint's folder or a loaded model; the best model on this machine when left out.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    texts : list of str
        One or two, as typed.
    model : str
        Which model reads.
    state : str
        ``idle``, ``loading``, ``working``, ``done``, ``stopped`` or ``failed``; `message` then says why.
    result : Result or None
        What was read last; see `course_utils.experiments.detection.token_ranks.read_ranks`.

    Examples
    --------
    ::

        panel = TokenMap("It was a dark and stormy night.")
        panel.read()
        panel.wait()
        panel.shares
    """

    _esm, _css = browser_bundle("token_map")
    panel_title = "Token map"

    texts: traitlets.List[Any] = traitlets.List().tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    maps: traitlets.List[Any] = traitlets.List().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    longest = traitlets.Int(LONGEST).tag(sync=True)

    def __init__(self, text: str | Sequence[str] = "", model=None, projector: bool = False) -> None:
        texts = [text] if isinstance(text, str) else list(text)
        if not 1 <= len(texts) <= 2 or not all(isinstance(each, str) for each in texts):
            raise TextError(f"text is {str(text)[:40]!r}.", "One text, or a list of two.", 'TokenMap("A text.")')
        super().__init__(model, texts=texts, projector=projector)
        self._take_first()
        self._offer(self.model)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def read(self) -> None:
        """Let the model read the text or both, in the background; of a long text the first `LONGEST` characters."""
        try:
            texts = [self._wanted(place) for place in range(len(self.texts))]
            name = self.model or self._model_picker.first_name()
        except CourseError as error:
            self.show_error(error)
            return

        def work(tell: Tell, cancel: threading.Event) -> Show:
            model = self._load(name)
            tell(0.0, f"{name} reads")
            result = read_ranks(model, texts, tell, cancel)
            return lambda: self._take(result, model)

        self._submit(work)

    @property
    def tokens(self) -> pd.DataFrame:
        """One row a token: text, place, token, rank, probability, surprisal_bits, entropy_bits, alternatives."""
        return self._required().details

    @property
    def shares(self) -> pd.DataFrame:
        """One row a text, one column a class of ranks: the share of the text's tokens."""
        rows = self._required().rows
        return rows.set_index("text")[list(SHARES)]

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _wanted(self, place: int) -> str:
        """Return what will be read of a text."""
        text = self.texts[place].strip()
        if not text:
            what = f"Text {place + 1} is empty." if len(self.texts) > 1 else "There is no text to read."
            raise TextError(what, "A text with words in it.", "Paste or type one, then press Read.")
        return shortened(text)

    def _take(self, result: Result, model: BaseLanguageModel) -> None:
        self.result = result
        rows, tables = result.rows.to_dict("records"), result.known_details().groupby("text", sort=False)
        pairs = zip(rows, tables, self.texts, strict=False)
        maps = [_map(row, tokens, len(typed.strip())) for row, (_, tokens), typed in pairs]
        self.set_traits(maps=maps, finding=result.finding, label=model.label)

    def static_parts(self) -> list[Part]:
        """Return the texts, the shares of their tokens by rank, and the tokens that surprised the model most."""
        parts = [*super().static_parts(), *facts(read_by=self.label)]
        names = [each["name"] for each in self.maps]
        parts += [
            Text((names[place] if place < len(names) else "text").capitalize(), text)
            for place, text in enumerate(self.texts)
            if text.strip()
        ]
        if self.maps:
            heads = ["text", "tokens", *SHARES, "bits per token", "bits per character", "perplexity"]
            rows = [
                [each["name"], each["n_tokens"], *(f"{100 * share:.1f} %" for share in each["shares"])]
                + [each[name] for name in ("bits_per_token", "bits_per_character", "perplexity")]
                for each in self.maps
            ]
            parts.append(Table("Share of the tokens by rank", [name.replace("_", " ") for name in heads], rows))
        for each in self.maps:
            told = [token for token in each["tokens"] if token[3] is not None]
            most = sorted(told, key=lambda token: -token[3])[:N_TOLD]
            rows = [[token_name(text), rank, probability, bits] for text, rank, probability, bits, _ in most]
            caption = f"The most surprising tokens of {each['name']}"
            parts.append(Table(caption, ["token", "rank", "probability", "surprisal in bits"], rows))
        return parts

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _handle_message(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "read", "texts": [*texts], "model": str(name)} if 1 <= len(texts) <= 2:
                self.set_traits(texts=[str(each) for each in texts], model=name)
                self.read()
            case _:
                super()._handle_message(content, buffers)


def shortened(text: str) -> str:
    """Return a text's beginning, cut between two words, if it is longer than a panel reads.

    Examples
    --------
    >>> len(shortened("word " * 2000))
    5999
    """
    if len(text) <= LONGEST:
        return text
    cut = text[:LONGEST]
    return cut[: max(cut.rfind(" "), cut.rfind("\n"))] if " " in cut or "\n" in cut else cut


def _map(row: dict, tokens: pd.DataFrame, n_typed: int) -> dict:
    """Return all that the browser shows of one text; probabilities as many digits as are told."""
    told = [
        [each.token, each.rank, _digits(each.probability), _digits(each.surprisal_bits),
         [[name, _digits(p)] for name, p in each.alternatives]]
        for each in tokens.itertuples()
    ]  # fmt: skip
    numbers = {name: _digits(row[name]) for name in ("bits_per_token", "bits_per_character", "perplexity")}
    counts = {"n_tokens": row["n_tokens"], "n_characters": row["n_characters"], "n_typed": n_typed}
    return {"name": row["text"], "shares": [row[each] for each in SHARES], "tokens": told, **counts, **numbers}


def _digits(number: float) -> float | None:
    """Return a number of few digits, as JSON can carry it."""
    return float(f"{number:.5g}") if math.isfinite(number) else None
