"""Pocket models: lay out the texts, train the four, judge them against 5-grams, write their cards.

For maintainers; nobody who uses the models needs it. One step after the other, each into the folder WORK:

    python models/family.py texts WORK STORIES      # STORIES holds train.txt and valid.txt (DATASHEET.md says which)
    python models/family.py train WORK NAME         # one of today's four; asked again after a kill, it goes on
    python models/family.py turns WORK              # the next four, larger: all in turns; see below
    python models/family.py ngram WORK              # needs lmplz and query of KenLM on the PATH
    python models/family.py judge WORK              # bits per character of each model and of the 5-grams
    python models/family.py publish WORK            # weights, recipe, thinned log, card: into models/; prints the table

`turns` trains the next four so that all have read equally many tokens at any time. Start it once for each processor
core. Stop it with Ctrl-C or SIGTERM at any moment, and start it again: it goes on. While a file WORK/PAUSE exists, it
waits. "--copies FOLDER" keeps copies of the checkpoints in a second folder. The learning rate is constant until the
last fifth of all steps. Until then "--passes" may be changed: the decay of all four then begins earlier or later.
"""

import argparse
import dataclasses
import io
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from course_utils.core.files import replace_file
from course_utils.core.paths import REPOSITORY
from course_utils.models.training import checkpoint, data
from course_utils.models.training.recipe import Recipe

MODELS = REPOSITORY / "models"
# The real four stand as 1 : 2.9 : 6.2 : 12.5, these as 1 : 2.8 : 6.1 : 11.5. All see the same tokens in the same order.
SHARED = Recipe(context=256, vocabulary=4096, batch=16, epochs=0.75, learning_rate=1.2e-2, optimizer="muon")
FAMILY = {
    "pocket-small": dataclasses.replace(SHARED, n_layers=2, width=48, n_heads=2),
    "pocket-medium": dataclasses.replace(SHARED, n_layers=3, width=96, n_heads=2),
    "pocket-large": dataclasses.replace(SHARED, n_layers=4, width=144, n_heads=3),
    "pocket-xl": dataclasses.replace(SHARED, n_layers=5, width=192, n_heads=4),
}
# The next family, in training: about a hundredth of the real four, as 1 : 3.0 : 6.3 : 12.7.
NEXT_SHARED = Recipe(
    context=512, vocabulary=4096, batch=8, epochs=2.0, learning_rate=6e-3, optimizer="muon", schedule="wsd",
    warm_up_steps=200, decay=0.2, average_steps=200,
)  # fmt: skip
NEXT_FAMILY = {
    "pocket-small": dataclasses.replace(NEXT_SHARED, n_layers=3, width=128, n_heads=2),
    "pocket-medium": dataclasses.replace(NEXT_SHARED, n_layers=6, width=192, n_heads=3),
    "pocket-large": dataclasses.replace(NEXT_SHARED, n_layers=8, width=256, n_heads=4),
    "pocket-xl": dataclasses.replace(NEXT_SHARED, n_layers=11, width=320, n_heads=5),
}
# A training asks for the same large pieces of memory at every step. By default glibc gives each back to the system,
# which clears it before the next use. Kept, and in large pages, they make a step of the smallest 1.7 times as fast.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "8000000000", "MALLOC_TRIM_THRESHOLD_": "16000000000", "MALLOC_TOP_PAD_": "200000000",
    "THP_MEM_ALLOC_ENABLE": "1",
}  # fmt: skip
KINDS = ("stories", "news")
BETWEEN = f"\n{data.END}\n"


def texts(work: Path, stories: Path) -> None:
    """Lay out what is trained on and what is held out, learn the vocabulary, pack both."""
    from course_utils.data import news_articles as news

    for part, folder in (("train", "train"), ("held_out", "held_out")):
        whole = BETWEEN.join(f"{article.title}\n\n{article.text}" for article in news.articles(part))
        replace_file(work / folder / "news.txt", whole)
    # A sixth as much news as stories: read twice, so that a headline too is continued in kind.
    replace_file(work / "train/news_again.txt", (work / "train/news.txt").read_bytes())
    replace_file(work / "train/stories.txt", (stories / "train.txt").read_bytes())
    replace_file(work / "held_out/stories.txt", (stories / "valid.txt").read_bytes())
    documents = data.read_documents(work / "train")
    tokenizer = data.train_tokenizer(documents, SHARED.vocabulary)
    checkpoint.save_pretrained(work / "vocabulary", tokenizer)
    _save_row(work / "train.npy", data.pack(documents, tokenizer))
    for kind in KINDS:
        held_out = data.read_documents(work / f"held_out/{kind}.txt")
        _save_row(work / f"{kind}.npy", data.pack(held_out, tokenizer))


def train(work: Path, name: str, threads: int | None) -> None:
    """Train one of today's four, a line at each reading of the held-out texts."""
    import torch

    from course_utils.models.training.trainer import Training

    if threads:
        torch.set_num_threads(threads)
    tokenizer, row, held_out = _laid_out(work)
    training = Training(FAMILY[name], tokenizer, row, work / name, held_out, held_out_times=50)
    for progress in training:
        if progress.held_out_bits:
            print(name, json.dumps(dataclasses.asdict(progress)), f"{progress.eta_s / 60:.0f} min left", flush=True)


