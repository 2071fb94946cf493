"""Laws of the texts that machines write: batches change nothing, seeds decide, what was written is kept."""

import threading

import pytest

from course_utils.core.paths import cache_folder
from course_utils.core.wheels import sha256_of
from course_utils.data import news_articles
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.texts import generate
from course_utils.experiments.texts.generate import MachineText, equal_length, pairs, write
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings

pytestmark = pytest.mark.slow

PROMPTS = ["The senate met.", "A long report on the weather in the north.", "The council met.", "", "The board met."]
SETTINGS = Settings(max_new_tokens=12, seed=5)


def test_a_batch_writes_what_each_prompt_alone_would_bring(tiny):
    written = write(tiny, PROMPTS, SETTINGS)
    for place, each in enumerate(written):
        (alone,) = tiny.generate(PROMPTS[place], SETTINGS.replace(seed=5 + place))
        assert each.prompt == PROMPTS[place] and each.seed == 5 + place
        assert alone.text.startswith(each.text)
        assert alone.text.split()[: len(each.text.split())] == each.text.split()


def test_more_prompts_than_a_batch_holds_keep_their_order(tiny, monkeypatch):
    whole = write(tiny, PROMPTS * 3, SETTINGS)
    monkeypatch.setattr(generate, "AT_ONCE", 2)
    assert write(tiny, PROMPTS * 3, SETTINGS) == whole
    assert [each.prompt for each in whole] == PROMPTS * 3


def test_the_seed_decides(tiny):
    assert write(tiny, PROMPTS, SETTINGS) != write(tiny, PROMPTS, SETTINGS.replace(seed=6))


def test_what_was_written_is_read_back_without_the_model_writing(tiny, tiny_folder):
    first = write(tiny, PROMPTS, SETTINGS)
    reader = LanguageModel(tiny_folder)
    reader.network = None  # so that writing would fail
    assert write(reader, PROMPTS, SETTINGS) == first
    for change in ({"settings": SETTINGS.replace(top_k=3)}, {"prompts": [*PROMPTS, "One more."]}):
        with pytest.raises((AttributeError, TypeError)):
            write(reader, **{"prompts": PROMPTS, "settings": SETTINGS} | change)


def test_other_weights_write_anew(tiny, tmp_path_factory):
    from conftest import save_random_gpt2

    other = LanguageModel(save_random_gpt2(tmp_path_factory.mktemp("other") / "random-gpt2", seed=1))
    assert other.weights_sha256 != tiny.weights_sha256
    assert write(other, PROMPTS, SETTINGS) != write(tiny, PROMPTS, SETTINGS)


def test_the_weights_hash_is_that_of_the_file(tiny, tiny_folder):
    assert tiny.weights_sha256 == sha256_of(tiny_folder / "model.safetensors")


def test_a_text_cut_by_its_length_ends_with_a_whole_word(tiny):
    for each, longer in zip(
        write(tiny, PROMPTS, SETTINGS), write(tiny, PROMPTS, SETTINGS.replace(max_new_tokens=40)), strict=True
    ):
        words = each.text.split()
        assert longer.text.split()[: len(words)] == words
        assert "\ufffd" not in each.text[-1:]


def test_a_stop_keeps_what_was_finished(tiny, monkeypatch):
    monkeypatch.setattr(generate, "AT_ONCE", 1)
    cancel, told = threading.Event(), []

    def progress(share, what):
        told.append(share)
        if len(told) == 2:
            cancel.set()

    with pytest.raises(Cancelled):
        write(tiny, PROMPTS, SETTINGS, progress, cancel)
    kept = list((cache_folder() / "results").glob("texts-*.json"))
    assert len(kept) == 1
    whole = write(tiny, PROMPTS, SETTINGS)
    assert all(isinstance(each, MachineText) for each in whole) and kept[0].exists()


def test_progress_rises_to_the_end(tiny):
    told = []
    write(tiny, PROMPTS, SETTINGS, lambda share, what: told.append(share))
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1 and max(told[:-1]) < 1


@pytest.mark.parametrize("prompts", ["The senate met.", [], ""])
def test_what_is_no_list_of_prompts_is_refused(tiny, prompts):
    with pytest.raises(TextError, match="prompts is"):
        write(tiny, prompts, SETTINGS)


def test_more_tokens_than_the_model_sees_are_refused(tiny):
    with pytest.raises(SettingsError, match="sees 128 tokens"):
        write(tiny, PROMPTS, Settings(max_new_tokens=128))


@pytest.mark.parametrize(("human", "machine"), [("a b  c", "d\n\ne"), ("a", " b c d "), ("", "a b"), ("x y", "x y")])
def test_equal_lengths_are_beginnings_of_both_in_single_spaces(human, machine):
    one, other = equal_length(human, machine)
    assert len(one.split()) == len(other.split()) == min(len(human.split()), len(machine.split()))
    assert " ".join(human.split()).startswith(one) and " ".join(machine.split()).startswith(other)
    assert "\n" not in one + other and "  " not in one + other


@pytest.fixture
def news(real_cache, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(real_cache))
    if not news_articles.is_here():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")


def test_pairs_are_held_out_drawn_by_the_seed_and_few_begin_many(news):
    few, many = pairs(10, seed=3), pairs(60, seed=3)
    assert many[:10] == few != pairs(10, seed=4)
    assert len({each.id for each in many}) == 60
    for each in many:
        assert (
            news_articles.is_held_out(each.id) and each.title and len(each.text.split()) >= generate.MIN_ARTICLE_WORDS
        )
        assert not news_articles.is_broken(each.title + each.text)
    assert all(len(each.text.split()) >= 300 for each in pairs(20, min_words=300))


@pytest.mark.parametrize("n", [0, -1, 10_000, 2.0, True, "5"])
def test_a_number_of_pairs_that_cannot_be_is_refused(news, n):
    with pytest.raises(SettingsError, match="articles are asked for"):
        pairs(n)


def test_the_news_missing_is_told_with_its_cure():
    with pytest.raises(TextError, match="fetch texts"):
        pairs(5)
