"""Batching of requests: texts join and leave a batch between steps, and each is as if it were computed alone."""

import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

import torch

from course_utils.models.inference import sampling
from course_utils.models.inference.base import LocalModel
from course_utils.models.inference.decoding import CHUNK, TextRow, observe, read
from course_utils.models.inference.detokenizer import TextPieces, Vocabulary
from course_utils.models.inference.scoring import look, window_and_stride, with_text
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import TokenStep
from course_utils.models.networks.cache import Cache
from course_utils.models.server.stop_sequences import StopSequenceFilter

ReadPrompt: TypeAlias = tuple[Cache, torch.Tensor]  # the cache after a prompt, and its last logits (1, V)

MAX_CACHED_PROMPT_BYTES = 64_000_000  # bytes of prompts that were read lately: in a lecture many ask with the same


class Row:
    """One sample on its way through the network.

    Parameters
    ----------
    sample : int
    ids : list of int
        The prompt.
    settings : Settings
    seed, first_step : int
    written : int
        How many of the prompt's last ids were written by the model; they are fed one by one, as they were then.
    looks : bool
        Whether it is told what the model thought of each token.
    stops : tuple of str
        Texts at which it ends.
    tell : callable
        Called with the steps whose text is settled and, at the end, with ``"stop"`` or ``"length"``; else with "".
    is_wanted : callable
        Looked at between two steps; where it says no, the row leaves.
    """

    def __init__(
        self,
        sample: int,
        ids: list[int],
        settings: Settings,
        seed: int,
        first_step: int,
        looks: bool,
        stops: tuple[str, ...],
        tell: Callable[[list[TokenStep], str], None],
        is_wanted: Callable[[], bool],
        written: int = 0,
    ) -> None:
        self.written = written
        self.sample, self.ids, self.settings, self.seed = sample, list(ids), settings, seed
        self.step, self.looks, self.tell, self.is_wanted = first_step, looks, tell, is_wanted
        self.n_left = settings.max_new_tokens
        self.cache: Cache | None = None
        self._stops = StopSequenceFilter(stops)
        self._text: TextRow | None = None

    @property
    def prompt(self) -> list[int]:
        """The ids that are read at once; asked before the first token has come."""
        return self.ids[: len(self.ids) - min(self.written, len(self.ids) - 1)]

    @property
    def filled_cache(self) -> Cache:
        """Where its keys and values lie, once its prompt has been read."""
        if self.cache is None:
            raise RuntimeError("The prompt of this row has not been read.")
        return self.cache

    @property
    def kind(self) -> tuple[float, int, float, int | None]:
        """Rows of the same kind are drawn in one go; the repetition penalty looks at each row's own text."""
        own = id(self) if self.settings.repetition_penalty != 1 else None
        return self.settings.temperature, self.settings.top_k, self.settings.top_p, own

    def take(self, step: TokenStep, model: LocalModel) -> bool:
        """Take the token that came; return whether the row goes on."""
        self._text = self._text or TextRow(self.sample, TextPieces(model.vocabulary))
        self.step, self.n_left = self.step + 1, self.n_left - 1
        self.ids.append(step.token_id)
        if step.token_id in model.end_ids:
            return self._end(self._text.finish(), "stop")
        settled = self._text.add(dataclasses.replace(step, sample=self.sample))
        if self.n_left == 0:
            return self._end(settled + self._text.finish(), "length")
        settled, is_found = self._stops.add(settled)
        if settled or is_found:
            self.tell(settled, "stop" if is_found else "")
        return not is_found

    def _end(self, steps: list[TokenStep], why: str) -> bool:
        settled, is_found = self._stops.add(steps)
        self.tell(settled + ([] if is_found else self._stops.finish()), "stop" if is_found else why)
        return False