def turns(work: Path, passes: float | None, copies: Path | None, threads: int | None) -> None:
    """Train the next four in turns, until all are finished or the process is told to stop."""
    if sys.platform == "linux" and not KEEP_MEMORY.keys() <= os.environ.keys():  # is read at the start of a process
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **KEEP_MEMORY})
    import torch
    from in_turns import Turns  # beside this file

    torch.set_num_threads(threads or 1)
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(True))  # looked at between two steps
    family = {name: dataclasses.replace(one, epochs=passes or one.epochs) for name, one in NEXT_FAMILY.items()}
    Turns(family, *_laid_out(work), work, copies).run(lambda: bool(stopped))


def ngram(work: Path, order: int = 5) -> None:
    """Train the honest baseline, modified Kneser-Ney on the same tokens (Heafield et al. 2013, KenLM), and judge it."""
    model = work / f"{order}-gram.arpa"
    # Each document once: counted twice, no 5-gram of the news would be rare, and rarity is what it smooths by.
    lines = "".join(dict.fromkeys(_as_lines(np.load(work / "train.npy")).splitlines(keepends=True)))
    with model.open("w") as out:
        command = ["lmplz", "-o", str(order), "--discount_fallback", "-S", "4G", "-T", str(work)]
        subprocess.run(command, input=lines, stdout=out, check=True, text=True)
    bits = {}
    for kind in KINDS:
        held_out = _as_lines(np.load(work / f"{kind}.npy"))
        command = ["query", "-v", "sentence", str(model)]
        said = subprocess.run(command, input=held_out, capture_output=True, check=True, text=True).stdout
        log10 = sum(float(line.split()[1]) for line in said.splitlines() if line.startswith("Total:"))
        bits[kind] = -log10 * math.log2(10) / _n_characters(work, kind)
    replace_file(work / "ngram.json", json.dumps({f"{order}-gram": bits}, indent=1))
    print(json.dumps(bits))


def judge(work: Path) -> dict[str, dict[str, float]]:
    """Return bits per character, the end of each document included, on the whole held-out texts."""
    from course_utils.models.inference.language_model import LanguageModel

    found = json.loads((work / "ngram.json").read_text()) if (work / "ngram.json").exists() else {}
    for name in FAMILY:
        if (work / name / "model.safetensors").exists():
            model = LanguageModel(work / name)
            found[name] = {kind: _bits(model, work, kind) for kind in KINDS}
            print(name, json.dumps(found[name]), flush=True)
    replace_file(work / "judged.json", json.dumps(found, indent=1))
    return found


def _bits(model, work: Path, kind: str) -> float:
    """Score every document from its start to its end mark, as the 5-grams are scored."""
    from course_utils.models.inference.scoring import score_nats

    documents = data.read_documents(work / f"held_out/{kind}.txt")
    nats = sum(float(one.sum()) for one in score_nats(model, [document + data.END for document in documents]))
    return nats / math.log(2) / _n_characters(work, kind)


def _laid_out(work: Path) -> tuple[PreTrainedTokenizerFast, np.ndarray, dict[str, np.ndarray]]:
    """Return what `texts` laid out: the vocabulary, the packed text, the packed held-out texts."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "vocabulary")
    return tokenizer, np.load(work / "train.npy"), {kind: np.load(work / f"{kind}.npy") for kind in KINDS}


def _save_row(file: Path, row: np.ndarray) -> None:
    whole = io.BytesIO()
    np.save(whole, row)
    replace_file(file, whole.getvalue())


def _as_lines(row: np.ndarray) -> str:
    """Return a packed row as KenLM reads it: a document a line, its tokens as numbers."""
    ends = np.flatnonzero(row == 0)
    return "".join(" ".join(map(str, row[a + 1 : b])) + "\n" for a, b in zip(ends[:-1], ends[1:], strict=True))


def _n_characters(work: Path, kind: str) -> int:
    return sum(map(len, data.read_documents(work / f"held_out/{kind}.txt")))


def main() -> None:
    """Run the step that was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("texts", "train", "turns", "ngram", "judge", "publish"))
    parser.add_argument("work", type=Path)
    parser.add_argument("what", nargs="?", help="STORIES for texts, NAME for train")
    parser.add_argument("--threads", type=int, help="processor threads; for turns, 1 when left out")
    parser.add_argument("--passes", type=float, help="turns: passes over the text, instead of the recipe's")
    parser.add_argument("--copies", type=Path, help="turns: a second folder for copies of the checkpoints")
    chosen = parser.parse_args()
    match chosen.step:
        case "texts":
            texts(chosen.work, Path(chosen.what))
        case "train":
            train(chosen.work, chosen.what, chosen.threads)
        case "turns":
            turns(chosen.work, chosen.passes, chosen.copies, chosen.threads)
        case "ngram":
            ngram(chosen.work)
        case "judge":
            judge(chosen.work)
        case "publish":
            import cards  # beside this file

            for name in FAMILY:
                cards.publish(chosen.work, name, MODELS / name)
            print(cards.page(chosen.work, MODELS))


if __name__ == "__main__":
    main()
