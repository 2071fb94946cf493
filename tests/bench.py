"""Measure our stream against transformers' own generate with its streamer: same model, prompt and settings, one run.

Run with ``make bench``. The figures that count are the ratios: they compare two programs on the same machine at the
same time, where tokens a second compare only machines.
"""

import argparse
import statistics
import threading
import time

import course_utils  # noqa: F401  first: it keeps the libraries' progress bars out of the table  isort: skip
import torch
from transformers import AutoModelForCausalLM, TextIteratorStreamer

from course_utils.models import precision, shelf
from course_utils.models.language_model import LanguageModel, load
from course_utils.models.sampling import Settings

PROMPT = "In a small town by the sea, the newspaper printed a story that nobody had written. "


def ours(model: LanguageModel, settings: Settings) -> tuple[float, float]:
    """Return seconds to the first token and tokens a second after it."""
    start = time.perf_counter()
    times = [time.perf_counter() for _ in model.stream(PROMPT, settings)]
    return times[0] - start, len(times) / (times[-1] - start)


def theirs(plain: tuple, settings: Settings) -> tuple[float, float]:
    """Do the same with ``generate`` in a thread and a streamer on the untouched network, as its documentation shows."""
    network, model = plain
    ids = model.tensor(model.encode(PROMPT))
    streamer = TextIteratorStreamer(model.tokenizer, skip_prompt=True, timeout=120)
    options = {
        "max_new_tokens": settings.max_new_tokens,
        "min_new_tokens": settings.max_new_tokens,
        "do_sample": True,
        "temperature": settings.temperature,
        "top_k": settings.top_k,
        "top_p": settings.top_p,
        "pad_token_id": model.start_id,
    }
    start = time.perf_counter()
    arguments = {"inputs": ids, "attention_mask": ids.new_ones(ids.shape), "streamer": streamer, **options}
    thread = threading.Thread(target=network.generate, kwargs=arguments)
    thread.start()
    pieces = [time.perf_counter() for piece in streamer if piece]
    thread.join()
    return pieces[0] - start, settings.max_new_tokens / (time.perf_counter() - start)


def main() -> None:
    """Alternate between the programs, so that a busy moment of the machine meets all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="a name on the shelf; the best one here when left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    name = options.model or shelf.best_here()
    reference, default = load(name, "fp32"), load(name)
    for model in (reference, default):
        model.end_ids = frozenset()  # write on past the end of a text, as `generate` is told to by min_new_tokens
    plain = AutoModelForCausalLM.from_pretrained(shelf.find(name), dtype=torch.float32).eval()
    runs = {"transformers.generate, fp32": (theirs, (plain, reference)), "our stream, fp32": (ours, reference)}
    runs[f"our stream, default ({default.precision})"] = (ours, default)
    measured: dict[str, list[tuple[float, float]]] = {title: [] for title in runs}
    for number in range(options.rounds + 1):
        settings = Settings(max_new_tokens=options.tokens, temperature=0.8, seed=number)
        for title, (program, model) in runs.items():
            figures = program(model, settings)
            if number:  # the first round warms up
                measured[title].append(figures)
    report(name, measured)


def report(name: str, measured: dict[str, list[tuple[float, float]]]) -> None:
    """Print the median of every figure, and the median over the rounds of the ratio to the first program."""
    base = next(iter(measured.values()))
    print(f"{name} · medians of {len(base)} rounds · self-test of one token: {precision.measure()}\n")
    print(f"{'program':32} {'first token, s':>15} {'tokens/s':>9} {'ratio to generate':>18}")
    for title, figures in measured.items():
        first = statistics.median(f for f, _ in figures)
        speed = statistics.median(s for _, s in figures)
        ratio = statistics.median(s / b for (_, s), (_, b) in zip(figures, base, strict=True))
        print(f"{title:32} {first:15.3f} {speed:9.1f} {ratio:17.2f}×")


if __name__ == "__main__":
    main()
