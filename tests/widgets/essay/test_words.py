"""Where a quotation stands: the kernel and the page count alike, whatever Markdown, signs and emoji lie before it."""

import re
import shutil
import subprocess

import pytest
from repository import ROOT

from course_utils.evidence.essay.essay import Section
from course_utils.evidence.essay.markdown import blocks
from course_utils.widgets.essay.essay_view import LONGEST_SECTION, _finding, letters, occurrence, page_letters

# Each has the word "ten" several times, also where Markdown hides it or a page counts other characters.
ESSAYS = {
    "plain": "Ten of ten say ten.",
    "emoji before": "🙂🙂 👩‍👩‍👧 ten and 🙂ten and ten.",
    "inside words": "often, ten, tenth, ten",
    "numbered list": "1. ten\n2. ten\n10. ten\n\nAfter ten.",
    "link": "[ten](https://ten.example/ten) is ten, [no](javascript:ten) ten",
    "emphasis": "*ten* **te**n `ten` ten",
    "entities": "&amp; ten &lt;ten&gt; &#116;en ten",
    "table": "| ten | a |\n| --- | --- |\n| ten | ten |\n\nten",
    "fence": "```ten\nten\n\nten\n```\n\nten",
    "citations": "ten [@E-07f3; @zhang2019, ten] ten [@E-1010] ten",
    "reference": "[ten]: https://ten.example\n\nten [ten] ten",
    "quotation": "> ten\n> ten\n\nten",
    "headings": "# ten\n\nten\n===\n\nten",
    "hidden signs": "te\u202en ten te\u200bn ten",
    "accents": "te\u0301n ten t\u00e9n ten",
    "other scripts": "عشرة ten עשר ten 十 ten",
    "escapes": "\\*ten\\* ten \\[ten\\]",
    "half a letter": "\ud800 ten ten",
}


def shown_words(text: str) -> list[int]:
    """The places of the word in the page's letters, found without the code that is tested."""
    page = page_letters(text)
    return [found.start() for found in re.finditer("(?=ten)", page)]


@pytest.mark.parametrize("name", ESSAYS)
def test_each_word_that_is_shown_is_found_at_its_own_place(name):
    """Of the words in the Markdown that the page shows, the n-th is the page's n-th."""
    text = ESSAYS[name]
    starts = [found.start() for found in re.finditer("(?=ten)", text)]
    places = [occurrence(text, start, start + 3) for start in starts]
    assert all(words == "ten" for words, _ in places)
    assert all(-1 <= place < len(shown_words(text)) for _, place in places)
    found = [place for _, place in places if place >= 0]
    assert found == sorted(found), "a later word is never marked before an earlier one"
    if len(starts) == len(shown_words(text)):
        assert found == list(range(len(starts)))


@pytest.mark.parametrize("n_before", [0, 1, 7, 300])
def test_a_numbered_list_or_many_emoji_before_it_change_nothing(n_before):
    before = "".join(f"{n}. 10 🙂 of 10\n" for n in range(1, n_before + 1))
    text = f"{before}\nThen 10 and 10."
    for nth, found in enumerate(re.finditer("10", "Then 10 and 10.")):
        start = len(before) + 1 + found.start()
        words, place = occurrence(text, start, start + 2)
        assert (words, place) == ("10", page_letters(text).count("10") - 2 + nth)


def test_words_beyond_what_the_page_shows_are_marked_nowhere():
    section = Section("thesis", "Thesis", "ten " * (LONGEST_SECTION // 4 + 10))
    start = len(section.text) - 4
    told = _finding({"start": start, "end": start + 3, "quote": "ten"}, section)
    assert told["place"] == -1
    assert occurrence("nothing here", 0, 3, "absent")[1] == -1
    assert occurrence("", 0, 0)[1] == -1


def test_only_letters_and_digits_count():
    assert letters("a-1 ½ ٣ é 🙂 _") == "a1½٣é"


@pytest.mark.skipif(not shutil.which("node"), reason="no node here: the page's half runs in the browser tests too")
def test_the_page_sees_the_same_letters():
    """The script's own test of a letter, and its way of showing runs, over all these essays."""
    import json

    told = [[list(block["runs"]) for block in blocks(text)] for text in ESSAYS.values()]
    script = 'import { LETTER_OR_DIGIT, visible } from "#shared/text.js";'
    tail = """
    const show = ({ text, href }) => visible(text) + (href ? ` (${visible(href)})` : "");
    const all = JSON.parse(process.argv.at(-1)).map((bs) => bs.flatMap((runs) => runs.map(show)).join(""));
    console.log(JSON.stringify(all.map((text) => [...text].filter((c) => LETTER_OR_DIGIT.test(c)).join(""))));
    """
    plain = json.loads(json.dumps(told, ensure_ascii=True).replace("\\ud800", "\\ufffd"))
    command = ["node", "--input-type=module", "--eval", script + tail, json.dumps(plain)]
    seen = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert seen == [page_letters(text) for text in ESSAYS.values()]