class Scoring:
    """A text that is scored, a chunk at a time.

    Parameters
    ----------
    model : LanguageModel
    ids : list of int
        Its tokens.
    stride : int or None
    tell, is_wanted : callable
        As for `Row`.
    """

    def __init__(
        self,
        model: LocalModel,
        ids: list[int],
        stride: int | None,
        tell: Callable[[list[TokenStep], str], None],
        is_wanted: Callable[[], bool],
    ) -> None:
        self.window, self.stride = window_and_stride(model, stride)
        self.tell, self.is_wanted = tell, is_wanted
        self._looks, self._model = look(model, [model.start_id, *ids], self.window, self.stride), model
        self._steps: list[TokenStep] = []

    def go_on(self) -> bool:
        """Score one more chunk; return whether there is more."""
        some = next(self._looks, None)
        if some is not None:
            self._steps += some
            return True
        self.tell(list(with_text(self._steps, self._model.vocabulary)), "length")
        return False


class Batch:
    """What one model is doing: the rows it writes, and the prompts and texts it reads in between.

    Only one thread may use it.

    Parameters
    ----------
    model : LanguageModel

    Attributes
    ----------
    n_steps : int
        How often every row has got its next token.
    """

    def __init__(self, model: LocalModel) -> None:
        self.model, self.n_steps = model, 0
        self._writing: list[Row] = []
        self._reading: collections.deque[tuple[Row | Scoring, Generator[bool, None, None]]] = collections.deque()
        self._memory = _Memory(MAX_CACHED_PROMPT_BYTES)

    @property
    def n_rows(self) -> int:
        """How many places are taken."""
        return len(self._writing) + len(self._reading)

    def add(self, row: Row | Scoring) -> None:
        """Let a row or a scoring join."""
        self._reading.append((row, self._read(row)))

    def turn(self) -> list[Row | Scoring]:
        """Write one token of every row and read one chunk; return those that have left."""
        left: list[Row | Scoring] = [row for row in self._writing if not row.is_wanted()]
        self._writing = [row for row in self._writing if row not in left]
        if self._writing:
            rows, caches = self._writing, [row.filled_cache for row in self._writing]
            # The last one, or one that was written before:
            ids = [row.ids[cache.length] for row, cache in zip(rows, caches, strict=True)]
            logits = self.model.network.step(ids, caches)
            self.n_steps += 1
            new = [i for i, row in enumerate(rows) if caches[i].length == len(row.ids)]
            left += self._take([rows[i] for i in new], logits[new]) if new else []
        if self._reading:
            left += self._read_on()
        return left

    def clear(self) -> None:
        """Let all leave, as they are."""
        for _, reader in self._reading:
            reader.close()
        self._writing, self._reading = [], collections.deque()

    def _take(self, rows: list[Row], logits: torch.Tensor) -> list[Row]:
        """Draw the next token of each row; return the rows that have ended, which stay no longer."""
        steps = draw(rows, logits, self.model.vocabulary)
        left = [row for row, step in zip(rows, steps, strict=True) if not row.take(step, self.model)]
        self._writing = [row for row in self._writing if row not in left]
        return left

    def _read_on(self) -> list[Row | Scoring]:
        """Read one chunk of one prompt; those that wait take turns, so that a short one is not behind a long one."""
        row, reader = self._reading[0]
        is_wanted = row.is_wanted()
        if is_wanted and next(reader, None) is not None:
            self._reading.rotate(-1)
            return []
        self._reading.popleft()
        if isinstance(row, Scoring) or not is_wanted:
            reader.close()
            return [row]
        cache, logits = self._memory[row.prompt]
        row.cache = cache.copy()
        self._writing.append(row)
        return [*self._take([row], logits)] if row.cache.length == len(row.ids) else []

    def _read(self, row: Row | Scoring) -> Generator[bool, None, None]:
        """Read a prompt or score a text; yield after each chunk but the last."""
        if isinstance(row, Scoring):
            while row.go_on():
                yield True
            return
        prompt = row.prompt
        while prompt not in self._memory:
            if self._memory.is_being_read(prompt):  # by another sample of the same request
                yield True
                continue
            with self._memory.reading(prompt) as keep:
                cache, ids = self.model.network.new_cache(), self.model.tensor(prompt)
                for start in range(0, len(prompt), CHUNK):
                    if start:
                        yield True
                    logits = read(self.model.network, ids[:, start : start + CHUNK], cache)
                keep(cache, logits)


