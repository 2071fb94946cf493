"""Base class of language models, local or remote, with the capabilities that each of them has."""

import abc
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from course_utils.errors import CourseError
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Alternative, Generation, ScoredText, TokenStep

if TYPE_CHECKING:  # a panel whose model lies behind a server never imports torch
    import torch

    from course_utils.models.inference.detokenizer import Vocabulary
    from course_utils.models.inference.kv_cache import Kept
    from course_utils.models.networks.network import Network


class Cancelled(Exception):
    """The stop signal came before the work was done."""


class NeedsWeights(CourseError):
    """What is asked can be done with weights only, and these lie behind a server."""


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """What can be had of a model.

    Parameters
    ----------
    ranks : bool
        Each token's rank in the model's own order, and how uncertain the model was.
    alternatives : int
        How many likelier tokens are told beside each, 0 for none.
    seeds : bool
        Whether the same seed gives the same text again.
    top_k, repetition_penalty : bool
        Whether these settings are obeyed.
    scoring : bool
        Whether a text that somebody wrote can be scored.
    weights : bool
        Whether the weights lie in this process.
    """

    ranks: bool = True
    alternatives: int = 10
    seeds: bool = True
    top_k: bool = True
    repetition_penalty: bool = True
    scoring: bool = True
    weights: bool = True

    @property
    def missing_settings(self) -> list[str]:
        """The names of settings that are not obeyed."""
        had = {"top_k": self.top_k, "repetition_penalty": self.repetition_penalty, "seed": self.seeds}
        return [name for name, is_had in had.items() if not is_had]

    def in_words(self) -> str:
        """Return in one line what a server does not give; empty where nothing that a panel shows is missing.

        Examples
        --------
        >>> Capabilities(ranks=False, seeds=False).in_words()
        'This server gives no ranks and takes no seed.'
        >>> Capabilities(weights=False).in_words()
        ''
        """
        given = {"ranks": self.ranks, "alternatives": self.alternatives, "scores of a text": self.scoring}
        taken = {"top-k": self.top_k, "repetition penalty": self.repetition_penalty, "seed": self.seeds}
        parts = [_without("gives", given), _without("takes", taken)]
        return f"This server {' and '.join(filter(None, parts))}." if any(parts) else ""


def _without(verb: str, had: Mapping[str, object]) -> str:
    missing = [name for name, is_had in had.items() if not is_had]
    if not missing:
        return ""
    *others, last = missing
    return f"{verb} no {', '.join(others)} or {last}" if others else f"{verb} no {last}"


class TextStream(Protocol):
    """Texts that are being written: iterate for Steps; see `course_utils.models.inference.decoding.Stream`."""

    on_wait: Callable[[str], object] | None  # told in words what is waited for, and "" when that is over

    @property
    def notice(self) -> str:
        """What the reader should know about the texts, such as a prompt that was cut; empty where nothing is."""

    def __iter__(self) -> Iterator[TokenStep]:
        """Return itself."""

    def __next__(self) -> TokenStep:
        """Return the next step of any sample."""

    def generations(self) -> list[Generation]:
        """Return what every sample has written until now."""

    def close(self) -> None:
        """Stop for good; what has come stays."""


class BaseLanguageModel(abc.ABC):
    """A model that speaks, whether its weights lie here or behind a server.

    Attributes
    ----------
    name, precision, label : str
        The label names what speaks, in one line, to stand beside its text.
    context : int
        Tokens it can see at once.
    n_parameters : int
        0 where it is not told.
    on_wait : callable or None
        Told in words what is waited for, and "" when that is over; only a model behind a server makes anybody wait.
    """

    name: str
    precision: str
    label: str
    context: int
    n_parameters: int
    on_wait: Callable[[str], object] | None = None

    @property
    @abc.abstractmethod
    def capabilities(self) -> Capabilities:
        """What can be had of it."""

    @property
    @abc.abstractmethod
    def weights_sha256(self) -> str:
        """The sha256 of the file its weights come from; empty where a server does not tell."""

    @property
    @abc.abstractmethod
    def folder(self) -> Path | None:
        """Where the same file lies on this machine; None where it does not."""

    @property
    @abc.abstractmethod
    def identity(self) -> list[str]:
        """Plain values that name what its numbers depend on: the weights, their precision, the kind of device."""

    @abc.abstractmethod
    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""

    @abc.abstractmethod
    def stream(
        self, prompt: str, settings: Settings = Settings(), n_samples: int = 1, cancel: threading.Event | None = None
    ) -> TextStream:
        """Write on from a prompt, one token at a time."""

    @abc.abstractmethod
    def resume(self, generations: list[Generation], cancel: threading.Event | None = None) -> TextStream:
        """Let samples go on where they ended, for ``max_new_tokens`` more; those at their end of text stay."""

    @abc.abstractmethod
    def next_tokens(self, prompt: str, k: int = 10) -> list[Alternative]:
        """Return the k likeliest next tokens, best first, with the model's own probabilities."""

    @abc.abstractmethod
    def score(
        self,
        text: str,
        stride: int | None = None,
        *,
        progress: Callable[[float], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredText:
        """Say how likely the model found every token of a text; `progress` is told the share that is done."""

    def generate(self, prompt: str, settings: Settings = Settings(), n_samples: int = 1) -> list[Generation]:
        """Write one text or several in one batch; see `stream`."""
        stream = self.stream(prompt, settings, n_samples)
        for _ in stream:
            pass
        return stream.generations()


class LocalModel(Protocol):
    """A model whose weights lie in this process, as decoding and scoring use it.

    Attributes
    ----------
    name, precision : str
    context : int
        Tokens it can see at once.
    device : torch.device
    network : Network
    vocabulary : Vocabulary
    start_id : int
        The token that stands between documents.
    end_ids : frozenset of int
        Tokens that end a text.
    kept : Kept
        What the network remembers of texts that were stopped.
    """

    name: str
    precision: str
    context: int
    device: "torch.device"
    network: "Network"
    vocabulary: "Vocabulary"
    start_id: int
    end_ids: frozenset[int]
    kept: "Kept"

    @property
    def identity(self) -> list[str]:
        """What its numbers depend on: weights, precision, device, config and tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Return a text's token ids."""

    def tensor(self, ids: list[int]) -> "torch.Tensor":
        """Return token ids as a tensor of shape (1, T) on the model's device."""
