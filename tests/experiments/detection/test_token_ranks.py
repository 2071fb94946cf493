"""Laws of the ranks of a text's tokens: they are model.score's, the rows follow from them, and all can be cited."""

import json
import threading

import pytest

from course_utils.errors import TextError
from course_utils.experiments.detection import token_ranks
from course_utils.experiments.detection.detectors import rank_shares
from course_utils.experiments.detection.token_ranks import SHARES, class_of, read_ranks
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.inference.language_model import LanguageModel

TEXTS = ["The senate met again, naïve crowd 你好 and all.", "A board.", "word " * 150]


@pytest.fixture(scope="module")
def read(tiny, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return read_ranks(tiny, TEXTS)


def test_every_token_is_what_score_says(read, tiny):
    for text, (_, tokens) in zip(TEXTS, read.details.groupby("text"), strict=True):
        steps = tiny.score(text).steps
        assert "".join(tokens["token"]) == text
        assert tokens["rank"].tolist() == [step.rank for step in steps]
        assert tokens["surprisal_bits"].tolist() == pytest.approx([step.surprisal_bits for step in steps])
        likeliest = [[each.text for each in step.alternatives] for step in steps]
        assert [[name for name, _ in each] for each in tokens["alternatives"]] == likeliest


def test_the_rows_follow_from_the_tokens(read, tiny):
    for text, row in zip(TEXTS, read.rows.to_dict("records"), strict=True):
        tokens, scored = read.details[read.details["text"] == row["text"]], tiny.score(text)
        assert [row[share] for share in SHARES] == rank_shares(tokens["rank"])
        assert sum(row[share] for share in SHARES) == pytest.approx(1)
        assert row["n_tokens"] == len(tokens) == len(scored.steps)
        assert row["bits_per_character"] == pytest.approx(scored.bits_per_character)
        assert row["perplexity"] == pytest.approx(scored.perplexity)
        for place, share in enumerate(SHARES):
            assert (tokens["rank"].map(class_of) == place).mean() == pytest.approx(row[share])


def test_what_was_read_is_not_read_again_and_a_stop_keeps_it(tiny, tiny_folder):
    cancel, told = threading.Event(), []
    first = read_ranks(tiny, TEXTS[:2], lambda share, what: told.append(share))
    assert told == sorted(told) and told[-1] == 1 and max(told[:-1]) < 1
    again = LanguageModel(tiny_folder)
    cancel.set()
    assert read_ranks(again, TEXTS[:2], cancel=cancel).rows.equals(first.rows)
    with pytest.raises(Cancelled):
        read_ranks(again, TEXTS, cancel=cancel)
    assert again.score(TEXTS[1]).steps  # the stop leaves nothing behind in the network


def test_a_long_text_is_stopped_in_its_midst(tiny):
    cancel, shares = threading.Event(), []

    def tell(share, what):
        shares.append(share)
        if share > 0.2:
            cancel.set()

    with pytest.raises(Cancelled):
        read_ranks(tiny, [TEXTS[2]], tell, cancel)
    assert 0.2 < shares[-1] < 0.9


def test_finding_headline_and_picture_tell_the_numbers(read, tiny):
    row = read.rows.iloc[0]
    assert f"{100 * row['share_top_10']:.0f} % of the {row['n_tokens']} tokens of text 1" in read.finding
    shares = read.rows["share_top_10"]
    assert read.metric().value == pytest.approx(100 * (shares.max() - shares.min()))
    assert read.metric("share_rest", "text 2").value == read.rows["share_rest"][1]
    assert read.metric("perplexity", 2).n == read.rows["n_tokens"][2]
    assert f"{100 * row['share_rest']:.1f} % rank beyond 1,000" in read.picture().alt and read.picture().png()
    alone = read_ranks(tiny, TEXTS[1:2])
    assert alone.metric().value == alone.rows["share_top_10"][0] and alone.metric().low is None


def test_the_record_names_how_to_do_it_again(read, tiny):
    record = json.loads(json.dumps(read.record()))
    room, function = record["experiment"].split(".")
    assert getattr(token_ranks, function) is read_ranks and room == "token_ranks"
    assert record["inputs"] == {"model": tiny.name, "texts": TEXTS}
    assert set(record["models"]) == {tiny.name} and record["settings"]["precision"] == "fp32"


@pytest.mark.parametrize("texts", ["one string", [], ["A text.", " \n"]])
def test_what_cannot_be_read_is_told(tiny, texts):
    with pytest.raises(TextError, match="texts is|Text 2 is empty"):
        read_ranks(tiny, texts)
