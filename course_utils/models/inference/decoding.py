"""Decoding loop: writes one token at a time, for one text or for a batch."""

import collections
import dataclasses
import math
import threading
from collections.abc import Callable, Generator, Iterator

import torch

from course_utils.models.inference.base import Cancelled, LocalModel
from course_utils.models.inference.detokenizer import TextPieces, Vocabulary
from course_utils.models.inference.sampling import draw, process
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Alternative, Generation, TokenStep
from course_utils.models.networks.cache import Cache
from course_utils.models.networks.network import Network

CHUNK = 64  # tokens of a prompt read between two looks at the stop signal
N_ALTERNATIVES = 10


def read(network: Network, ids: torch.Tensor, cache: Cache, cancel: threading.Event | None = None) -> torch.Tensor:
    """Read a text of shape (1, T) in chunks; return the logits for its next token, of shape (1, V), in fp32.

    Raises
    ------
    Cancelled
        The stop signal came; it is looked at before each chunk.
    """
    for chunk in ids.split(CHUNK, dim=1):
        if cancel is not None and cancel.is_set():
            raise Cancelled
        logits = network.read(chunk, cache)
    return logits


def padded(ids: list[list[int]]) -> torch.Tensor:
    """Make rows equally long from the left: each with its own first token, which the repetition penalty has seen."""
    longest = max(map(len, ids))
    return torch.tensor([[row[0]] * (longest - len(row)) + row for row in ids])


@torch.inference_mode()
def observe(logits: torch.Tensor, ids: torch.Tensor, vocabulary: Vocabulary, apart: bool = False) -> list[TokenStep]:
    """Say what the model thought of each token that came.

    Parameters
    ----------
    logits : torch.Tensor of shape (N, V)
    ids : torch.Tensor of shape (N,)
    vocabulary : Vocabulary
    apart : bool
        Whether each row gives the same numbers to the last bit as it would alone. PyTorch adds up the second row of a
        matrix in another order than the first, because it begins at another place in memory.

    Returns
    -------
    list of TokenStep
        Without text piece and sample number.
    """
    log_probability = torch.log_softmax(logits, dim=-1)
    probability = log_probability.exp()
    chosen = probability.gather(1, ids[:, None])[:, 0]
    ranks = (logits > logits.gather(1, ids[:, None])).sum(dim=1) + 1
    parts = range(len(logits)) if apart else ()
    rows = [probability[i : i + 1] * log_probability[i : i + 1] for i in parts] or [probability * log_probability]
    entropy = -torch.cat([row.sum(dim=1) for row in rows]) / math.log(2)
    top = probability.topk(min(N_ALTERNATIVES, logits.shape[-1]), dim=-1)
    columns = (ids, chosen, ranks, entropy, top.indices, top.values)
    return [
        TokenStep(0, "", token_id, p, p, rank, bits, alternatives(best_ids, best, vocabulary))
        for token_id, p, rank, bits, best_ids, best in zip(*(c.tolist() for c in columns), strict=True)
    ]


def alternatives(ids: list[int], probabilities: list[float], vocabulary: Vocabulary) -> tuple[Alternative, ...]:
    """Name the likeliest tokens, best first."""
    pairs = enumerate(zip(ids, probabilities, strict=True), start=1)
    return tuple(Alternative(token_id, vocabulary.text_of(token_id), p, rank) for rank, (token_id, p) in pairs)


@dataclasses.dataclass(frozen=True)
class Start:
    """What a model sees before it writes on.

    Parameters
    ----------
    prompt : list of int
        Read at once.
    written : list of int
        What it has written after that, one token at a time.
    n_new : int
        How many more tokens are to come.
    """

    prompt: list[int]
    written: list[int]
    n_new: int

    @property
    def ids(self) -> list[int]:
        """All that is seen."""
        return [*self.prompt, *self.written]


