"""Static view of a panel: what it shows, as plain text and as HTML without script, for when no kernel is there.

A saved notebook, an export and a page on GitHub have no kernel. There a widget is blank, or an error. So a panel has
two outputs in a notebook: the live widget, and below it this static view. The page hides the static view while the
live panel stands above it (panel.css). The static view is updated in place when the panel changes. The live widget
is never drawn anew for that, so focus, scrolling and typed text stay.
"""

import dataclasses
import html
import logging
import os
import re
import time
import uuid
import weakref
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

logger = logging.getLogger(__name__)

VIEW = "application/vnd.jupyter.widget-view+json"
MAX_TEXT = 20_000  # characters of one text
MAX_ROWS = 200
MAX_CELL = 300  # characters
UPDATE_EVERY_S = 5.0  # while a panel is busy
MAX_SUMMARY, MAX_SUMMARY_PART = 400, 80  # characters
BELOW = "What it showed last stands in the output below."

# Control characters and marks that turn the writing direction: they could make a page show what is not there.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_BYTE = re.compile(r"\\x([0-9a-f]{2})")
_HALF_A_LETTER = re.compile("[\ud800-\udfff]")  # no message and no file can hold one


def visible(text: str) -> str:
    r"""Make control characters and marks that turn the writing direction visible.

    Examples
    --------
    >>> visible("a\x1b[31m")
    'a␛[31m'
    """

    def name(match: re.Match) -> str:
        code = ord(match[0])
        return chr(0x2400 + code) if code < 32 else f"⟨U+{code:04X}⟩"

    return _UNSEEN.sub(name, text)


def token_name(text: str) -> str:
    r"""Return a token by itself, so that spaces, line ends and bytes of half a character can be seen.

    Examples
    --------
    >>> token_name(" a\n"), token_name(r"\xd8")
    ('␣a⏎', '⟨byte D8⟩')
    """
    shown = visible(text).replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
    return _BYTE.sub(lambda found: f"⟨byte {found[1].upper()}⟩", shown) or "(rest of a character)"


# -- parts of a view ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fact:
    """A named value in one line; without a name, a sentence."""

    name: str
    value: object


@dataclasses.dataclass(frozen=True)
class Text:
    """A text of a person or a model, under a label that says whose it is."""

    label: str
    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a caption; cells are written as `str` does, and None is an empty cell."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]


Part = Fact | Text | Table


def facts(**named: object) -> list[Part]:
    """Return a fact for each value that is not empty; an underscore in a name stands for a blank."""
    return [
        Fact(name.replace("_", " ").capitalize(), value) for name, value in named.items() if value not in ("", None)
    ]


def to_text(title: str, parts: Iterable[Part]) -> str:
    """Return parts as plain text.

    Examples
    --------
    >>> print(to_text("Playground", [Fact("Model", "gpt2"), Text("Prompt", "It was"), Table("", ["a"], [[1]])]))
    Playground
    Model: gpt2
    Prompt:
        It was
    a
    1
    """
    return "\n".join([_clean(title), *(_part_text(part) for part in parts)])


def to_line(title: str, parts: Iterable[Part]) -> str:
    """Return the beginning of parts in one line.

    Examples
    --------
    >>> to_line("Playground", [Fact("Model", "gpt2"), Text("Prompt", "It was")])
    'Playground. Model: gpt2. Prompt: “It was”.'
    """
    told = [title]
    for part in parts:
        if isinstance(part, Fact):
            told.append(f"{part.name}: {_brief(part.value)}" if part.name else _brief(part.value))
        elif isinstance(part, Text):
            told.append(f"{part.label}: “{_brief(part.text)}”")
        if sum(map(len, told)) > MAX_SUMMARY:
            break
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in told)


def _brief(value: object) -> str:
    text = " ".join(_clean(value).split())
    return text if len(text) <= MAX_SUMMARY_PART else f"{text[:MAX_SUMMARY_PART]}…"


def to_html(title: str, parts: Iterable[Part]) -> str:
    """Return parts as HTML: no script, no address, every text escaped, and each in its own writing direction."""
    inside = "\n".join(_part_html(part) for part in parts)
    return f'<div class="course-static-view">\n<p><strong>{_escaped(title)}</strong></p>\n{inside}\n</div>'


def _part_text(part: Part) -> str:
    if isinstance(part, Fact):
        return f"{_clean(part.name)}: {_clean(part.value)}" if part.name else _clean(part.value)
    if isinstance(part, Text):
        lines = _clean(part.text, MAX_TEXT).split("\n")
        return "\n".join([f"{_clean(part.label)}:", *(f"    {line}".rstrip() for line in lines)])
    rows = [[_cell(cell) for cell in row] for row in [part.heads, *part.rows[:MAX_ROWS]]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*([f"{_clean(part.caption)}:"] if part.caption else []), *lines, *_left_out(part)])


