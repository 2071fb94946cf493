"""Laws of replication: every figure has its source, texts have their hashes, students and controls get the same."""

import hashlib
import json
import threading

import pytest
from sentences import sentences

from course_utils.errors import TextError
from course_utils.experiments.replication.distill import (
    AT_ONCE,
    TAGS,
    as_many,
    costs,
    imitate,
    text_hash,
    write_texts,
)
from course_utils.experiments.replication.train_small import Plan
from course_utils.models.inference.settings import Settings

pytestmark = pytest.mark.slow

HUMAN = [sentences(3000, seed) for seed in range(10)]
HELD_OUT = [sentences(1500, seed) for seed in range(100, 104)]


# -- costs -------------------------------------------------------------------------------------------------------------


def test_every_figure_has_a_source_a_tag_a_unit_and_a_caveat():
    table = costs()
    for column in ("system", "quantity", "what", "relation", "unit", "source", "tag", "caveat"):
        assert (table[column].str.len() > 0).all(), column
    assert set(table["tag"]) <= set(TAGS)
    assert (table["value"].isna() == (table["relation"] == "unknown")).all()
    assert (table["value"].dropna() > 0).all()


def test_no_two_units_stand_on_one_axis_but_where_they_are_named():
    for quantity, units in (("money", {"USD", "EUR"}), ("energy", {"MWh"}), ("carbon", {"t CO2e"})):
        assert set(costs(quantity)["unit"]) == units


def test_figures_that_disagree_are_neighbours_and_none_is_averaged():
    for quantity, system in (("carbon", "Transformer ("), ("machine time", "Evolved Transformer (")):
        table = costs(quantity)
        rows = table[table["system"].str.startswith(system)]
        assert rows["value"].is_unique
        assert len(rows) == 2
        assert rows.index[1] == rows.index[0] + 1


def test_the_systems_of_the_lesson_are_all_there():
    systems = " ".join(costs("money")["system"])
    assert all(name in systems for name in ("GPT-2", "OpenGPT-2", "Grover", "Leahy", "GPT-3"))


def test_an_unknown_quantity_is_told_the_known_ones():
    with pytest.raises(TextError, match="money, machine time, energy, carbon, compute"):
        costs("time")


# -- the same text -----------------------------------------------------------------------------------------------------


def test_texts_have_the_same_hash_when_their_tokens_are_the_same_and_only_then(tiny):
    hashes = {}
    for seed in (0, 1, 2, 0):
        generation = tiny.generate("The", Settings(max_new_tokens=12, seed=seed))[0]
        digest = hashlib.sha256(json.dumps(generation.token_ids).encode()).hexdigest()
        assert text_hash(generation) == f"{digest[:4]}-{digest[4:8]}"
        assert hashes.setdefault(seed, text_hash(generation)) == text_hash(generation)
    assert len(set(hashes.values())) == len(hashes)


# -- from its outputs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_tokens", [1, 300, 900])
def test_a_teacher_writes_as_much_as_asked_and_begins_the_same(tiny, n_tokens):
    openings = ["The old bridge", "Rain"]
    texts = write_texts(tiny, n_tokens, openings, seed=2)
    assert len(texts) % AT_ONCE == 0
    assert all(text.startswith(openings[i // AT_ONCE % 2]) for i, text in enumerate(texts))
    assert sum(len(tiny.encode(text)) for text in texts) >= n_tokens
    assert texts[:AT_ONCE] == write_texts(tiny, 1, openings, seed=2)


def test_the_control_gets_as_many_tokens_and_no_more(tiny):
    for n_tokens in (1, 10, 1000, 2500):
        kept = as_many(HUMAN, tiny, n_tokens)
        assert abs(sum(len(tiny.encode(text)) for text in kept) - n_tokens) <= 2  # the cut may fall inside a word
        assert "".join(HUMAN).startswith("".join(kept).rstrip("�"))
    with pytest.raises(TextError, match="At least 10,000,000"):
        as_many(HUMAN, tiny, 10_000_000)


@pytest.fixture(scope="module")
def imitation(tiny, tmp_path_factory):
    told = []
    plan = Plan(size="smallest", n_tokens=6_000, n_said=1)
    folder = tmp_path_factory.mktemp("imitation")
    result = imitate(
        tiny, HUMAN, HELD_OUT, folder, 1200, plan=plan, progress=lambda share, what: told.append((share, what))
    )
    return result, told, folder


def test_teacher_student_and_control_are_measured_on_the_same_texts(imitation, tiny):
    result, _, _ = imitation
    assert result.rows["model"].tolist() == ["teacher", "student", "control"]
    assert (
        (result.rows["low"] <= result.rows["bits_per_character"])
        & (result.rows["bits_per_character"] <= result.rows["high"])
    ).all()
    scored = [tiny.score(text) for text in HELD_OUT]
    by_hand = sum(each.total_bits for each in scored) / sum(map(len, HELD_OUT))
    assert result.rows["bits_per_character"][0] == pytest.approx(by_hand, abs=1e-3)


def test_people_s_text_teaches_more_about_people_s_text_than_a_random_model_does(imitation):
    result, _, _ = imitation
    student, control = result.rows["bits_per_character"][1:]
    assert control < student
    assert f"{student - control:+.2f} bits" in result.finding
    assert "95% interval" in result.finding


def test_the_result_can_be_kept_and_drawn(imitation, tiny_folder):
    result, _, folder = imitation
    record = json.loads(json.dumps(result.record()))
    files = [tiny_folder, folder / "student", folder / "control"]
    hashes = [hashlib.sha256((each / "model.safetensors").read_bytes()).hexdigest() for each in files]
    assert all(digest in json.dumps(record) for digest in hashes)
    assert result.picture().png()


def test_progress_goes_from_nothing_to_all(imitation):
    _, told, _ = imitation
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1.0
    assert len({what for _, what in told}) == 3


def test_a_stop_is_heeded(tiny, tmp_path):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(TextError, match="was stopped"):
        imitate(tiny, HUMAN, HELD_OUT, tmp_path, 1000, cancel=cancel)