class Stream:
    """An iterator over the steps of one or several samples, in the order in which their tokens are written.

    Close it, leave it or set its cancel event, and nothing runs on: between two steps it does no work.

    Parameters
    ----------
    model : LanguageModel
    so_far : list of Generation
        One a sample; without steps when the text begins, with the earlier steps when it goes on.
    starts : list of Start
        What the model sees first, for each sample.
    notice : str
        What the reader should know, for example that the prompt was cut.
    cancel : threading.Event, optional
        Looked at between tokens and between chunks of the prompt.
    """

    on_wait: Callable[[str], object] | None = None  # nobody has to wait where the weights lie here

    def __init__(
        self,
        model: LocalModel,
        so_far: list[Generation],
        starts: list[Start],
        notice: str = "",
        cancel: threading.Event | None = None,
    ) -> None:
        self.notice = notice
        self._model, self._so_far, self._starts, self._cancel = model, so_far, starts, cancel or threading.Event()
        self._steps = [list(generation.steps) for generation in so_far]
        # A sample counts as stopped until it has ended in another way.
        self._ended = ["end of text" if generation.ended == "end of text" else "stopped" for generation in so_far]
        self._iterator = self._run()

    def __repr__(self) -> str:
        """Say how many texts are being written, and how far they are."""
        counts = ", ".join(f"{len(each.steps)} tokens" for each in self.generations())
        return f"{type(self).__name__} ({counts})"

    def __iter__(self) -> "Stream":
        """Return itself."""
        return self

    def __next__(self) -> TokenStep:
        """Return the next step of any sample."""
        step = next(self._iterator)
        self._steps[step.sample].append(step)
        return step

    def close(self) -> None:
        """Stop for good; what has come stays."""
        self._iterator.close()

    def generations(self) -> list[Generation]:
        """Return what every sample has written until now."""
        return [
            dataclasses.replace(generation, steps=tuple(steps), notice=self.notice, ended=ended)
            for generation, steps, ended in zip(self._so_far, self._steps, self._ended, strict=True)
        ]

    def _run(self) -> Generator[TokenStep, None, None]:
        """Write group after group: samples that have written equally much go through the network together."""
        groups: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
        for sample, (steps, start) in enumerate(zip(self._steps, self._starts, strict=True)):
            if self._ended[sample] != "end of text":
                groups[len(steps), start.n_new].append(sample)
        try:
            for samples in groups.values():
                yield from self._write([TextRow(sample, TextPieces(self._model.vocabulary)) for sample in samples])
        except Cancelled:
            return

    def _write(self, rows: list["TextRow"]) -> Iterator[TokenStep]:
        settings, starts = self._so_far[0].settings, [self._starts[row.sample] for row in rows]
        choose = Draw(settings, [self._so_far[row.sample].seed for row in rows], len(self._steps[rows[0].sample]))
        reader = Reader(self._model, starts, self._cancel)
        seen, logits = reader.seen, reader.logits  # (B, T), (B, V)
        try:
            for n_left in reversed(range(starts[0].n_new)):
                chosen, probabilities = choose(seen, logits)
                steps = observe(logits, chosen, self._model.vocabulary, self._model.precision == "int8")
                for row, step, p in zip(rows, steps, probabilities, strict=True):
                    yield from self._take(row, dataclasses.replace(step, sample=row.sample, probability=p), n_left == 0)
                if all(row.has_ended for row in rows):
                    return
                if self._cancel.is_set():
                    break
                seen = torch.cat([seen, chosen[:, None]], dim=1)
                logits = reader.feed(chosen)
            for row in rows:
                yield from row.finish()
        finally:
            reader.close()

    def _take(self, row: "TextRow", step: TokenStep, is_last: bool) -> Iterator[TokenStep]:
        """Hand out the steps whose text is settled by this one."""
        if row.has_ended:
            return
        if step.token_id in self._model.end_ids:
            self._ended[row.sample] = "end of text"
        else:
            yield from row.add(step)
            if not is_last:
                return
            self._ended[row.sample] = "length"
        yield from row.finish()


