"""Measure our stream against transformers' own generate, and our reading against the plain loop over windows.

Run with ``make bench``. The figures that count are the ratios: they compare two programs on the same machine at the
same time, where tokens a second compare only machines.
"""

import argparse
import statistics
import threading
import time

import course_utils  # noqa: F401  first: it keeps the libraries' progress bars out of the table  isort: skip
import numpy as np
import torch
from transformers import AutoModelForCausalLM, TextIteratorStreamer

from course_utils.data import news_articles
from course_utils.experiments.sizes.compare import family_here, held_out_news
from course_utils.models.inference.language_model import LanguageModel, load
from course_utils.models.inference.scoring import WINDOW, score_nats, windows
from course_utils.models.inference.settings import Settings
from course_utils.models.quantization import precision
from course_utils.models.registry import registry

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
    name = options.model or registry.best_here()
    reference, default = load(name, "fp32"), load(name)
    for model in (reference, default):
        model.end_ids = frozenset()  # write on past the end of a text, as `generate` is told to by min_new_tokens
    plain = AutoModelForCausalLM.from_pretrained(registry.find(name), dtype=torch.float32).eval()
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
    for each in dict.fromkeys([*family_here(), name]):
        report_reading(load(each, "fp32"), options.rounds)


@torch.inference_mode()
def read_plainly(network: torch.nn.Module, model: LanguageModel, documents: list[str]) -> list[np.ndarray]:
    """Score one window after the other on the untouched network, as the textbook loop does."""
    found, window = [], min(model.context, WINDOW)
    for document in documents:
        ids = [model.start_id, *model.encode(document)]
        nats = np.empty(len(ids) - 1)
        for begin, new, end in windows(len(nats), window, window // 2):
            scores = torch.log_softmax(network(model.tensor(ids[begin:end])).logits[0], dim=-1)
            nats[new:end] = -scores[new - begin :].gather(1, model.tensor(ids[new + 1 : end + 1]).T)[:, 0].cpu()
        found.append(nats)
    return found


def report_reading(model: LanguageModel, n_rounds: int) -> None:
    """Print how many times as fast as the plain loop our reading is, on whole articles and on headlines."""
    if not news_articles.is_here():
        print("no news articles to read: python -m course_utils fetch texts")
        return
    news = news_articles.articles("held_out")
    network = AutoModelForCausalLM.from_pretrained(registry.find(model.name), dtype=torch.float32).eval()
    for title, documents in {
        "articles": held_out_news(6),
        "headlines": [a.title for a in news if a.title][:60],
    }.items():
        ways = {"one core": {"all_cores": False}, "all cores": {}, "all cores, bf16": {"bf16": True}}
        ratios = {way: [] for way in ways}
        for number in range(n_rounds + 1):
            plain_s, plain = timed(read_plainly, network, model, documents)
            for way, options in ways.items():
                ours_s, ours = timed(score_nats, model, documents, **options)
                if way == "one core":
                    gap = max(np.abs(a - b).max() for a, b in zip(ours, plain, strict=True))
                if number:  # the first round warms up
                    ratios[way].append(plain_s / ours_s)
        told = ", ".join(f"{way} {statistics.median(measured):.2f}×" for way, measured in ratios.items())
        print(f"{model.name:16} {title:9} against one window at a time: {told}; largest gap in fp32 {gap:.0e} nats")


def timed(function, *arguments, **options) -> tuple[float, object]:
    """Return the seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


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
