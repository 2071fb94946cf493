"""What a pocket model tells about itself: card, recipe, thinned log; written from what was measured."""

import datetime
import json
import math
import platform
import textwrap
from pathlib import Path

from course_utils.core.files import replace_file
from course_utils.models.inference.sampling import Settings
from course_utils.models.registry import checksums
from course_utils.models.registry.catalogue import POCKET
from course_utils.models.training import checkpoint
from course_utils.plots.size import loss_curves

N_LINES = 300  # of a published log: enough for its curve
PROMPTS = {
    "a story": "The old house stood at the end of the lane, and",
    "a tale": "Once upon a time there was a king who",
    "a headline": "Parliament votes on new climate law",
    "a news item": "LONDON (Reuters) - The prime minister said on Tuesday",
}
SAMPLES = Settings(max_new_tokens=120, temperature=0.8, top_k=0, top_p=0.95, seed=1)


def publish(work: Path, name: str, target: Path) -> None:
    """Copy one finished model into the repository, with its card."""
    source, log = work / name, checkpoint.read(work / name)
    described = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", checkpoint.RECIPE)
    for file in (*described, "model.safetensors"):
        replace_file(target / file, (source / file).read_bytes())
    replace_file(target / checkpoint.LOG, "".join(f"{json.dumps(line)}\n" for line in thinned(log)))
    judged = json.loads((work / "judged.json").read_text())
    replace_file(target / "README.md", card(name, target, log[-1], judged, hardware(source)))
    checksums.write(target, but=("README.md", checkpoint.LOG), name=name, source="models/family.py")


def page(work: Path, models: Path) -> str:
    """Draw the family's loss curves from the published logs, and return the family's table as Markdown."""
    logs = {name: checkpoint.read(models / name) for name in POCKET}
    loss_curves(logs).save(models / "loss_curves.png")
    judged, rows = json.loads((work / "judged.json").read_text()), []
    for name in POCKET:
        n_parameters, file = (
            checksums.n_parameters(models / name / checksums.WEIGHTS),
            models / name / checksums.WEIGHTS,
        )
        told = f"{n_parameters:,} | {file.stat().st_size / 1e6:.1f} MB | {logs[name][-1]['seconds'] / 60:.0f}"
        bits = " | ".join(f"{judged[name][kind]:.3f}" for kind in ("stories", "news"))
        rows.append(f"| [{name}]({name}/README.md) | {told} | {bits} |")
    counted = [
        f"| {who} | | | | {bits['stories']:.3f} | {bits['news']:.3f} |"
        for who, bits in judged.items()
        if who not in POCKET
    ]
    head = (
        "| model | parameters | weights | minutes on a core | stories, bits per character | news, bits per character |"
    )
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: | ---: |", *rows, *counted])


def thinned(log: list[dict]) -> list[dict]:
    """Keep every reading of the held-out texts and some hundred lines between, each the mean of those it stands for."""
    every, kept, losses = math.ceil(len(log) / N_LINES), [], []
    for line in log:
        losses.append(line["loss_nats"])
        if line["held_out_bits"] or line["step"] % every == 0:
            kept.append({**line, "loss_nats": float(f"{sum(losses) / len(losses):.6g}")})
            losses = []
    return kept


def card(name: str, folder: Path, last: dict, judged: dict, machine: str) -> str:
    """Return the card as Markdown."""
    recipe = json.loads((folder / checkpoint.RECIPE).read_text())
    n_parameters = checksums.n_parameters(folder / checksums.WEIGHTS)
    shape = ", ".join(f"{key} {value}" for key, value in recipe.items())
    rows = "\n".join(f"| {who} | {bits['stories']:.3f} | {bits['news']:.3f} |" for who, bits in judged.items())
    return f"""# {name}

A GPT-2 of {n_parameters:,} parameters, trained from nothing by this project: GPT-2's architecture in miniature.
It is a specimen for comparing sizes, no assistant: it continues English stories and news items and knows nothing.

| | |
| --- | --- |
| text | 51 million characters of stories, 6.5 million of news read twice: [whose](../DATASHEET.md) |
| recipe | {shape} ([recipe.json](recipe.json)) |
| tokens seen | {last["tokens"]:,} in {last["n_steps"]:,} steps |
| compute | about {6 * n_parameters * last["tokens"]:.1e} floating-point operations (6 x parameters x tokens) |
| time | {last["seconds"] / 3600:.2f} hours on {machine} |
| loss curve | [log.jsonl](log.jsonl), thinned to a few hundred lines; drawn in [the family's page](../README.md) |
| weights | 16 bits, {(folder / "model.safetensors").stat().st_size / 1e6:.1f} MB, `model.safetensors` |
| licence | MIT, as the code. Parts of the text it learnt from belong to others: see the datasheet |
| written | {datetime.datetime.now(datetime.UTC):%B %Y} |

## Held-out bits per character
Whole held-out texts, every document from its beginning to its end mark; less is better.

| | stories | news |
| --- | --- | --- |
{rows}

## Samples, unselected
The first text of each prompt, good or bad: seed {SAMPLES.seed}, temperature {SAMPLES.temperature},
top-p {SAMPLES.top_p}, {SAMPLES.max_new_tokens} tokens.

{samples(folder)}

## Known faults
Grammar holds for a phrase, sometimes for a sentence; sense seldom does. Words are made up out of their pieces, names
change or vanish within a paragraph, facts, figures and quotations are invented; loops appear at low temperature. It
writes in the manner of 1813 to 1928 and of early 2017, prejudices included. Its vocabulary has 4,096 entries and its
context 256 tokens, a quarter of GPT-2's. It can repeat phrases of its training text.
"""


def hardware(folder: Path) -> str:
    """Return what the training ran on, as noted beside it."""
    note = folder / "hardware.txt"
    return note.read_text("utf-8").strip() if note.exists() else platform.processor() or platform.machine()


def samples(folder: Path) -> str:
    """Return what the model writes to each prompt, as quoted Markdown."""
    from course_utils.models.inference.language_model import LanguageModel

    model, parts = LanguageModel(folder), []
    for what, prompt in PROMPTS.items():
        text = model.generate(prompt, SAMPLES)[0].text
        parts.append(f"{what.capitalize()}:\n\n" + textwrap.indent(f"**{prompt}**{text}", "> ", lambda line: True))
    return "\n\n".join(parts)
