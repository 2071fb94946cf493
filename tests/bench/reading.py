"""Measure our reading of documents against the plain loop over windows.

The figures that count are the ratios: they compare two programs on the same machine at the same time.
"""

import argparse
import statistics
import time

import course_utils  # noqa: F401  first: it keeps the libraries' progress bars out of the table  isort: skip
import numpy as np
import torch
from transformers import AutoModelForCausalLM

from course_utils.data import news_articles
from course_utils.experiments.sizes.compare import family_here, held_out_news
from course_utils.models.inference.language_model import LanguageModel, load
from course_utils.models.inference.scoring import WINDOW, score_nats, windows
from course_utils.models.registry import registry


def main() -> None:
    """Print how fast each model here reads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="a name on the shelf; the best one here when left out")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for each in dict.fromkeys([*family_here(), options.model or registry.best_here()]):
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


if __name__ == "__main__":
    main()
