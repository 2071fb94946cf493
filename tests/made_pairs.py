"""Pairs of texts made by dice, whose detection is known beforehand, and a model of random weights that writes words."""

from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from course_utils.experiments.texts.pairs import PairedTexts
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.training.data import train_tokenizer

WORDS = "the a of to in court said people year new state would that report market on it for was he".split()  # noqa: SIM905
OTHERS = "zeta theta iota kappa lambda sigma omega delta gamma alpha rho phi chi psi tau nu xi mu eta".split()  # noqa: SIM905


def made_pairs(n: int, apart: float = 0.0, n_words: int = 30, seed: int = 0, generator: str = "dice") -> PairedTexts:
    """Draw n pairs; each machine word comes from other words with the probability ``apart``."""
    draw = np.random.default_rng(seed)
    human = [" ".join(draw.choice(WORDS, n_words)) for _ in range(n)]
    machine = []
    for _ in range(n):
        ordinary, strange = draw.choice(WORDS, n_words), draw.choice(OTHERS, n_words)
        machine.append(" ".join(np.where(draw.random(n_words) < apart, strange, ordinary)))
    return PairedTexts(
        generator, f"sha256 of {generator} {seed} {apart}", Settings(), "headline", n_words, 0,
        tuple(range(0, 5 * n, 5)), tuple(place % 2 == 0 for place in range(n)),
        tuple(f"Headline {i}\n\n" for i in range(n)), tuple(human), tuple(machine),
    )  # fmt: skip


def wordy_model(folder: Path, seed: int = 0) -> LanguageModel:
    """Make a model of a small vocabulary, quick to write, that draws whole words where other random weights stammer."""
    torch.manual_seed(seed)
    tokenizer = train_tokenizer([" " + " ".join(WORDS * 20)], 310)
    shape = {"n_layer": 1, "n_embd": 32, "n_head": 2, "n_positions": 768, "vocab_size": len(tokenizer)}
    model = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0))
    words = sorted({tokenizer(f" {word}")["input_ids"][0] for word in WORDS})
    with torch.no_grad():  # a direction of its own: what ends in it gets a higher logit
        model.transformer.wte.weight[:, 0] = 0
        model.transformer.wte.weight[words, 0] = 1
        model.transformer.ln_f.bias[0] = 6
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return LanguageModel(folder)