def _part_html(part: Part) -> str:
    if isinstance(part, Fact):
        name = f"<strong>{_escaped(part.name)}:</strong> " if part.name else ""
        return f'<p dir="auto">{name}{_escaped(part.value).replace(chr(10), "<br>")}</p>'
    if isinstance(part, Text):
        style = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; unicode-bidi: plaintext"
        return f'<p>{_escaped(part.label)}:</p>\n<pre dir="auto" style="{style}">{_escaped(part.text, MAX_TEXT)}</pre>'
    caption = f"<p>{_escaped(part.caption)}:</p>\n" if part.caption else ""
    head = "".join(f"<th>{_escaped(_cell(cell))}</th>" for cell in part.heads)
    rows = "\n".join(
        "<tr>" + "".join(f'<td dir="auto">{_escaped(_cell(cell))}</td>' for cell in row) + "</tr>"
        for row in part.rows[:MAX_ROWS]
    )
    more = "".join(f"<p>{line}</p>" for line in _left_out(part))
    return f"{caption}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>{more}"


def _left_out(table: Table) -> list[str]:
    n_more = len(table.rows) - MAX_ROWS
    return [f"… and {n_more} more rows."] if n_more > 0 else []


def _clean(value: object, longest: int = MAX_TEXT) -> str:
    text = visible(_HALF_A_LETTER.sub("\ufffd", str(value)))
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def _cell(value: object) -> str:
    return "" if value is None else _clean(value, MAX_CELL).replace("\n", " ⏎ ").replace("\t", " ")


def _escaped(value: object, longest: int = MAX_TEXT) -> str:
    return html.escape(_clean(value, longest))


# -- the output of a notebook that holds the view ----------------------------------------------------------------------


class Shown(Protocol):
    """What a panel offers to its static output; `Panel` does."""

    _lock: AbstractContextManager

    @property
    def model_id(self) -> str | None:
        """The widget's id, by which the page finds it."""

    def as_text(self) -> str:
        """Return what it shows as plain text."""

    def as_line(self) -> str:
        """Return the beginning of the same in one line."""

    def as_html(self) -> str:
        """Return the same as HTML without script."""

    def update_static_view(self) -> None:
        """Show what has changed in the static view."""


class StaticOutput:
    """The output below a panel that holds its static view, updated in place.

    Parameters
    ----------
    panel : Shown
    """

    def __init__(self, panel: Shown) -> None:
        self._panel, self._display_id = weakref.ref(panel), uuid.uuid4().hex
        self._shown, self._shown_at = "", 0.0

    def display(self) -> None:
        """Display the live widget and, below it, the static view."""
        panel, publish = self._panel(), _publisher()
        if panel is None:
            return
        view = {VIEW: {"version_major": 2, "version_minor": 0, "model_id": panel.model_id}}
        if is_on_page_of_its_own():
            publish(data={**view, "text/plain": panel.as_text(), "text/html": panel.as_html()}, metadata={})
            return
        publish(data={**view, "text/plain": f"{panel.as_line()} {BELOW}"}, metadata={})
        _follow_cells(panel)
        self._publish(panel, is_update=False)

    def update(self, is_busy: bool) -> None:
        """Update the static view if the panel shows something else by now; of a busy panel, every few seconds."""
        panel = self._panel()
        if panel is None or not self._shown or (is_busy and time.monotonic() - self._shown_at < UPDATE_EVERY_S):
            return
        self._publish(panel, is_update=True)

    def _publish(self, panel: Shown, is_update: bool) -> None:
        # The panel's own lock, and no second one: a thread that holds the panel's lock comes here too, and two locks
        # that two threads take in different orders would stop both for ever.
        with panel._lock:
            data = {"text/html": panel.as_html(), "text/plain": panel.as_text()}
            if is_update and data["text/html"] == self._shown:
                return
            self._shown, self._shown_at = data["text/html"], time.monotonic()
            transient = {"display_id": self._display_id}
            _publisher()(data=data, metadata={}, transient=transient, update=is_update)


_followed: weakref.WeakSet[Shown] = weakref.WeakSet()
_shells: "weakref.WeakSet[object]" = weakref.WeakSet()


def is_in_notebook() -> bool:
    """Tell whether the code here runs in a notebook's kernel."""
    shell = _shell()
    return getattr(shell, "kernel", None) is not None


def is_on_page_of_its_own() -> bool:
    """Tell whether a page shows this kernel's outputs once, and saves none: Voila, or the hall."""
    return bool(os.environ.get("COURSE_HALL") or os.environ.get("VOILA_BASE_URL"))


def _shell() -> Any:
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def _publisher():
    return _shell().display_pub.publish


def _follow_cells(panel: Shown) -> None:
    """Update the static views of displayed panels after every cell: a cell may have changed any of them."""
    shell = _shell()
    _followed.add(panel)
    if shell not in _shells:
        _shells.add(shell)
        shell.events.register("post_execute", _update_all)


def _update_all() -> None:
    for panel in list(_followed):
        panel.update_static_view()
