"""Records and essays for the laws of the claim checker."""

from course_utils.evidence.claims.check import Finding, check
from course_utils.evidence.essay.essay import Essay, Section
from course_utils.evidence.essay.readings import readings
from course_utils.evidence.ledger.record import Record, seal

FILLER = "This sentence only fills the section, and it says in many plain words nothing that a record could deny. "
MEASURED = {
    "finding": "A detector was tried.", "note": "", "metric": "auc", "of": "words", "unit": "AUC", "low": None,
    "high": None, "n": None, "row": None, "experiment": "", "inputs": None, "settings": {}, "models": {}, "seed": None,
    "rows": [], "versions": {},
}  # fmt: skip


def record(value: float = 0.8912, **more: object) -> Record:
    """A record as a ledger would hold it."""
    return seal({**MEASURED, "value": value, **more}, "2026-01-01T00:00:00Z", "0" * 64, ())


PERPLEXITY = {"unit": "perplexity per token", "metric": "perplexity", "n": 20}
BITS = {"unit": "bits per character", "metric": "bits_per_character", "n": 20}
SHARE = {"unit": "share", "metric": "rate", "n": 200}
RECORDS = {
    "A": record(0.8912, low=0.802, high=0.941, n=47, settings={"n_words": 40, "temperature": 1.0, "top_k": 40}),
    "B": record(0.7481, low=0.631, high=0.851, n=47, of="other words"),
    "FAR": record(0.95, low=0.93, high=0.97),
    "SHARE": record(0.3117, low=0.25, high=0.38, **SHARE),
    "TWICE": record(0.62, low=0.55, high=0.68, **SHARE),
    "FALL": record(-0.1034, unit="bits", metric="difference", low=-0.21, high=0.03),
    "P": record(31.42, of="pocket-xl", **PERPLEXITY),
    "Q": record(52.8, of="pocket-small", **PERPLEXITY),
    "BITS": record(1.643, of="xl", low=1.58, high=1.70, **BITS),
    "MORE": record(2.003, of="small", low=1.94, high=2.05, **BITS),
    "SPEED": record(1557.3, unit="tokens a second", metric="tokens_per_s"),
    "FLAGS": record(
        0.16101694, unit="share", metric="flags_right", settings={"accuracies": [0.95, 0.999], "shares": [0.01]},
        rows=[{"accuracy": 0.95, "machine_share": 0.01, "flags_right": 0.161, "wrongly_flagged_per_million": 50000.0}],
    ),
    "APART": record(12.4, unit="percentage points", metric="top_10_apart"),
    "SIZE": record(1234567, unit="parameters", metric="n_parameters"),
    "RATIO": record(2.7039, unit="times", metric="ratio of probabilities", low=2.4, high=3.0, n=10),
    "SS": record(52.3, unit="% of items; no preference is 50", metric="ss", n=40),
}  # fmt: skip


def named(text: str) -> str:
    """A text with the records' ids in the place of their names: ``[@A]`` becomes ``[@E-…]``."""
    for name, each in RECORDS.items():
        for end in "];,":
            text = text.replace(f"@{name}{end}", f"@{each.id}{end}")
    return text


def essay(thesis: str = "", **texts: str) -> Essay:
    """An essay in which nothing is missing, with these texts in it."""
    eight = "".join(FILLER.replace("section", f"section {n}") for n in range(8))
    base = {key: f"{eight.replace('fills', f'fills {i}')}[@{key}]" for i, key in enumerate(readings())}
    base |= {"thesis": thesis or FILLER, "counter": eight, "recommendation": FILLER.replace("only", "just")}
    keys = ("thesis", *readings(), "counter", "recommendation")
    return Essay(tuple(Section(key, key, texts.get(key, base[key])) for key in keys), "Staged release")


def found(text: str, *records: Record, section: str = "thesis") -> list[Finding]:
    """What is said about the words of a text that stands alone; about all records where none is named."""
    alone = Essay((Section(section, section, text),))
    return [each for each in check(alone, records or list(RECORDS.values())) if each.end]
