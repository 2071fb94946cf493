"""The token map without a browser: what it shows is what the model finds, and what it cannot read it says."""

import threading

import pytest

from course_utils.errors import TextError
from course_utils.evidence.ledger import ledger
from course_utils.experiments.detection.detectors import rank_shares
from course_utils.widgets.base.experiment_panel import OVERTAKEN
from course_utils.widgets.base.worker import the_worker
from course_utils.widgets.token_map.token_map import LONGEST, TokenMap, shortened

SOON = 120
TEXT = "The senate met again, naïve crowd 你好 and all."
HOSTILE = "</script><img src=x onerror=window.__xss=1>"


@pytest.fixture
def read(tiny):
    """Make panels, let them read, and close them at the end."""
    panels = []

    def one(text, model=tiny) -> TokenMap:
        panels.append(TokenMap(text, model))
        panels[-1].read()
        assert panels[-1].wait(SOON)
        return panels[-1]

    yield one
    for each in panels:
        each.close()


def hear(panel: TokenMap, **content) -> None:
    panel._on_message(panel, content, [])


def test_what_is_shown_is_what_the_model_finds(read, tiny):
    panel = read(TEXT)
    assert panel.state == "done", panel.message
    (shown,), steps = panel.maps, tiny.score(TEXT).steps
    assert "".join(token[0] for token in shown["tokens"]) == TEXT
    assert [token[1] for token in shown["tokens"]] == [step.rank for step in steps] == panel.tokens["rank"].tolist()
    assert shown["shares"] == rank_shares([step.rank for step in steps]) == panel.shares.loc["text 1"].tolist()
    assert shown["bits_per_token"] == pytest.approx(sum(step.surprisal_bits for step in steps) / len(steps), rel=1e-4)
    assert panel.finding == panel.result.finding


def test_two_texts_are_read_apart(read):
    panel = read([TEXT, "A board."])
    assert panel.maps == [read(TEXT).maps[0], {**read("A board.").maps[0], "name": "text 2"}]
    assert list(panel.shares.index) == ["text 1", "text 2"]


def test_a_long_text_is_cut_between_words_and_the_panel_says_so(read):
    for text in ("word " * 3000, "x" * 2 * LONGEST, "a\n" * LONGEST):
        cut = shortened(text)
        assert len(cut) <= LONGEST and text.startswith(cut) and len(cut) > LONGEST - 10
    assert shortened(TEXT) == TEXT
    (shown,) = read(f"{'word ' * 1300} end").maps
    assert shown["n_characters"] < shown["n_typed"] == 6504


@pytest.mark.parametrize(("text", "told"), [("", "no text"), (" \n", "no text"), (["A", ""], "Text 2 is empty")])
def test_nothing_to_read_is_told(read, text, told):
    panel = read(text)
    assert panel.state == "failed" and told in panel.message and panel.maps == []
    for look in (lambda: panel.tokens, lambda: panel.shares, panel.keep):
        with pytest.raises(TextError, match="no result yet"):
            look()


@pytest.mark.parametrize("text", [["A", "B", "C"], [], [3]])
def test_more_than_two_texts_are_refused(text):
    with pytest.raises(TextError, match="One text, or a list of two"):
        TokenMap(text)


def test_a_model_that_is_not_here_is_told_in_the_panel():
    panel = TokenMap(TEXT, "gpt2-xl")
    panel.read()
    assert panel.wait(SOON) and panel.state == "failed" and "gpt2-xl" in panel.message


def test_the_newest_request_wins_and_says_why(read, tiny):
    panel, gate = read(TEXT), threading.Event()
    blocking = the_worker().prepare(lambda cancel: gate.wait(SOON), print)
    panel.read()
    other = TokenMap("A board.", tiny)
    other.read()
    stopped = TokenMap("A bridge.", tiny)
    stopped.read()
    stopped.stop()
    gate.set()
    assert blocking.wait(SOON) and panel.wait(SOON) and other.wait(SOON) and stopped.wait(SOON)
    assert (panel.state, panel.message) == ("stopped", OVERTAKEN) and panel.maps  # what was read before still stands
    assert (stopped.state, stopped.message, stopped.result) == ("stopped", "", None)


def test_the_browser_s_messages_do_the_same(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    panel = TokenMap("", tiny)
    hear(panel, kind="keep")
    assert "no result yet" in panel.message
    hear(panel, kind="read", texts=[HOSTILE, TEXT], model=tiny.name)
    assert panel.wait(SOON) and panel.state == "done", panel.message
    assert "".join(token[0] for token in panel.maps[0]["tokens"]) == HOSTILE
    hear(panel, kind="keep")
    (record,) = ledger.read().records
    assert f"[@{record.id}]" in panel.kept
    assert record.value == pytest.approx(panel.result.metric().value)
    hear(panel, kind="read", texts=["", TEXT], model=tiny.name)
    assert panel.state == "failed" and panel.maps
    panel.close()
