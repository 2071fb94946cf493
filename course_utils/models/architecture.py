"""Arithmetic of a GPT-2: parameters, bytes and operations, from its layers, width, heads, vocabulary and context."""

import dataclasses
import json
from pathlib import Path
from typing import Self

import pandas as pd

from course_utils.core.json_types import JsonObject
from course_utils.errors import DamagedFile, SettingsError
from course_utils.models.registry import registry

BYTES = {"fp32": 4, "bf16": 2, "int8": 1}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The shape of a GPT-2, from which its size and its cost follow.

    Parameters
    ----------
    n_layers, width, n_heads : int
        L, D, H: blocks, numbers that stand for a token, attention heads.
    vocabulary, context : int
        V and C: different tokens, tokens seen at once.
    inner : int, optional
        Width inside the MLP; four times the width when left out, as in every GPT-2.

    Notes
    -----
    With ``inner = 4 D`` the count is ``V D + C D + L (12 D² + 13 D) + 2 D``. The output layer shares the token
    embedding, so it is counted once. The number of heads changes no count: heads share out the width.

    Examples
    --------
    >>> Architecture(n_layers=12, width=768, n_heads=12).n_parameters
    124439808
    """

    n_layers: int
    width: int
    n_heads: int
    vocabulary: int = 50_257
    context: int = 1024
    inner: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no shape."""
        for field in dataclasses.fields(self):
            number = getattr(self, field.name)
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
                raise SettingsError(f"{field.name} is {number!r}.", "A whole number from 1.", f"Correct {field.name}.")
        if self.width % self.n_heads:
            raise SettingsError(
                f"A width of {self.width} cannot be shared by {self.n_heads} heads.",
                "A width divisible by the number of heads.",
                f"Set width={self.n_heads * max(1, self.width // self.n_heads)}.",
            )

    def block(self) -> dict[str, int]:
        """Return what one block holds: each matrix has its bias, each norm a gain and a bias."""
        d, inner = self.width, self.inner or 4 * self.width
        return {
            "attention": 4 * d * d + 4 * d,  # queries, keys, values, and the way out
            "MLP": 2 * d * inner + inner + d,  # up and down again
            "layer norms": 4 * d,  # one before each half
        }

    def parts(self) -> dict[str, int]:
        """Return all parameters, part by part, the blocks together; their sum is `n_parameters`."""
        return {
            "token embedding": self.vocabulary * self.width,
            "position embedding": self.context * self.width,
            **{part: self.n_layers * count for part, count in self.block().items()},
            "last layer norm": 2 * self.width,
        }

    @property
    def n_parameters(self) -> int:
        """How many numbers training decides, each counted once."""
        return sum(self.parts().values())

    def bytes(self, precision: str = "fp32") -> int:
        """Return the weights' size if every one is stored as ``"fp32"``, ``"bf16"`` or ``"int8"``.

        What runs needs more: scratch numbers, and the cache. ``load(precision="int8")`` keeps the embeddings in fp32.
        """
        return self.n_parameters * _bytes_each(precision)

    def kv_cache_bytes(self, n_tokens: int | None = None, precision: str = "fp32", n_texts: int = 1) -> int:
        """Return the memory of the keys and values of so many tokens, a whole context when left out.

        A key and a value of the width, in every layer, for every token of every text that is being written.
        """
        n_tokens = self.context if n_tokens is None else n_tokens
        return 2 * self.n_layers * self._kv_width * n_tokens * n_texts * _bytes_each(precision)

    def flops_per_token(self, n_seen: int | None = None) -> int:
        """Return the floating-point operations that one token costs on its way forward.

        Parameters
        ----------
        n_seen : int, optional
            Tokens that it looks at; half the context when left out, the mean over a full window.

        Notes
        -----
        Matrix products alone: two operations, times and plus, for each weight, ``24 L D² + 2 V D``; and two products
        with the tokens it looks at, the keys' and the values', ``4 L D n_seen``. With half the context this is the
        count of Kaplan et al. 2020, "Scaling Laws for Neural Language Models", table 1, with its de-embedding.
        Biases, norms, softmax and GELU are left out there too: below 1 % for GPT-2's sizes.
        """
        n_seen = self.context // 2 if n_seen is None else n_seen
        weights = self.n_layers * self._block_matrices + self.vocabulary * self.width
        return 2 * weights + 4 * self.n_layers * self.width * n_seen

    def training_flops(self, n_tokens: int) -> int:
        """Return the operations of a training on so many tokens: the way back costs twice the way forward."""
        return 3 * self.flops_per_token() * n_tokens

    @property
    def _block_matrices(self) -> int:
        return 4 * self.width**2 + 2 * self.width * (self.inner or 4 * self.width)

    @property
    def _kv_width(self) -> int:
        return self.width

    @classmethod
    def from_config(cls, config: JsonObject) -> Self:
        """Read the shape out of a checkpoint's ``config.json``."""
        return cls(
            n_layers=config["n_layer"],
            width=config["n_embd"],
            n_heads=config["n_head"],
            vocabulary=config["vocab_size"],
            context=config["n_positions"],
            inner=config.get("n_inner"),
        )


