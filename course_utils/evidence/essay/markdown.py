"""Markdown parser to plain data, so that a page shows a person's text without parsing any HTML."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import NotRequired, TypedDict

from markdown_it import MarkdownIt
from markdown_it.token import Token

from course_utils.evidence.essay.essay import CITATION, EVIDENCE, cited_in

LONGEST = 30_000  # characters, five times an essay's longest section; what is longer is shown as one plain text
STYLES = {"em": "em", "strong": "strong", "link": "link"}
TAGS = {"heading": "h4", "paragraph": "p", "quote": "blockquote", "item": "li", "code": "pre", "table-row": "p"}


class Run(TypedDict):
    """Run of text in one style; ``id`` is the key that a citation names, ``href`` where a link goes."""

    text: str
    style: str
    id: NotRequired[str]
    href: NotRequired[str]


class Block(TypedDict):
    """Block of Markdown: its kind, its level where it is a heading, and its runs of text."""

    kind: str
    level: NotRequired[int]
    runs: list[Run]


def blocks(markdown: str) -> list[Block]:
    """Return Markdown as a list of blocks, each with its runs of text.

    Parameters
    ----------
    markdown : str

    Returns
    -------
    list of dict
        kind (heading, paragraph, quote, item, code, table-row), level, and runs: text, style, and id or href.
    """
    if len(markdown) > LONGEST:
        return [{"kind": "paragraph", "runs": list(_with_citations(part, ""))} for part in markdown.split("\n\n")]
    found: list[Block] = []
    around: list[str] = []
    for token in MarkdownIt("commonmark", {"html": False}).enable("table").parse(markdown):
        if token.type == "tr_open":
            found.append({"kind": "table-row", "level": 0, "runs": []})
        if token.type.endswith("_open"):
            around.append(f"{token.type.removesuffix('_open')} {token.tag}")
        elif token.type.endswith("_close"):
            around.pop()
        elif token.type == "inline" and around[-1] in ("th th", "td td"):
            row = found[-1]["runs"]
            row += [{"text": " | " if row else "", "style": ""}, *_runs(token)]
        elif token.type == "inline":
            kind, level = _kind(around)
            found.append({"kind": kind, "level": level, "runs": list(_runs(token))})
        elif token.type in ("fence", "code_block"):
            found.append({"kind": "code", "level": 0, "runs": [{"text": token.content, "style": "code"}]})
    return found


def to_html(found: Sequence[Block]) -> str:
    """Return blocks as HTML in which every text is escaped."""
    return "\n".join(f"<{TAGS[block['kind']]}>{_html(block['runs'])}</{TAGS[block['kind']]}>" for block in found)


def _kind(around: Sequence[str]) -> tuple[str, int]:
    """Return what a text is, by what stands around it: its kind, and the level of a heading."""
    if around and around[-1].startswith("heading h"):
        return "heading", int(around[-1][-1])
    names = {style.partition(" ")[0] for style in around}
    kind = "quote" if "blockquote" in names else "item" if "list_item" in names else "paragraph"
    return kind, 0


def _runs(token: Token) -> Iterator[Run]:
    """Yield the runs of a text; a line end is a text like any other, so that a citation may go over it."""
    before: Run | None = None
    for run in _pieces(token):
        if before is not None and "href" not in run and {**before, "text": ""} == {**run, "text": ""}:
            before["text"] += run["text"]
            continue
        yield from _finished(before)
        before = run
    yield from _finished(before)


def _finished(run: Run | None) -> Iterator[Run]:
    if run is None:
        return
    if run["style"] in ("code", "link"):
        yield run
    else:
        yield from _with_citations(run["text"], run["style"])


def _pieces(token: Token) -> Iterator[Run]:
    styles: list[str] = []
    href = ""
    for child in token.children or ():
        style = next((style for style in reversed(styles) if style), "")
        if child.type.endswith("_open"):
            styles.append(STYLES.get(child.type.removesuffix("_open"), ""))
            href = str(child.attrGet("href") or "") if child.type == "link_open" else href
        elif child.type.endswith("_close"):
            styles.pop()
        elif child.type in ("softbreak", "hardbreak"):
            yield {"text": "\n", "style": "" if style == "link" else style}
        elif child.type == "code_inline":
            yield {"text": child.content, "style": "code"}
        elif child.type == "image":
            yield {"text": f"[picture: {child.content}]", "style": "em"}
        elif "link" in styles:
            yield {"text": child.content, "style": "link", "href": href if re.match(r"https?://", href) else ""}
        else:
            yield {"text": child.content, "style": style}


def _with_citations(text: str, style: str) -> Iterator[Run]:
    """Yield a text's runs, each citation one of its own."""
    position = 0
    for found in CITATION.finditer(text):
        if found.start() > position:
            yield {"text": text[position : found.start()], "style": style}
        for part, key in cited_in(found[1]):
            kind = "cite-evidence" if EVIDENCE.fullmatch(key) else "cite-reading"
            yield {"text": f"[{' '.join(part.split())}]", "style": kind, "id": key}
        position = found.end()
    if position < len(text):
        yield {"text": text[position:], "style": style}


def _html(runs: Sequence[Run]) -> str:
    names = {"em": "em", "strong": "strong", "code": "code", "cite-evidence": "cite", "cite-reading": "cite"}
    parts = []
    for run in runs:
        name, text = names.get(run["style"]), html.escape(run["text"])
        parts.append(f"<{name}>{text}</{name}>" if name else text)
        if run.get("href"):
            parts.append(f" ({html.escape(run['href'])})")
    return "".join(parts)
