"""Compare int8 with fp32 on held-out news: perplexity, ranks and the ten likeliest tokens of every model that is here.

Run with ``python tests/int8_quality.py [--documents 20] [--tokens 512]``. The models are compared at the same places of
the same documents. "same rank" counts the tokens that came whose rank is the same in both; "rank within 10 %" those
whose rank differs by at most a tenth; "top 10" is the mean share of the ten likeliest tokens that both name; "first"
is how often both name the same likeliest token.
"""

import argparse
import math

import course_utils  # noqa: F401  first: it keeps the libraries' progress bars out of the table  isort: skip
import torch

from course_utils.experiments.sizes.compare import held_out_news
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.registry import registry

COLUMNS = "model | tokens | perplexity fp32 | int8 | difference | same rank | rank within 10 % | top 10 | first"


@torch.inference_mode()
def compared(name: str, documents: list[str], n_tokens: int) -> list[str]:
    """Return one row of the table."""
    folder = registry.find(name)
    whole, eight = (LanguageModel(folder, precision, name=name) for precision in ("fp32", "int8"))
    sums, n = torch.zeros(6, dtype=torch.float64), 0
    for document in documents:
        ids = [whole.start_id, *whole.encode(document)][: min(n_tokens, whole.context) + 1]
        came = torch.tensor(ids[1:])[:, None]
        logits = [
            model.network.read(torch.tensor([ids[:-1]]), model.network.new_cache(), all_logits=True)
            for model in (whole, eight)
        ]
        nats = [-torch.log_softmax(each, dim=1).gather(1, came).double().sum() for each in logits]
        ranks = [(each > each.gather(1, came)).sum(dim=1) + 1 for each in logits]
        tops = [each.topk(10).indices for each in logits]
        near = (ranks[0] - ranks[1]).abs() <= 0.1 * ranks[0]
        shared = (tops[0][:, :, None] == tops[1][:, None]).any(dim=2).double().mean(dim=1)
        counts = [ranks[0] == ranks[1], near, shared, tops[0][:, 0] == tops[1][:, 0]]
        sums += torch.stack([*nats, *(each.double().sum() for each in counts)])
        n += len(came)
    perplexities = [math.exp(total / n) for total in sums[:2].tolist()]
    shares = [f"{100 * total / n:.1f} %" for total in sums[2:].tolist()]
    change = f"{100 * (perplexities[1] / perplexities[0] - 1):+.2f} %"
    return [name, f"{n:,}", *(f"{each:.3f}" for each in perplexities), change, *shares]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=512, help="of each document at most")
    parser.add_argument("--models", nargs="*", help="all that are here when left out")
    args = parser.parse_args()
    documents = held_out_news(args.documents)
    names = args.models or [each.name for each in registry.entries() if registry.is_here(each.name)]
    print(f"| {COLUMNS} |\n|{' --- |' * len(COLUMNS.split('|'))}", flush=True)
    for name in names:
        print(f"| {' | '.join(compared(name, documents, args.tokens))} |", flush=True)


if __name__ == "__main__":
    main()