@dataclasses.dataclass(frozen=True)
class LlamaArchitecture(Architecture):
    """The same arithmetic for the stand-in, SmolLM2, which is of Llama's kind.

    No biases and no position embedding; norms are gains alone; the MLP has a third matrix, its gate; and several heads
    share one key and value, which makes the cache smaller.

    Parameters
    ----------
    n_kv_heads : int, optional
        How many keys and values a layer keeps; ``n_heads`` when left out.
    """

    n_kv_heads: int | None = None

    def block(self) -> dict[str, int]:
        """Return what one block holds."""
        mlp = 3 * self.width * (self.inner or 4 * self.width)
        return {"attention": self._block_matrices - mlp, "MLP": mlp, "layer norms": 2 * self.width}

    def parts(self) -> dict[str, int]:
        """Return all parameters, part by part."""
        return super().parts() | {"position embedding": 0, "last layer norm": self.width}

    @property
    def _block_matrices(self) -> int:
        attention = 2 * self.width * (self.width + self._kv_width)
        return attention + 3 * self.width * (self.inner or 4 * self.width)

    @property
    def _kv_width(self) -> int:
        return self.width // self.n_heads * (self.n_kv_heads or self.n_heads)

    @classmethod
    def from_config(cls, config: JsonObject) -> Self:
        """Read the shape out of a checkpoint's ``config.json``."""
        return cls(
            n_layers=config["num_hidden_layers"],
            width=config["hidden_size"],
            n_heads=config["num_attention_heads"],
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
            inner=config["intermediate_size"],
            n_kv_heads=config.get("num_key_value_heads"),
        )


# Layers and widths: Radford et al. 2019, table 2. Heads of 64, as in the repository's smallest; they change no count.
GPT2 = {
    "gpt2": Architecture(n_layers=12, width=768, n_heads=12),
    "gpt2-medium": Architecture(n_layers=24, width=1024, n_heads=16),
    "gpt2-large": Architecture(n_layers=36, width=1280, n_heads=20),
    "gpt2-xl": Architecture(n_layers=48, width=1600, n_heads=25),
}
KINDS = {"gpt2": Architecture, "llama": LlamaArchitecture}


def architecture_of(model: str | Path) -> Architecture:
    """Return the shape of a checkpoint, read from its ``config.json``; nothing is loaded.

    Parameters
    ----------
    model : str or Path
        A name on the shelf, or a checkpoint's folder.

    Raises
    ------
    UnknownModel, ModelNotHere
        As ``shelf.find`` says.
    DamagedFile
        The file is missing or cannot be read.
    SettingsError
        It is of a kind that this arithmetic does not know.
    """
    file = (registry.find(model) if isinstance(model, str) else model) / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        kind = config["model_type"]
        if kind not in KINDS or config.get("tie_word_embeddings") is False or config.get("attention_bias"):
            raise SettingsError(
                f"{file.parent.name} is of another kind: {kind!r}.",
                "A GPT-2 or SmolLM2, whose output layer is its token embedding.",
                "Ask model.n_parameters of a loaded model instead.",
            )
        return KINDS[kind].from_config(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{file} cannot be read.", "A checkpoint's config.json.", "Copy the folder again.") from error


# -- why the four have two names each ----------------------------------------------------------------------------------

FIRST_NAMES = dict(zip(GPT2, ("117M", "345M", "762M", "1542M"), strict=True))  # the paper's, February 2019
LATER_NAMES = dict(zip(GPT2, ("124M", "355M", "774M", "1558M"), strict=True))  # the repository's, 20 August 2019
GPT1_VOCABULARY = 40_478


def naming_puzzle() -> pd.DataFrame:
    """Set both names of each size beside two counts: with GPT-2's vocabulary, and with GPT-1's.

    OpenAI called the first names an error and did not say which. The same formula with GPT-1's vocabulary gives all
    four of them: an inference that fits, not a statement of OpenAI's.

    Returns
    -------
    pandas.DataFrame
        model, first_name, later_name, n_parameters, with_gpt1_vocabulary.
    """
    rows = [
        {
            "model": name,
            "first_name": FIRST_NAMES[name],
            "later_name": LATER_NAMES[name],
            "n_parameters": shape.n_parameters,
            "with_gpt1_vocabulary": dataclasses.replace(shape, vocabulary=GPT1_VOCABULARY).n_parameters,
        }
        for name, shape in GPT2.items()
    ]
    return pd.DataFrame(rows)


def _bytes_each(precision: str) -> int:
    if precision not in BYTES:
        raise SettingsError(f"precision is {precision!r}.", '"fp32", "bf16" or "int8".', 'Use precision="fp32".')
    return BYTES[precision]
