"""Training data: a folder of text becomes a vocabulary and one row of tokens with document boundaries.

Every file ends in ``.txt`` and is UTF-8. A line that holds only ``<|endoftext|>`` parts two documents; so does the end
of a file. A file that should count twice lies in the folder twice.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from course_utils.errors import TextError

END = "<|endoftext|>"
MIN_VOCABULARY = 257  # every byte, and END


def read_documents(folder: Path) -> list[str]:
    """Read every ``.txt`` file of a folder, or one file, and part it into documents.

    Parameters
    ----------
    folder : Path
        A folder, of which sub-folders are read too, or one file.

    Returns
    -------
    list of str
        In the order of the files' names; blank documents are left out.

    Raises
    ------
    TextError
        No such folder, no text in it, or a file that is not UTF-8: it names the file and the line.
    """
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.txt"))
    documents = [part.strip("\n") for file in files for part in _read(file).split(f"\n{END}\n")]
    documents = [document.removesuffix(f"\n{END}") for document in documents if document.strip(" \n") not in ("", END)]
    if not documents:
        what = "holds no .txt file with words in it" if folder.exists() else "does not exist"
        raise TextError(
            f"{folder} {what}.",
            f"A folder of UTF-8 files ending in .txt, with a line {END} between documents.",
            "Put text there, or name another folder.",
        )
    return documents


def _read(file: Path) -> str:
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TextError(
            f"{file}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8.",
            "Text in UTF-8.",
            "Open it in an editor and save it as UTF-8, or move it out of the folder.",
        ) from error


def train_tokenizer(documents: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE of GPT-2's kind from the documents.

    Parameters
    ----------
    documents : sequence of str
        The more, the better the merges; the order makes no difference to the counts.
    vocabulary : int
        V: the 256 bytes, the merges and ``<|endoftext|>``, which is id 0.

    Raises
    ------
    TextError
        The vocabulary is smaller than the bytes, or the text is too poor for so large a one.

    References
    ----------
    Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2.
    """
    if vocabulary < MIN_VOCABULARY:
        raise TextError(f"vocabulary is {vocabulary}.", f"At least {MIN_VOCABULARY}.", "Ask for more entries.")
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        documents,
        trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
        ),
    )
    if bpe.get_vocab_size() < vocabulary:
        raise TextError(
            f"The text yields only {bpe.get_vocab_size()} vocabulary entries of the {vocabulary} asked for.",
            "Text with more different words, or a smaller vocabulary.",
            f"Add text, or ask for a vocabulary of {bpe.get_vocab_size()}.",
        )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=END, eos_token=END, unk_token=END)


def pack(documents: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Return all documents as one row of token ids, ``<|endoftext|>`` before each and after the last.

    Returns
    -------
    np.ndarray
        Shape (n_tokens,); uint16 where the vocabulary allows it, which halves the memory of a long row.
    """
    kind = np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32
    end = [tokenizer.eos_token_id]
    parts = []
    for first in range(0, len(documents), 256):  # so that a large folder is never held as Python lists
        encoded = tokenizer.backend_tokenizer.encode_batch_fast(
            list(documents[first : first + 256]), add_special_tokens=False
        )
        parts += [np.array(end + one.ids, dtype=kind) for one in encoded]
    return np.concatenate([*parts, np.array(end, dtype=kind)])


def fingerprint(row: np.ndarray) -> str:
    """Return the sha256 of a row: a training goes on only with the text it began with."""
    return hashlib.sha256(row.tobytes()).hexdigest()


class Batches:
    """Which tokens each step sees, decided by the seed alone, so that a resumed training goes on as if never stopped.

    The row is cut into windows of ``context`` tokens, each with the token after it. Every pass over the text cuts at
    another place and takes the windows in another order.

    Parameters
    ----------
    row : np.ndarray
        Shape (n_tokens,), from ``pack``.
    context, batch : int
        T and B.
    seed : int
        From 0.

    Raises
    ------
    TextError
        The row is shorter than one window.
    """

    def __init__(self, row: np.ndarray, context: int, batch: int, seed: int) -> None:
        self.row, self.context, self.batch, self.seed = row, context, batch, seed
        self.n_windows = (len(row) - context) // context
        if self.n_windows < 1:
            raise TextError(
                f"The text is {len(row):,} tokens long; a window takes {2 * context:,}.",
                f"At least twice the context of {context} tokens.",
                "Add text, or ask for a shorter context.",
            )
        self._pass = (-1, 0, np.empty(0, dtype=np.int64))

    def steps(self, epochs: float) -> int:
        """Return how many batches make so many passes over the text, at least one."""
        return max(1, math.ceil(epochs * self.n_windows / self.batch))

    def __getitem__(self, step: int) -> np.ndarray:
        """Return the windows of a step, shape (B, T + 1), int64."""
        indices = range(step * self.batch, (step + 1) * self.batch)
        starts = np.array([self._start(*divmod(index, self.n_windows)) for index in indices])
        return self.row[starts[:, None] + np.arange(self.context + 1)].astype(np.int64)

    def _start(self, epoch: int, window_index: int) -> int:
        if self._pass[0] != epoch:
            random = np.random.Generator(np.random.Philox([self.seed, epoch]))
            self._pass = (epoch, int(random.integers(self.context)), random.permutation(self.n_windows))
        return self._pass[1] + int(self._pass[2][window_index]) * self.context
