"""Markdown as plain data, so that a page can show a person's text without parsing any HTML."""

import html
import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from course_utils.evidence.prose import CITATION, EVIDENCE

LONGEST = 200_000  # characters; what is longer is shown as one plain text
STYLES = {"em": "em", "strong": "strong", "link": "link"}
TAGS = {"heading": "h4", "paragraph": "p", "quote": "blockquote", "item": "li", "code": "pre", "table-row": "p"}


def blocks(markdown: str) -> list[dict]:
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
    found: list[dict] = []
    around: list[str] = []
    kind, level = "paragraph", 0
    for token in MarkdownIt("commonmark", {"html": False}).enable("table").parse(markdown):
        if token.type.endswith("_open"):
            around.append(token.type.removesuffix("_open"))
            level = int(token.tag[1]) if token.type == "heading_open" else level
        elif token.type.endswith("_close"):
            around = around[:-1]
        elif token.type == "inline":
            kind = _kind(around)
            found.append({"kind": kind, "level": level if kind == "heading" else 0, "runs": list(_runs(token))})
        elif token.type in ("fence", "code_block"):
            found.append({"kind": "code", "level": 0, "runs": [{"text": token.content, "style": "code"}]})
    return found


def to_html(found: Sequence[dict]) -> str:
    """Return blocks as HTML in which every text is escaped."""
    return "\n".join(f"<{TAGS[each['kind']]}>{_html(each['runs'])}</{TAGS[each['kind']]}>" for each in found)


def _kind(around: list[str]) -> str:
    for name, kind in (("heading", "heading"), ("blockquote", "quote"), ("list_item", "item"), ("table", "table-row")):
        if name in around:
            return kind
    return "paragraph"


def _runs(token: Token) -> Iterator[dict]:
    styles: list[str] = []
    href = ""
    for child in token.children or ():
        if child.type.endswith("_open"):
            styles.append(STYLES.get(child.type.removesuffix("_open"), ""))
            href = str(child.attrGet("href") or "") if child.type == "link_open" else href
        elif child.type.endswith("_close"):
            styles = styles[:-1]
        elif child.type in ("softbreak", "hardbreak"):
            yield {"text": "\n", "style": ""}
        elif child.type == "code_inline":
            yield {"text": child.content, "style": "code"}
        elif child.type == "image":
            yield {"text": f"[picture: {child.content}]", "style": "em"}
        elif "link" in styles:
            safe = href if re.match(r"https?://", href) else ""
            yield {"text": child.content, "style": "link", "href": safe}
        else:
            yield from _with_citations(child.content, next((each for each in reversed(styles) if each), ""))


def _with_citations(text: str, style: str) -> Iterator[dict]:
    """Yield a text's runs, each citation one of its own."""
    place = 0
    for found in CITATION.finditer(text):
        if found.start() > place:
            yield {"text": text[place : found.start()], "style": style}
        for part in found[1].split(";"):
            key = re.match(r"\s*@([A-Za-z][\w-]{0,80})", part)
            kind = "cite-evidence" if key and EVIDENCE.fullmatch(key[1]) else "cite-reading"
            yield {"text": f"[{part.strip()}]", "style": kind, "id": key[1] if key else ""}
        place = found.end()
    if place < len(text):
        yield {"text": text[place:], "style": style}


def _html(runs: Sequence[dict]) -> str:
    names = {"em": "em", "strong": "strong", "code": "code", "cite-evidence": "cite", "cite-reading": "cite"}
    told = []
    for run in runs:
        name, text = names.get(run["style"]), html.escape(run["text"])
        told.append(f"<{name}>{text}</{name}>" if name else text)
        if run.get("href"):
            told.append(f" ({html.escape(run['href'])})")
    return "".join(told)
