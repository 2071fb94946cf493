"""HTML pages in one file: they fetch and run nothing, and fit a phone, paper, and light and dark settings."""

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence

from course_utils.core.paths import data_file
from course_utils.plots.picture import Picture

# Signs that turn the direction of all that follows, and what no page can hold.
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")
UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : str
        As text.
    body : iterable of str
        Parts that are HTML already, such as `element` returns.

    Examples
    --------
    >>> made = page("<b>", ["<p>one</p>"])
    >>> "<title>&lt;b&gt;</title>" in made, "<script" in made, "http" in made.replace("http-equiv", "")
    (True, False, False)
    """
    style = data_file(__name__, "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Even what slipped through could do nothing: no script, no request, only this one style.
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
        f"<title>{text(title)}</title><style>{style}</style></head><body><main>",
    ]
    return "\n".join([*head, *body, "</main></body></html>\n"])


def text(value: object) -> str:
    """Return a text as HTML in which nothing acts; signs that turn the reading direction are left out.

    Examples
    --------
    >>> text("<script> & 'x'")
    '&lt;script&gt; &amp; &#x27;x&#x27;'
    """
    return html.escape(UNSHOWN.sub("\ufffd", TURNING.sub("", str(value))), quote=True)


def element(name: str, *inside: str, **attributes: str) -> str:
    """Return an element around parts that are HTML already; attributes are texts, ``class_`` is ``class``.

    Examples
    --------
    >>> element("p", text("a < b"), class_="note")
    '<p class="note">a &lt; b</p>'
    """
    attribute_text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{attribute_text}>{''.join(inside)}</{name}>"


def paragraph(words: object, **attributes: str) -> str:
    """Return a text as a paragraph."""
    return element("p", text(words), **attributes)


def student_text(words: object, **attributes: str) -> str:
    """Return somebody's own words with their line breaks, in their own reading direction."""
    return element("div", text(words), **{"class_": "theirs", "dir": "auto"} | attributes)


def typed(words: str, longest: int = 200_000, **attributes: str) -> str:
    """Return a long text as it was typed, up to a number of characters; what is not shown is said."""
    shown = element("pre", element("code", text(words[:longest])), **({"tabindex": "0"} | attributes))
    n_left = len(words) - longest
    return shown + (paragraph(f"{n_left:,} more characters are in the file that you handed in.") if n_left > 0 else "")


def items(lines: Iterable[str], **attributes: str) -> str:
    """Return parts that are HTML already as a list; nothing where there are none."""
    inside = [element("li", one) for one in lines]
    return element("ul", *inside, **attributes) if inside else ""


def section(anchor: str, title: str, *inside: str) -> str:
    """Return a part of a page under its heading, which names it for a screen reader."""
    heading = element("h2", text(title), id=f"{anchor}-title")
    return "\n" + element("section", heading, *inside, id=anchor, aria_labelledby=f"{anchor}-title")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Return a table of parts that are HTML already; the first cell of a row is its heading. It scrolls by itself."""
    heads = "".join(element("th", title, scope="col") for title in head)
    body = "".join(
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    )
    inside = element("caption", text(caption)) + element("thead", element("tr", heads)) + element("tbody", body)
    return element(
        "div", element("table", inside), class_="wide", tabindex="0", role="region", aria_label=f"Table: {caption}"
    )


def picture(png: bytes, alt: str) -> str:
    """Return a picture that lies in the page itself."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{text(alt)}">'


def drawn(figure: Picture) -> str:
    """Return a figure of ours that lies in the page itself, described."""
    return element("figure", picture(figure.png(), figure.alt))
