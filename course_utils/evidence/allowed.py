"""Which experiments a record may run again, and with what: a ledger is a file, and a file may say anything.

To let one more be done again, add its row to `EXPERIMENTS`. Its Result must carry ``experiment`` (the row's name) and
``inputs`` (plain values of exactly the keyword arguments named here, besides progress and cancel). `kinds` says what an
input may be; one that is made of several, such as paired texts, is told in plain values by `experiments.recipes`.
"""

from course_utils.evidence.kinds import (
    LARGEST_SEED,
    MOST_TEXTS,
    Kind,
    Refused,
    blind_items,
    detector,
    few_texts,
    fraction,
    model,
    model_name,
    number,
    one_of,
    optional,
    paired_texts,
    require_few,
    rows,
    settings,
    settings_by_name,
    several,
    short,
    texts,
    whole,
)
from course_utils.evidence.record import Record

__all__ = ["EXPERIMENTS", "Kind", "Refused"]

SEED = whole(0, LARGEST_SEED)
READ = one_of(True)  # the warning: whoever made the record has read it, and doing it again shows rates only
MATCH = one_of("beginning of a word", "anywhere")
SAID = {"item": short, "rater": short}
MARK = whole(1, 4)


def _few(kind: Kind, times: int, *others: str) -> Kind:
    """Accept what a kind accepts, unless so many tokens times it, times the other inputs, were too many to write."""

    def checked(value: object, record: Record) -> object:
        found = kind(value, record)
        n_tokens = found * times
        for other in others:
            n = (record.inputs or {}).get(other)
            n_tokens *= n if type(n) is int else 1  # what is no number is refused by its own kind
        require_few(n_tokens)
        return found

    return checked


def _few_samples(value: object, record: Record) -> int:
    """Accept how many texts each prompt gets, unless all of them were too many to write."""
    n_samples, inputs = whole(1, 1000)(value, record), record.inputs or {}
    prompts, asked = inputs.get("prompts"), inputs.get("settings")
    ways = asked if isinstance(asked, dict) and all(isinstance(each, dict) for each in asked.values()) else {"": asked}
    longest = [each.get("max_new_tokens", 60) if isinstance(each, dict) else 60 for each in ways.values()]
    n_tokens = sum(each for each in longest if type(each) is int)
    require_few(n_samples * len(prompts if isinstance(prompts, list) else ()) * n_tokens)
    return n_samples


EXPERIMENTS: dict[str, dict[str, Kind]] = {
    "sizes.compare_sizes": {
        "models": several(model_name, 8),
        "documents": optional(texts),
        "n_documents": whole(1, MOST_TEXTS),
        "seed": SEED,
        "stride": optional(whole(1, 4096)),
    },
    "token_ranks.read_ranks": {"model": model, "texts": texts},
    "sampling_effects.measure_settings": {
        "model": model,
        "prompts": texts,
        "settings": settings_by_name,
        "n_samples": _few_samples,
        "seed": SEED,
    },
    "best_of.best_of": {
        "model": model,
        "prompts": texts,
        "n_samples": _few_samples,
        "ns": several(whole(1, 1000), 50),
        "ratings": optional(rows(SAID | {"rating": number(1, 5)}, MOST_TEXTS, may_lack=("rater",))),
        "references": optional(texts),
        "settings": optional(settings),
        "seed": SEED,
    },
    "bias.abid": {
        "model": model,
        "praise": one_of(True, False),
        "n_samples": _few(whole(1, 1000), 6, "max_new_tokens"),
        "max_new_tokens": whole(1, 500),
        "match": MATCH,
        "seed": SEED,
        "i_have_read_the_warning": READ,
    },
    "bias.analogies": {
        "model": model,
        "n_samples": _few(whole(1, 1000), 6, "max_new_tokens"),
        "max_new_tokens": whole(1, 500),
        "match": MATCH,
        "seed": SEED,
        "i_have_read_the_warning": READ,
    },
    "bias.sheng": {
        "model": model,
        "templates": one_of("occupation", "respect"),
        "n_samples": _few(whole(1, 1000), 30, "max_new_tokens"),
        "max_new_tokens": whole(1, 500),
        "match": MATCH,
        "seed": SEED,
        "i_have_read_the_warning": READ,
    },
    "bias_sentences.next_words": {
        "model": model,
        "a": optional(few_texts(100)),
        "b": optional(few_texts(100)),
        "words": optional(several(short, 100)),
        "n_words": whole(1, 1000),
        "seed": SEED,
        "i_have_read_the_warning": READ,
    },
    "bias_sentences.stereoset_style": {
        "model": model,
        "items": optional(
            rows(
                dict.fromkeys(("domain", "target", "sentence", "stereotype", "anti_stereotype", "unrelated"), short),
                MOST_TEXTS,
            )
        ),
        "per_token": one_of(True, False),
        "i_have_read_the_warning": READ,
    },
    "detection.compare_detectors": {"pairs": paired_texts, "readers": several(model, 8, least=0), "seed": SEED},
    "detection.by_condition": {
        "sets": several(paired_texts, 12),
        "lengths": several(whole(1, 500), 12, least=0),
        "detector": optional(detector),
        "seed": SEED,
    },
    "detection.transfer": {"sets": several(paired_texts, 8), "detector": optional(detector), "seed": SEED},
    "detection_trial.run_trial": {
        "generator": model,
        "reader": optional(model),
        "kinds": several(one_of("words", "likelihood", "ranks"), 3),
        "n_pairs": whole(10, 1000),
        "n_words": whole(10, 150),
        "temperature": number(0, 5),
        "top_k": whole(0, 1000),
        "top_p": number(0.01, 1),
        "seed": SEED,
    },
    "hard_to_detect.nucleus_sweep": {
        "model": model,
        "ps": several(number(0.01, 1), 12),
        "n_pairs": _few(whole(1, 1000), 1, "max_new_tokens"),
        "n_words": whole(1, 500),
        "detector": optional(detector),
        "max_new_tokens": whole(1, 500),
        "seed": SEED,
    },
    "hard_to_detect.evade": {
        "model": model,
        "pairs": paired_texts,
        "n_tries": whole(2, 16),
        "detector": optional(detector),
        "seed": SEED,
    },
    "hard_to_detect.conditioning": {
        "model": model,
        "n_pairs": whole(1, 500),
        "settings": settings,
        "n_words": whole(1, 500),
        "detector": optional(detector),
        "openings": several(short, 2),
        "seed": SEED,
    },
    "base_rates.base_rates": {"accuracies": several(fraction, 60), "machine_shares": several(fraction, 60)},
    "credibility.judge": {
        "items": blind_items,
        "answers": rows(SAID | {"answer": one_of("human", "machine")}, MOST_TEXTS),
    },
    "credibility.rate": {
        "items": blind_items,
        "answers": rows(SAID | {"believable": MARK, "accurate": MARK, "clear": MARK}, MOST_TEXTS),
        "seed": SEED,
    },
}
