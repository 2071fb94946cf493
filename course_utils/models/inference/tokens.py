"""Token steps, generations and scores: the values that a model returns."""

import dataclasses
import math

from course_utils.models.inference.settings import Settings


@dataclasses.dataclass(frozen=True)
class Alternative:
    r"""A token that could have come.

    Parameters
    ----------
    token_id : int
    text : str
        To show by itself; bytes that are no whole character stand as ``\xf0``.
    probability : float
        Under the model's own distribution, before any setting.
    rank : int
        1 is the likeliest.
    """

    token_id: int
    text: str
    probability: float
    rank: int


@dataclasses.dataclass(frozen=True)
class TokenStep:
    """One token and what the model thought of it.

    Parameters
    ----------
    sample : int
        Which of several samples it belongs to.
    text : str
        Its piece; the pieces of a text join to that text.
    token_id : int
        Below 0 where a server tells no ids.
    probability : float
        Under the settings; 1 when greedy. For scored text the same as `model_probability`.
    model_probability : float
        Under the model's own distribution.
    rank : int
        1 is the likeliest, in the model's own distribution; 0 where a server does not tell it.
    entropy_bits : float
        Of the model's own distribution at this place: 0 is certain.
    alternatives : tuple of Alternative
        The ten likeliest.
    is_last : bool
        Whether its sample ends here.

    Notes
    -----
    Numbers that a server does not tell are NaN.
    """

    sample: int
    text: str
    token_id: int
    probability: float
    model_probability: float
    rank: int
    entropy_bits: float
    alternatives: tuple[Alternative, ...] = ()
    is_last: bool = False

    @property
    def surprisal_bits(self) -> float:
        """How surprised the model was, in bits: 0 is certainty."""
        if math.isnan(self.model_probability):
            return math.nan
        return -math.log2(self.model_probability) if self.model_probability > 0 else math.inf


@dataclasses.dataclass(frozen=True)
class Generation:
    """One text that a model wrote, with everything needed to write it again.

    Parameters
    ----------
    prompt : str
    steps : tuple of TokenStep
    settings : Settings
    seed : int
        This sample's own: ``settings.seed`` plus its number.
    model_name, precision : str
    notice : str
        What the reader should know, for example that the prompt was cut; empty when nothing.
    ended : str
        ``"length"``, ``"end of text"`` or ``"stopped"``.
    """

    prompt: str
    steps: tuple[TokenStep, ...]
    settings: Settings
    seed: int
    model_name: str
    precision: str
    notice: str = ""
    ended: str = "length"

    @property
    def text(self) -> str:
        """What the model wrote, without the prompt."""
        return "".join(step.text for step in self.steps)

    @property
    def token_ids(self) -> list[int]:
        """The ids of the tokens written."""
        return [step.token_id for step in self.steps]

    def __str__(self) -> str:
        """Return the text, so that ``print(generation)`` reads well."""
        return self.text


@dataclasses.dataclass(frozen=True)
class ScoredText:
    """A text with the model's opinion of every token.

    Parameters
    ----------
    text : str
    steps : tuple of TokenStep
        One a token; the first is scored after the end-of-text token, as GLTR does.
    window, stride : int
        Tokens the model saw at once, and how far the window moved at a time when the text was longer. Every token
        but those of the first window had at least ``window - stride`` tokens before it.
    model_name, precision : str
    """

    text: str
    steps: tuple[TokenStep, ...]
    window: int
    stride: int
    model_name: str
    precision: str

    @property
    def total_bits(self) -> float:
        """The surprisal of the whole text, in bits."""
        return sum(step.surprisal_bits for step in self.steps)

    @property
    def perplexity(self) -> float:
        """``exp`` of the mean negative log-probability a token; compare only models with the same tokenizer."""
        return 2 ** (self.total_bits / len(self.steps))

    @property
    def bits_per_character(self) -> float:
        """Surprisal for each character of the text; comparable between tokenizers."""
        return self.total_bits / len(self.text)
