"""The news articles: the parts never meet, the rules of cleaning hold. With the true file where this machine has it."""

import re
import shutil

import pytest

from course_utils.data import news_articles
from course_utils.errors import DamagedFile, TextError


@pytest.fixture(scope="module")
def news_file(real_cache):
    file = real_cache / "texts" / "NewsArticles.zip"
    if not file.exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    return file


@pytest.fixture
def news(news_file):
    """The true articles, in the test's own cache folder."""
    news_articles._file().parent.mkdir()
    news_articles._file().symlink_to(news_file)
    return news_articles


def runs_of_words(text: str, length: int = 8) -> set[int]:
    words = re.findall(r"\w+", text.lower())
    return {hash(tuple(words[start : start + length])) for start in range(len(words) - length + 1)}


def test_held_out_articles_are_those_whose_id_is_divisible_by_five(news):
    assert all(article.id % 5 == 0 for article in news.articles("held_out"))
    assert all(article.id % 5 != 0 for article in news.articles("train"))


def test_no_text_is_in_both_parts_or_twice_in_one(news):
    train = [article.text for article in news.articles("train")]
    held_out = [article.text for article in news.articles("held_out")]
    assert not set(train) & set(held_out)
    assert len(set(train + held_out)) == len(train + held_out)


def test_the_list_of_near_repeats_is_what_the_texts_say(news):
    seen = set().union(*(runs_of_words(article.text) for article in news.articles("train")))
    near = set()
    kept = {article.id for article in news.articles("held_out")}
    for article in news._rows(news._file()):
        if article.id in kept | news.NEAR_REPEATS:
            runs = runs_of_words(article.text)
            if len(runs & seen) > len(runs) / 5:
                near.add(article.id)
    assert near == set(news.NEAR_REPEATS)


def test_the_report_accounts_for_every_article(news):
    assert sum(news.report().values()) == 3824
    assert news.report()["held_out"] == len(news.articles("held_out")) > 400


def test_no_broken_letter_or_wrapping_is_left(news):
    wrapping = (
        "Share this with",
        "Media playback",
        "Permalink http",
        "/TASS/",
        "Source:-",
        "View Comments",
        "\ufffd",
        '"?',
    )
    for article in news.articles("train") + news.articles("held_out"):
        assert not [words for words in wrapping if words in article.text], article.id
        assert article.text == " ".join(article.text.split())
        assert len(article.text.split()) >= news.SHORTEST_WORDS


def test_dates_are_before_gpt2(news):
    assert all("2015" < article.date < "2017-04" for article in news.articles("held_out") if article.date)


def test_sources_are_the_nine_outlets(news):
    assert {article.source for article in news.articles("train")} == set(news.OUTLETS.values())


@pytest.mark.parametrize(
    ("page", "article"),
    [
        ("MOSCOW, February 7. /TASS/. Snow fell.", "Snow fell."),
        ("Washington (CNN)Snow fell.", "Snow fell."),
        (
            "Share this with Snow fell. Media playback is not supported on this device It melted.",
            "Snow fell. It melted.",
        ),
        ("Snow fell.  Source:-Al Jazeera and news agencies", "Snow fell."),
        ("Snow fell. ab/cd (AFP, dpa) -", "Snow fell."),
        ("Snow fell. How will Trump's first 100 days impact you? Learn more", "Snow fell."),
        ("Snow fell. (China Daily European Weekly 03/24/2017 page27)", "Snow fell."),
        ("Snow fell (in Berlin). It melted.", "Snow fell (in Berlin). It melted."),
    ],
)
def test_what_a_page_wraps_around_an_article_is_cut(page, article):
    assert news_articles.without_boilerplate(page) == article


def test_mending_what_is_whole_changes_nothing():
    whole = "\"We're not sure,\" said the co-owner's friend. \"Don't ask. Why? I can't say.\""
    assert news_articles.mended(whole) == whole
    assert not news_articles.is_broken(whole)


@pytest.mark.parametrize("broken", ["Th\ufffd\ufffdo", 'a "?5 year', "Kaurism?ki", "Bus ?ireann", 'teachers"?unions'])
def test_lost_letters_are_seen(broken):
    assert news_articles.is_broken(f"before {broken} after")


def test_absent_articles_are_told_with_the_command():
    assert not news_articles.is_here()
    with pytest.raises(TextError, match="fetch texts"):
        news_articles.articles("train")


def test_a_part_of_another_name_is_refused():
    with pytest.raises(TextError, match="'test'"):
        news_articles.articles("test")


def test_a_damaged_file_is_refused(news_file):
    news_articles._file().parent.mkdir()
    shutil.copy(news_file, news_articles._file())
    with news_articles._file().open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DamagedFile, match="fetch texts"):
        news_articles.articles("train")
