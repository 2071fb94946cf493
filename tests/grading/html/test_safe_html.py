"""Nothing that a student writes can act in a grader's page."""

from html.parser import HTMLParser

import pytest

from course_utils.grading.html.safe_html import TAGS, safe_markdown

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "<svg onload=alert(1)>",
    "<iframe src=//evil></iframe>",
    "<a href=' javascript:1'>x</a>",
    "<a href='&#106;avascript:1'>x</a>",
    "<style>*{display:none}</style>",
    "<p style='position:fixed'>x</p>",
    "<form action=//evil><input>",
    "![x](http://evil/track.png)",
    "![x](//evil/track.png)",
    "<math><mi xlink:href='javascript:1'>x</mi></math>",
    "<base href=//evil>",
    "<meta http-equiv=refresh content='0;url=//evil'>",
    "<link rel=stylesheet href=//evil>",
    "```html\n<script>1</script>\n```",
    "$\\href{javascript:alert(1)}{x}$",
    "&#36;&#92;href{javascript:alert(1)}{x}&#36;",
    "&#92;(&bsol;href{javascript:alert(1)}{x}&#x5c;)",
    "<noscript><p title='</noscript><img src=x onerror=1>'>",
    "<object data=x>",
    "<b onclick=1>x</b>",
    "<textarea><script>1</script>",
    "<!--><script>1</script>-->",
    "<a id=score name=grade>x</a>",
    "\x00<scr\x00ipt>1</script>",
]


class Seen(HTMLParser):
    """All tags and attributes that a browser would find."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("around", ["{}", "text {} text", "- {}", "> {}", "| a |\n| - |\n| {} |"])
def test_nothing_active_comes_through(attack, around):
    html = safe_markdown(around.format(attack))
    seen = Seen(html)
    assert set(seen.tags) <= TAGS
    for name, value in seen.attributes:
        assert name in ("href", "src", "alt", "title", "align")
        assert not value.strip().lower().startswith(("javascript", "data", "vbscript"))
        assert name != "src" or ":" not in value and not value.startswith("/")
    assert "\\href" not in html


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("*a* **b** `c`", "<em>a</em> <strong>b</strong> <code>c</code>"),
        ("[x](https://example.org)", '<a href="https://example.org">x</a>'),
        ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
        ("$x^2$", "$x^2$"),
        ("| a |\n| - |\n| b |", "<td>b</td>"),
    ],
)
def test_ordinary_writing_looks_as_it_should(markdown, html):
    assert html in safe_markdown(markdown)
