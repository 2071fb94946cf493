"""A student's Markdown as HTML in nbgrader's own pages, with nothing in it that could act there."""

import html
import re

TAGS = {
    "a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5",
    "h6", "hr", "i", "img", "li", "ol", "p", "pre", "span", "strong", "sub", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "ul",
}  # fmt: skip
# MathJax, which nbgrader's pages load, lets formulas make links, styles and requests.
ACTIVE_TEX = re.compile(r"\\(?:href|url|style|class|cssId|require|unicode|data|includegraphics|html\w*)(?![A-Za-z])")
BACKSLASH = re.compile(r"&(?:#0*92|#x0*5c|bsol);", re.IGNORECASE)


def safe_markdown(source: str) -> str:
    r"""Return Markdown as HTML made of harmless tags; what else is in it is shown as text.

    Parameters
    ----------
    source : str

    Examples
    --------
    >>> safe_markdown("*one* <script>alert(1)</script>").strip()
    '<p><em>one</em> &lt;script&gt;alert(1)&lt;/script&gt;</p>'
    """
    import bleach
    from nbconvert.filters import markdown2html

    made = markdown2html(ACTIVE_TEX.sub(r"\\mathrm", str(source)))
    cleaned = bleach.clean(made, tags=TAGS, attributes=_allowed, protocols={"http", "https", "mailto"})
    return ACTIVE_TEX.sub(r"\\mathrm", BACKSLASH.sub(r"\\", cleaned))


def _allowed(tag: str, name: str, value: str) -> bool:
    """Tell whether an attribute may stay: no styles, no handlers, and no picture from elsewhere."""
    target = re.sub(r"[\x00-\x20\x7f-\xa0\u2028\u2029]", "", html.unescape(value)).lower()  # as browsers read it
    if name == "href":
        return tag == "a" and (":" not in target or target.startswith(("http:", "https:", "mailto:", "#")))
    if name == "src":
        return tag == "img" and ":" not in target and not target.startswith(("/", "\\"))
    return name in ("alt", "title") or (name == "align" and tag in ("td", "th"))
