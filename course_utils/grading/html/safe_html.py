r"""Safe HTML of students' notebooks for nbgrader's own pages: nothing in it acts, and its size bounds its time.

Every renderer here does an amount of work that grows at most in proportion to the text, up to a limit of characters.
Longer text is shown as plain text up to a second limit. What is not shown at all is said, with the place of the file.
"""

import functools
import html
import re

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

RICH = 20_000  # characters of a cell that are read as Markdown or coloured as Python
PLAIN = 200_000  # characters of a cell that are shown
MAX_FORMULA = 2_000  # characters
TAGS = {
    "a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5",
    "h6", "hr", "i", "img", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "ul",
}  # fmt: skip
# MathJax, which nbgrader's pages load, lets formulas make links, styles and requests.
ACTIVE_TEX = re.compile(r"\\(?:href|url|style|class|cssId|require|unicode|data|includegraphics|html\w*)(?![A-Za-z])")
BACKSLASH = re.compile(r"&(?:#0*92|#x0*5c|bsol);", re.IGNORECASE)
NOT_SHOWN = "[{n:,} characters are not shown here. They are in the student's file, below the folder autograded.]"
AS_PLAIN = "[The text is too long to be formatted. From here on it is shown as it was typed.]"


def safe_markdown(source: str) -> str:
    r"""Return Markdown as HTML made of harmless tags; HTML in it is shown as text.

    Parameters
    ----------
    source : str
        Up to `RICH` characters are formatted, up to `PLAIN` are shown.

    Examples
    --------
    >>> safe_markdown("*one* <script>alert(1)</script>").strip()
    '<p><em>one</em> &lt;script&gt;alert(1)&lt;/script&gt;</p>'
    """
    rich, plain, n_left = _parts(str(source))
    made = _markdown().render(ACTIVE_TEX.sub(r"\\mathrm", rich))
    return ACTIVE_TEX.sub(r"\\mathrm", BACKSLASH.sub(r"\\", made)) + _as_typed(plain, n_left)


def safe_code(source: str, language: str | None = None, metadata: object = None) -> str:
    """Return Python code as coloured HTML; code that is too long is not coloured.

    Parameters
    ----------
    source : str
    language, metadata
        nbconvert gives them. They come from the student's file and could choose any lexer, so they do not count.

    Examples
    --------
    >>> "&lt;b&gt;" in safe_code("x = '<b>'")
    True
    """
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    rich, plain, n_left = _parts(str(source))
    coloured = highlight(rich, PythonLexer(), HtmlFormatter(cssclass="highlight hl-python"))
    return coloured + _as_typed(plain, n_left)


def unchanged(text: str) -> str:
    """Return a text as it is.

    It takes the place of nbconvert's filter ``strip_files_prefix``, which looks for links in the finished page. Its
    time grows with the square of the number of brackets, and there is nothing for it to do: addresses are checked.
    """
    return text


def _parts(text: str) -> tuple[str, str, int]:
    """Return what of a text is formatted, what is shown as it was typed, and how many characters are not shown."""
    if len(text) <= RICH:
        return text, "", 0
    end = text.rfind("\n", RICH // 2, RICH) + 1 or RICH  # between two lines, where there is such a place
    return text[:end], text[end:PLAIN], max(0, len(text) - PLAIN)


def _as_typed(text: str, n_left: int) -> str:
    parts = [f"<p><em>{AS_PLAIN}</em></p>", f"<pre>{html.escape(_harmless_tex(text))}</pre>"] if text else []
    parts += [f"<p><em>{NOT_SHOWN.format(n=n_left)}</em></p>"] if n_left else []
    return "\n".join(parts)


def _harmless_tex(text: str) -> str:
    return ACTIVE_TEX.sub(r"\\mathrm", text)


# -- Markdown ----------------------------------------------------------------------------------------------------------


@functools.cache
def _markdown() -> MarkdownIt:
    """Return a parser without HTML, with tables, struck-out text and formulas."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.core.ruler.push("harmless", _clean_all)
    parser.add_render_rule("formula", lambda _self, tokens, i, _options, _env: html.escape(tokens[i].content))
    return parser


def _formula(state: StateInline, silent: bool) -> bool:
    """Take ``$...$`` or ``$$...$$`` as it is: MathJax reads it in the page."""
    if state.src[state.pos] != "$":
        return False
    mark = "$$" if state.src.startswith("$$", state.pos) else "$"
    begin = state.pos + len(mark)
    end = state.src.find(mark, begin, min(begin + MAX_FORMULA, state.posMax))
    if end <= begin or (mark == "$" and (state.src[begin].isspace() or state.src[end - 1].isspace())):
        return False
    if not silent:
        state.push("formula", "", 0).content = state.src[state.pos : end + len(mark)]
    state.pos = end + len(mark)
    return True


def _clean_all(state: StateCore) -> None:
    for token in state.tokens:
        _clean(token)


def _clean(token: Token) -> None:
    """Remove attributes that could act: styles, and addresses that are no web page."""
    style = str(token.attrs.get("style", ""))
    if style.startswith("text-align:") and token.tag in ("td", "th"):
        token.attrs["align"] = style.partition(":")[2]
    token.info = ""  # the language of a code block would become a class
    token.attrs = {name: value for name, value in token.attrs.items() if _allowed(token.tag, name, str(value))}
    for child in token.children or ():
        _clean(child)


def _allowed(tag: str, name: str, value: str) -> bool:
    """Tell whether an attribute may stay: no styles, no handlers, and no picture from elsewhere."""
    target = re.sub(r"[\x00-\x20\x7f-\xa0\u2028\u2029]", "", html.unescape(value)).lower()  # as browsers read it
    if name == "href":
        return tag == "a" and (":" not in target or target.startswith(("http:", "https:", "mailto:", "#")))
    if name == "src":
        return tag == "img" and ":" not in target and not target.startswith(("/", "\\"))
    return name in ("alt", "title") or (name == "align" and tag in ("td", "th"))