class _Memory:
    """Prompts that were read lately, with what the network remembers of them: the longest unused goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: collections.OrderedDict[tuple[int, ...], ReadPrompt] = collections.OrderedDict()
        self._being_read: set[tuple[int, ...]] = set()

    def __contains__(self, ids: list[int]) -> bool:
        return tuple(ids) in self._kept

    def __getitem__(self, ids: list[int]) -> ReadPrompt:
        self._kept.move_to_end(tuple(ids))
        return self._kept[tuple(ids)]

    def is_being_read(self, ids: list[int]) -> bool:
        return tuple(ids) in self._being_read

    @contextlib.contextmanager
    def reading(self, ids: list[int]) -> Iterator[Callable[[Cache, torch.Tensor], None]]:
        """Hold a prompt's place while it is being read, also where the reader is given up."""
        key = tuple(ids)
        self._being_read.add(key)
        try:
            yield lambda cache, logits: self._keep(key, cache, logits)
        finally:
            self._being_read.discard(key)

    def _keep(self, key: tuple[int, ...], cache: Cache, logits: torch.Tensor) -> None:
        self._kept[key] = cache, logits
        n_bytes = [each.nbytes for each, _ in self._kept.values()]
        while len(n_bytes) > 1 and sum(n_bytes) > self._most:
            self._kept.popitem(last=False)
            del n_bytes[0]


# -- drawing -----------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def draw(rows: list[Row], logits: torch.Tensor, vocabulary: Vocabulary) -> list[TokenStep]:
    """Choose the next token of every row by its own settings, seed and step; say what the model thought of it.

    Parameters
    ----------
    rows : list of Row
    logits : torch.Tensor of shape (B, V)
    vocabulary : Vocabulary

    Returns
    -------
    list of TokenStep
        One a row; of rows that do not look, only the token.
    """
    chosen, probabilities = torch.empty(len(rows), dtype=torch.long), [0.0] * len(rows)
    kinds = sorted(range(len(rows)), key=lambda i: repr(rows[i].kind))
    for _, group in itertools.groupby(kinds, key=lambda i: rows[i].kind):
        places = list(group)
        ids, its = _draw_alike([rows[i] for i in places], logits[places])
        chosen[places] = ids
        for i, p in zip(places, its, strict=True):
            probabilities[i] = p
    steps = [
        TokenStep(0, "", token_id, p, 0.0, 0, 0.0) for token_id, p in zip(chosen.tolist(), probabilities, strict=True)
    ]
    looking = [i for i, row in enumerate(rows) if row.looks]
    if looking:
        seen = observe(logits[looking], chosen[looking].to(logits.device), vocabulary, apart=True)
        for i, step in zip(looking, seen, strict=True):
            steps[i] = dataclasses.replace(step, probability=probabilities[i])
    return steps


def _draw_alike(rows: list[Row], logits: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
    """Draw for rows with the same settings."""
    settings = rows[0].settings
    # Only the repetition penalty looks at the tokens before, and rows that have one are drawn alone.
    seen = torch.tensor([rows[0].ids if settings.repetition_penalty != 1 else []], device=logits.device)
    scores = sampling.process(settings, seen, logits)
    if settings.is_greedy:
        return scores.argmax(dim=-1).cpu(), [1.0] * len(rows)
    drawn = [sampling.draw(its, row.seed, row.step) for its, row in zip(scores, rows, strict=True)]
    return torch.tensor([token for token, _ in drawn]), [p for _, p in drawn]
