"""A class's pictures in words and bars: for each question a title, rows with intervals, and who is still missing."""

from collections.abc import Iterable, Sequence

from course_utils.classroom import votes as ballot
from course_utils.classroom.tally import MIN_VOTERS, Tally, wilson
from course_utils.models.registry.release_stage import NAMES as STAGES
from course_utils.models.registry.release_stage import SIZES

TITLES = {
    ballot.SIZES: "Sizes, ranked blind",
    ballot.READERS: "Human or machine",
    ballot.TIMELINE: "Release decisions",
    ballot.EVIDENCE: "Kept numbers",
}
DECISIONS = {"release": "Release it now", "wait": "Wait", "never": "Never release it"}
WILSON = "Lines: Wilson's 95% interval."
OF_READERS = (
    "Dashed: guessing by coin. The line of the first row is a 95% interval over readers; those below are Wilson's over "
    "answers, which are a little too short: answers of one reader are not independent."
)


def pictures(tallies: Iterable[Tally]) -> list[dict[str, object]]:
    """Return what the page draws, one picture a question; neighbours in size share one.

    Returns
    -------
    list of dict
        key, demo, title, n (who voted), shown (whose votes the picture has), more (what it waits for, in words),
        mark (a share to mark, or None), hint, and rows: label, value, low, high, words.
    """
    told: dict[str, list[Tally]] = {}
    for tally in tallies:
        is_pair = tally.question.startswith("pair ")
        told.setdefault("pairs" if is_pair else f"{tally.demo} {tally.question}", []).append(tally)
    made = [{"key": key, **_picture(each)} for key, each in told.items()]
    return sorted(made, key=lambda each: ballot.DEMOS.index(each["demo"]))


def missing(tally: Tally) -> str:
    """Return who must still vote until a picture comes or changes, in words.

    Examples
    --------
    >>> missing(Tally("timeline", "Feb 2019", 2, None, 2, 3))
    '2 have voted; 3 more needed: a picture is of 5 people at least.'
    """
    voted = f"{tally.n} {'has' if tally.n == 1 else 'have'} voted"
    if tally.shown is None:
        if tally.n + tally.needed > MIN_VOTERS:  # some have taken back their votes: who they were must not show
            return f"{voted}; the next picture comes with {tally.needed} more."
        return f"{voted}; {tally.needed} more needed: a picture is of {MIN_VOTERS} people at least."
    if not tally.waiting:
        return f"{voted}, and all are in the picture."
    return f"{voted}, {tally.shown['n']} are in the picture; it changes with {tally.needed} more."


def _picture(tallies: Sequence[Tally]) -> dict[str, object]:
    tally = tallies[0]
    title, mark, hint = _about(tally)
    seen = [each for each in tallies if each.shown]
    return {
        "demo": tally.demo,
        "title": title,
        "n": max(each.n for each in tallies),
        "shown": max((each.shown["n"] for each in seen), default=0),
        "more": missing(max(tallies, key=lambda each: (each.n, each.needed))),
        "mark": mark,
        "hint": hint if seen else "",
        "rows": [row for each in seen for row in _rows(each)],
    }


def _about(tally: Tally) -> tuple[str, float | None, str]:
    """Return a question's title, the share to mark, and the words below its picture."""
    if tally.demo == ballot.TIMELINE:
        size = SIZES[STAGES.index(tally.question) + 1]
        return f"{tally.question}: would you release the next size, {size}, now?", None, WILSON
    if tally.demo == ballot.READERS:
        return "Who wrote it? How much was judged rightly", 0.5, OF_READERS
    if tally.demo == ballot.EVIDENCE:
        kind, metric, row, model = tally.question.split(" ", 3)
        place = f", row {row}" if row else ""
        mean = f"Mean {tally.shown['mean']:g}. " if tally.shown else ""
        hint = f"{mean}Kept with any settings: bars are shares of the kept numbers."
        return f"{metric.replace('_', ' ')} of {model.replace('|', ' against ')} ({kind}{place})", None, hint
    names = ballot.models_in_question(tally.question)
    if tally.question.startswith("pair "):
        return "How often the larger of two neighbours in size was preferred", 0.5, f"Dashed: a coin. {WILSON}"
    chance = f"Dashed: chance, 1 of {len(names)}. {WILSON}"
    return f"Which text came first? {len(names)} models, names hidden", 1 / len(names), chance


def _rows(tally: Tally) -> list[dict[str, object]]:
    shown, n = tally.shown, tally.shown["n"]
    if tally.demo == ballot.READERS:
        return _reader_rows(shown)
    if tally.demo == ballot.EVIDENCE:
        return _bin_rows(shown)
    counts = shown["counts"]
    if tally.question.startswith("pair "):
        smaller, larger = ballot.models_in_question(tally.question)
        return [_row(f"{larger} over {smaller}", counts.get(larger, 0), n)]
    choices = (
        DECISIONS
        if tally.demo == ballot.TIMELINE
        else {name: name for name in ballot.models_in_question(tally.question)}
    )
    return [_row(label, counts.get(choice, 0), n) for choice, label in choices.items()]


def _reader_rows(shown: dict) -> list[dict[str, object]]:
    mean, low, high = shown["mean"], shown["low"], shown["high"]
    words = f"{mean:.0%} ({low:.0%} to {high:.0%}), {shown['n']} readers, {shown['texts']} answers"
    first = {"label": "Right answers, mean of readers", "value": mean, "low": low, "high": high, "words": words}
    kinds = (("human", "People's texts called human"), ("machine", "Machine's texts called human"))
    return [first, *(_row(label, shown[f"{kind}_called_human"], shown[kind]) for kind, label in kinds if shown[kind])]


def _bin_rows(shown: dict) -> list[dict[str, object]]:
    ends = [shown["low"] + place * shown["width"] for place in range(len(shown["bins"]) + 1)]
    return [
        {"label": f"{low:.6g} to {high:.6g}", "value": count / shown["n"], "low": None, "high": None}
        | {"words": f"{count} of {shown['n']}"}
        for low, high, count in zip(ends, ends[1:], shown["bins"], strict=False)
    ]


def _row(label: str, count: int, n: int) -> dict[str, object]:
    low, high = wilson(count, n)
    words = f"{count / n:.0%} ({low:.0%} to {high:.0%}), {count} of {n}"
    return {"label": label, "value": count / n, "low": low, "high": high, "words": words}
