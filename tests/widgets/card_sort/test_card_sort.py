"""The card sort without a browser: every card is in one place, and the author's boxes stay closed until asked for."""

import itertools

import pytest

from course_utils.errors import DamagedFile, TextError
from course_utils.widgets.card_sort.card_sort import BOXES, LONGEST_REASON, CardSort

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


def names(cards: CardSort) -> list[str]:
    return [card["name"] for card in cards.cards]


def hear(cards: CardSort, **content) -> None:
    cards._on_message(cards, content, [])


def test_a_card_is_in_one_place_whatever_is_done():
    cards = CardSort()
    for name, box in itertools.product(names(cards)[:4], [*BOXES, "", *BOXES]):
        cards.put(name, box)
        assert cards.sorting.get(name, "") == box
    cards.put(names(cards)[0], "")
    assert len(cards.sorting) == 3


def test_the_author_s_boxes_are_nowhere_before_the_comparison():
    cards = CardSort()
    told = str(cards.get_state(["cards", "boxes", "sorting", "verdicts", "summary"]))
    assert "author" not in told
    assert "named as" not in told
    cards.compare()
    assert set(cards.verdicts) == set(names(cards))


def test_only_what_the_author_can_be_said_to_have_placed_is_counted():
    for boxes in itertools.product(BOXES, repeat=2):
        cards = CardSort()
        for i, name in enumerate(names(cards)):
            cards.put(name, boxes[i % 2])
        cards.compare()
        table = cards.table()
        known = table[table["author's"] != ""]
        n_agreed = (known["yours"] == known["author's"]).sum()
        assert f"sorted {len(table)} of {len(table)} cards" in cards.summary
        assert f"placed {len(known)}, and you agree on {n_agreed}" in cards.summary


def test_every_class_of_the_author_says_how_it_is_known():
    cards = CardSort()
    table = cards.table()
    assert (table["how_known"] != "").all()
    assert set(table["author's"]) == {*BOXES, ""}
    assert (table.loc[table["author's"] == "", "how_known"] == "not in what we could read").all()
    assert (table["card"].str.len() > 0).all()
    assert table["card"].is_unique


def test_what_was_sorted_and_why_outlives_the_kernel(tmp_path):
    record = tmp_path / "new" / "cards.json"
    cards = CardSort(record)
    cards.put("Photoshop", "deceptive")
    cards.explain("Photoshop", f" {HOSTILE} ")
    cards.explain("Atom bomb", "not sorted, but I have a reason")
    again = CardSort(record)
    assert again.sorting == {"Photoshop": "deceptive"}
    assert again.reasons == {"Photoshop": HOSTILE, "Atom bomb": "not sorted, but I have a reason"}
    assert again.table().equals(cards.table())
    again.explain("Photoshop", "  ")
    assert "Photoshop" not in CardSort(record).reasons


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"sorting": 3, "reasons": {}}'])
def test_a_record_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "cards.json").write_text(content)
    with pytest.raises(DamagedFile, match="cards.json"):
        CardSort(tmp_path / "cards.json")


def test_what_does_not_exist_is_told():
    with pytest.raises(TextError, match="No card is called 'Crossbow'"):
        CardSort().put("Crossbow", "destructive")
    with pytest.raises(TextError, match="No box is called 'both'"):
        CardSort().put("Photoshop", "both")


def test_the_browser_s_messages_do_the_same_and_its_errors_are_shown():
    cards = CardSort()
    hear(cards, kind="put", name="Photoshop", box="deceptive")
    hear(cards, kind="explain", name="Photoshop", reason="x" * 1000)
    assert cards.sorting == {"Photoshop": "deceptive"}
    assert len(cards.reasons["Photoshop"]) == LONGEST_REASON
    hear(cards, kind="compare")
    assert cards.verdicts
    hear(cards, kind="put", name="Crossbow", box="destructive")
    assert "Crossbow" in cards.message
    hear(cards, kind="put", name="Photoshop", box="")
    assert cards.message == ""
