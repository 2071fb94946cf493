"""Laws of the comparison of sizes: what it says is what the models scored, and how sure it is."""

import json
import math
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from course_utils.core.paths import cache_folder
from course_utils.core.wheels import sha256_of
from course_utils.data import news_articles
from course_utils.errors import DamagedFile, ModelNotHere, SettingsError, TextError, UnknownModel
from course_utils.experiments.sizes import benchmark
from course_utils.experiments.sizes.compare import (
    compare_sizes,
    differences,
    family_here,
    held_out_news,
    panel,
    power_law,
)
from course_utils.experiments.sizes.gpt2_paper import PAPER, paper_panel
from course_utils.models.architecture import GPT2
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.registry.catalogue import POCKET
from course_utils.models.registry.checksums import WEIGHTS
from course_utils.models.training.data import train_tokenizer

pytestmark = pytest.mark.slow

DOCUMENTS = [f"The {word} met again, and it could not agree on the {word}. " * n for n, word in enumerate(
    ["committee", "council", "senate", "board", "naïve crowd 你好"], start=1)]  # fmt: skip


def save_model(folder, width: int, seed: int = 0):
    """Write a random-weight GPT-2 of a small vocabulary, which loads at once."""
    torch.manual_seed(seed)
    config = GPT2Config(
        n_layer=2, n_embd=width, n_head=2, n_positions=64, vocab_size=280, bos_token_id=0, eos_token_id=0
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    train_tokenizer(DOCUMENTS, 280).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three random models, not in the order of their sizes."""
    place = tmp_path_factory.mktemp("family")
    return [save_model(place / f"size-{width}", width) for width in (128, 32, 64)]


@pytest.fixture(scope="module")
def result(folders, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return compare_sizes(folders, DOCUMENTS)


def test_the_rows_are_what_each_model_scored(result, folders):
    for folder in folders:
        model = LanguageModel(folder)
        scored = [model.score(document) for document in DOCUMENTS]
        bits, n_tokens = sum(each.total_bits for each in scored), sum(len(each.steps) for each in scored)
        row = result.rows.set_index("model").loc[folder.name]
        assert row["bits_per_character"] == pytest.approx(bits / sum(map(len, DOCUMENTS)), abs=1e-4)
        assert math.log2(row["perplexity"]) == pytest.approx(bits / n_tokens, abs=1e-4)
        assert row["n_parameters"] == model.n_parameters
        assert row["file_mb"] == (folder / WEIGHTS).stat().st_size / 1e6
        assert row["memory_mb"] >= 4 * model.n_parameters / 1e6
        assert row["tokens_per_s"] > 0 and row["load_s"] > 0


def test_the_smallest_comes_first_whatever_the_order(result):
    assert list(result.rows["model"]) == ["size-32", "size-64", "size-128"]
    assert result.rows["n_parameters"].is_monotonic_increasing


def test_every_number_lies_in_its_interval(result):
    for row in result.rows.itertuples():
        assert row.bits_low <= row.bits_per_character <= row.bits_high
        assert row.perplexity_low <= row.perplexity <= row.perplexity_high


def test_the_details_add_up_to_the_rows(result):
    sums = result.details.groupby("model")[["bits", "n_tokens", "n_characters"]].sum()
    rows = result.rows.set_index("model")
    np.testing.assert_allclose(sums["bits"] / sums["n_characters"], rows["bits_per_character"][sums.index])
    assert (sums[["n_tokens", "n_characters"]] == rows.loc[sums.index, ["n_tokens", "n_characters"]]).all(axis=None)


def test_differences_are_those_of_the_rows_and_surer_than_they(result):
    bits = result.rows["bits_per_character"].tolist()
    for row, smaller, larger in zip(differences(result).itertuples(), bits, bits[1:], strict=False):
        assert row.bits_saved == pytest.approx(smaller - larger)
        assert row.low <= row.bits_saved <= row.high
        assert 0 <= row.share_of_documents <= 1


def test_a_model_that_stands_alone_has_the_columns_and_no_row(result, tiny_folder):
    alone = differences(compare_sizes([tiny_folder], DOCUMENTS[:2]))
    assert alone.empty
    assert list(alone.columns) == list(differences(result).columns)


def test_the_finding_tells_direction_amount_and_interval(result):
    first, last = result.rows.iloc[0], result.rows.iloc[-1]
    saved = first["bits_per_character"] - last["bits_per_character"]
    assert f"size-128 needs {abs(saved):.3f} bits per character {'fewer' if saved >= 0 else 'more'}" in result.finding
    assert "5 documents" in result.finding and "95% interval" in result.finding


def test_the_record_is_plain_and_names_the_weights(result, folders):
    record = json.loads(json.dumps(result.record()))
    assert record["models"] == {folder.name: sha256_of(folder / WEIGHTS) for folder in folders}
    assert record["settings"]["n_documents"] == len(DOCUMENTS)
    assert record["rows"][0]["bits_per_character"] == pytest.approx(result.rows["bits_per_character"][0], rel=1e-12)


def test_the_headline_is_the_number_in_the_finding_and_every_row_can_be_cited(result, folders):
    first, last = result.rows.iloc[0], result.rows.iloc[-1]
    headline = result.headline
    assert headline.value == pytest.approx(first["bits_per_character"] - last["bits_per_character"])
    assert headline.low <= headline.value <= headline.high and headline.n == len(DOCUMENTS)
    assert headline.of == "size-128 against size-32"
    for place, row in result.rows.iterrows():
        cited = result.metric("bits_per_character", row["model"])
        assert (cited.value, cited.low, cited.high) == (row["bits_per_character"], row["bits_low"], row["bits_high"])
        assert (cited.row, cited.n) == (place, len(DOCUMENTS))
    for measure in result.measures:
        assert result.metric(measure.column, 0).value > 0
    alone = compare_sizes(folders[:1], DOCUMENTS)
    assert f"{alone.headline.value:.3f} bits" in alone.finding and alone.headline.of == folders[0].name


def test_the_inputs_do_it_again(result, folders, tmp_path, monkeypatch):
    inputs = json.loads(json.dumps(result.inputs))
    assert (inputs["models"], inputs["documents"]) == ([folder.name for folder in folders], DOCUMENTS)
    monkeypatch.setenv("COURSE_MODELS", str(folders[0].parent))
    pd.testing.assert_series_equal(compare_sizes(**inputs).rows["bits_low"], result.rows["bits_low"])


def test_the_picture_tells_every_model_and_the_slope(result):
    alt = result.picture().alt
    assert all(f"{row.model} (" in alt and f"{row.bits_per_character:.2f}" in alt for row in result.rows.itertuples())
    assert f"{100 * (power_law(result.rows, result.details, result.seed).per_doubling - 1):+.1f}%" in alt
    assert panel(result, "ours").exponent == power_law(result.rows, result.details, result.seed).exponent


def test_asked_again_nothing_is_measured_again(folders, monkeypatch):
    first = compare_sizes(folders[:2], DOCUMENTS[:2])
    monkeypatch.setattr(benchmark, "LanguageModel", None)  # so that loading one would fail
    again = compare_sizes(folders[:2], DOCUMENTS[:2])
    pd.testing.assert_frame_equal(first.rows, again.rows)
    with pytest.raises(TypeError):
        compare_sizes(folders[:2], DOCUMENTS[:3])
    with pytest.raises(TypeError):
        compare_sizes(folders[:2], DOCUMENTS[:2], stride=7)


def test_other_weights_under_the_same_name_are_measured_anew(tmp_path):
    folder = save_model(tmp_path / "model", 32)
    first = compare_sizes([folder], DOCUMENTS[:1])
    save_model(folder, 32, seed=1)
    assert compare_sizes([folder], DOCUMENTS[:1]).rows["perplexity"][0] != first.rows["perplexity"][0]


def test_a_damaged_memory_is_measured_anew(folders):
    first = compare_sizes(folders[:1], DOCUMENTS[:1])
    (file,) = (cache_folder() / "results").iterdir()
    for content in ("", "{", "null", "[]", '{"cost": {}}'):
        file.write_text(content)
        again = compare_sizes(folders[:1], DOCUMENTS[:1])
        assert again.rows["bits_per_character"][0] == pytest.approx(first.rows["bits_per_character"][0])


def test_progress_rises_to_the_end_and_names_every_model(folders):
    told = []
    compare_sizes(folders, DOCUMENTS, progress=lambda share, what: told.append((share, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1 and max(shares[:-1]) < 1
    assert all(any(folder.name in what for _, what in told) for folder in folders)


def test_a_stop_keeps_what_was_measured(folders, monkeypatch):
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        compare_sizes(folders, DOCUMENTS, progress=lambda share, what: cancel.set(), cancel=cancel)
    monkeypatch.setattr(benchmark, "LanguageModel", None)
    assert len(compare_sizes([folders[1]], DOCUMENTS).rows) == 1  # the smallest, which came first


def test_one_model_and_one_document_make_no_interval_and_no_line(folders):
    result = compare_sizes(folders[0], DOCUMENTS[0])
    assert result.rows[["bits_low", "bits_high", "perplexity_low"]].isna().all(axis=None)
    assert "on 1 document." in result.finding
    assert result.picture().png() and "nan" not in result.picture().alt
    assert len(differences(result)) == 0
    with pytest.raises(SettingsError, match="No line"):
        power_law(result.rows, result.details, result.seed)


def test_the_pocket_models_are_taken_first_and_the_classs_own_copies_before_the_repositorys(tmp_path, monkeypatch):
    assert family_here() == list(POCKET)
    for name in (*POCKET, "another"):
        save_model(tmp_path / name, 32)
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    assert family_here() == list(POCKET)
    assert set(compare_sizes(documents=DOCUMENTS[:1]).models) == set(POCKET)


def test_without_the_family_it_is_what_is_here_or_an_error(tmp_path, monkeypatch, tiny_folder, no_family):
    assert family_here() == [tiny_folder.name]
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "nothing"))
    with pytest.raises(ModelNotHere):
        family_here()


@pytest.mark.parametrize(("documents", "told"), [([], "documents is empty"), (["a", " \n"], "documents is empty")])
def test_documents_without_words_are_refused(folders, documents, told):
    with pytest.raises(TextError, match=told):
        compare_sizes(folders, documents)


def test_models_that_cannot_be_compared_are_refused(folders, tmp_path):
    with pytest.raises(SettingsError, match="different names"):
        compare_sizes([folders[0], folders[0]], DOCUMENTS)
    with pytest.raises(SettingsError, match="different names"):
        compare_sizes([], DOCUMENTS)
    with pytest.raises(UnknownModel):
        compare_sizes(["gpt5"], DOCUMENTS)
    with pytest.raises(ModelNotHere):
        compare_sizes(["gpt2-xl"], DOCUMENTS)
    with pytest.raises(DamagedFile):
        compare_sizes([tmp_path / "nowhere"], DOCUMENTS)
    with pytest.raises(SettingsError, match="stride is"):
        compare_sizes(folders[:1], DOCUMENTS, stride=0)


def test_the_news_are_drawn_by_the_seed_alone_and_held_out(real_cache, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(real_cache))
    if not news_articles.is_here():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    places = {article.text: place for place, article in enumerate(news_articles.articles("held_out"))}
    drawn = held_out_news(10, seed=3)
    assert drawn == held_out_news(10, seed=3) != held_out_news(10, seed=4)
    assert len(set(drawn)) == 10 and [places[text] for text in drawn] == sorted(places[text] for text in drawn)
    for number in (0, len(places) + 1, 2.0, True, "5"):
        with pytest.raises(SettingsError, match="n_documents is"):
            held_out_news(number)


def test_the_news_missing_is_told_with_its_cure():
    with pytest.raises(TextError, match="fetch texts"):
        held_out_news()


# -- the paper ---------------------------------------------------------------------------------------------------------


def test_the_papers_table_names_the_four_sizes_in_order():
    assert list(PAPER["model"][1:]) == list(GPT2)
    assert PAPER["n_parameters"][1:].is_monotonic_increasing


def test_every_loss_of_the_paper_falls_with_size_and_so_does_its_line():
    losses = [name for name in PAPER.columns[2:] if "accuracy" not in name]
    assert len(losses) == 7
    for measure in losses:
        assert PAPER[measure][1:].is_monotonic_decreasing
        assert paper_panel(measure).exponent < 0


@pytest.mark.parametrize("measure", ["LAMBADA accuracy", "model", "loss"])
def test_what_is_no_loss_of_the_paper_is_refused(measure):
    with pytest.raises(SettingsError, match="measure is"):
        paper_panel(measure)