class Reader:
    """Read texts so that none depends on another, and each as it was read before it was stopped.

    In 8 bits many tokens read at once give other numbers than one token after the other, in the last digits. So what
    was written before is fed again one by one, unless the model still has it. In fp32 it is read at once.

    Parameters
    ----------
    model : LanguageModel
    starts : list of Start
    cancel : threading.Event

    Attributes
    ----------
    seen : torch.Tensor of shape (B, T)
    logits : torch.Tensor of shape (B, V)
        For the next token of each.
    """

    def __init__(self, model: LocalModel, starts: list[Start], cancel: threading.Event) -> None:
        self._network, self._kept, self._starts = model.network, model.kept, starts
        self._fed = [list(start.written) for start in starts]
        self.seen = padded([start.ids for start in starts]).to(model.device)
        prompts: dict[tuple[int, ...], tuple[Cache, torch.Tensor]] = {}
        rows: dict[int, torch.Tensor] = {}
        self._caches: list[Cache] = []
        for i, start in enumerate(starts):
            cache = self._kept.take(start.prompt, start.written)
            if cache is None:
                at_once = tuple(start.prompt if model.precision == "int8" else start.ids)
                if at_once not in prompts:  # several samples may begin with the same prompt
                    first = model.network.new_cache()
                    prompts[at_once] = first, read(self._network, model.tensor([*at_once]), first, cancel)
                cache = prompts[at_once][0].copy()
                rows[i] = prompts[at_once][1]
            self._caches.append(cache)
        while behind := [i for i, start in enumerate(starts) if self._caches[i].length < len(start.ids)]:
            if cancel.is_set():
                raise Cancelled
            ids = [starts[i].ids[self._caches[i].length] for i in behind]
            fed = self._network.step(ids, [self._caches[i] for i in behind])
            rows |= {i: logits[None] for i, logits in zip(behind, fed, strict=True)}
        self.logits = torch.cat([rows[i] for i in range(len(starts))])

    def feed(self, chosen: torch.Tensor) -> torch.Tensor:
        """Read the next token of each text, of shape (B,); return the logits for the one after it."""
        ids = chosen.tolist()
        for fed, token_id in zip(self._fed, ids, strict=True):
            fed.append(token_id)
        return self._network.step(ids, self._caches)

    def close(self) -> None:
        """Keep what was read, so that the texts can go on at once."""
        for start, fed, cache in zip(self._starts, self._fed, self._caches, strict=True):
            self._kept.put(start.prompt, fed, cache)


class Draw:
    """Choose the next token of every row, by the settings and each row's own seed.

    Parameters
    ----------
    settings : Settings
    seeds : list of int
        One a row.
    first_step : int
        How many tokens the rows have written before.
    """

    def __init__(self, settings: Settings, seeds: list[int], first_step: int = 0) -> None:
        self._settings, self._seeds, self._step = settings, seeds, first_step

    @torch.inference_mode()
    def __call__(self, seen: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
        """Return the ids, of shape (B,), and the probability each had under the settings.

        Parameters
        ----------
        seen : torch.Tensor of shape (B, T)
            The tokens before; the repetition penalty looks at them.
        logits : torch.Tensor of shape (B, V)
        """
        scores = process(self._settings, seen, logits)
        if self._settings.is_greedy:
            return scores.argmax(dim=-1), [1.0] * len(scores)
        drawn = [draw(row, seed, self._step) for row, seed in zip(scores, self._seeds, strict=True)]
        self._step += 1
        return torch.tensor([token for token, _ in drawn], device=logits.device), [p for _, p in drawn]


class TextRow:
    """One sample on its way through the network: its steps wait here until their text is settled.

    Parameters
    ----------
    sample : int
    pieces : TextPieces
    """

    def __init__(self, sample: int, pieces: TextPieces) -> None:
        self.sample, self.has_ended = sample, False
        self._pieces = pieces
        self._waiting: list[TokenStep] = []

    def add(self, step: TokenStep) -> list[TokenStep]:
        """Take the next step; return those whose text can no longer change."""
        self._waiting.append(step)
        return self._name(self._pieces.add(step.token_id))

    def finish(self) -> list[TokenStep]:
        """Return the steps that wait, the last one marked."""
        self.has_ended = True
        steps = self._name(self._pieces.finish())
        return [*steps[:-1], dataclasses.replace(steps[-1], is_last=True)] if steps else []

    def _name(self, texts: list[str]) -> list[TokenStep]:
        settled, self._waiting = self._waiting[: len(texts)], self._waiting[len(texts) :]
        return [dataclasses.replace(step, text=text) for step, text in zip(settled, texts, strict=True)]
