"""Laws of the pairs: one length, one opening, two halves without a common article."""

import dataclasses

import pytest
from made_pairs import made_pairs, wordy_model

from course_utils.core.paths import cache_folder
from course_utils.data import news_articles
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.texts.pairs import OPENINGS, first_sentence, in_common, paired_texts
from course_utils.models.inference.settings import Settings


@pytest.fixture(scope="module")
def wordy(tmp_path_factory):
    return wordy_model(tmp_path_factory.mktemp("wordy") / "wordy")


@pytest.fixture
def news(real_cache):
    """Lend the real news to the test's own cache folder."""
    if not (real_cache / "texts" / "NewsArticles.zip").exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    (cache_folder() / "texts").symlink_to(real_cache / "texts")
    return {article.id: article for article in news_articles.articles("held_out")}


def test_the_halves_share_no_article_and_together_are_all():
    pairs = made_pairs(21)
    assert not set(pairs.training.articles) & set(pairs.test.articles)
    assert sorted(pairs.training.articles + pairs.test.articles) == sorted(pairs.articles)
    assert abs(len(pairs.training) - len(pairs.test)) <= 1
    assert pairs.test.human == tuple(
        text for text, half in zip(pairs.human, pairs.in_training, strict=True) if not half
    )


def test_cut_texts_are_beginnings_of_so_many_words():
    pairs = made_pairs(10)
    for one, other in zip(pairs.cut(7).human + pairs.cut(7).machine, pairs.human + pairs.machine, strict=True):
        assert len(one.split()) == 7 and other.startswith(one)
    for wrong in (0, 31, 7.0, True):
        with pytest.raises(SettingsError, match="n_words is"):
            pairs.cut(wrong)


def test_sets_in_common_hold_the_same_articles_in_the_same_halves():
    one, other = made_pairs(20), made_pairs(20, seed=1)
    fewer = one.of_articles(one.articles[3:])
    found = in_common([fewer, other])
    assert found[0].articles == found[1].articles == one.articles[3:]
    assert found[0].in_training == found[1].in_training


def test_sets_that_would_leak_from_one_half_to_the_other_are_refused():
    one = made_pairs(20)
    turned = dataclasses.replace(one, in_training=tuple(not half for half in one.in_training))
    with pytest.raises(TextError, match="same seed"):
        in_common([one, turned])


def test_sets_with_too_little_in_common_are_refused():
    one = made_pairs(20)
    with pytest.raises(TextError, match="Raise n_pairs"):
        in_common([one, one.of_articles(one.articles[:6])])


def test_the_human_side_is_the_article_after_what_the_model_was_given(news, wordy):
    for opening in OPENINGS:
        pairs = paired_texts(wordy, 12, Settings(max_new_tokens=16), n_words=8, opening=opening)
        assert len(pairs) + pairs.n_left_out == 12
        for article, given, human, machine in zip(
            pairs.articles, pairs.openings, pairs.human, pairs.machine, strict=True
        ):
            assert news_articles.is_held_out(article)
            assert len(human.split()) == len(machine.split()) == 8
            source = news[article]
            assert source.title in given and human not in given
            told = first_sentence(source.text) if "sentence" in opening else ""
            assert told in given and source.text.startswith(told + " " * bool(told) + human)
            if "outlet" in opening:
                assert given.startswith(f"{source.source} | {source.date} | ")


def test_the_same_articles_are_drawn_for_every_model_opening_and_length(news, wordy):
    drawn = [
        paired_texts(wordy, 12, Settings(max_new_tokens=16), n_words=n_words, opening=opening)
        for n_words in (2, 3)
        for opening in OPENINGS
    ]
    halves = {}
    for pairs in drawn:
        for article, half in zip(pairs.articles, pairs.in_training, strict=True):
            assert halves.setdefault(article, half) == half
    assert len(halves) == 12


def test_a_model_that_writes_too_little_is_told_what_to_do(news, wordy):
    with pytest.raises(TextError, match="Raise n_pairs or max_new_tokens"):
        paired_texts(wordy, 12, Settings(max_new_tokens=4), n_words=30)


def test_an_unknown_opening_is_refused(wordy):
    with pytest.raises(SettingsError, match="opening is 'title'"):
        paired_texts(wordy, opening="title")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (
            "He met Gen. Smith in the U.S. on Monday, aides said. Then he left.",
            "He met Gen. Smith in the U.S. on Monday, aides said.",
        ),
        ('"We shall see what they do about that," he said. "Yes."', '"We shall see what they do about that," he said.'),
        ("One two three four five six seven eight nine", "One two three four five six seven eight nine"),
        ('She said at the end of the long day: "No." But it was late.', 'She said at the end of the long day: "No."'),
    ],
)
def test_a_first_sentence_ends_where_a_reader_would_end_it(text, first):
    assert first_sentence(text) == first
