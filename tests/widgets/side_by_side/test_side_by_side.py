"""Side by side without a browser: the same prompt and seed for all, and nothing that betrays who wrote what."""

import itertools
import json
import time

import pytest

from course_utils.core.paths import cache_folder
from course_utils.errors import DamagedFile, TextError
from course_utils.experiments.readers import preferences
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import RANGES, Settings
from course_utils.widgets.base.numbers import LABELS
from course_utils.widgets.base.panel import LOG
from course_utils.widgets.playground.playground import Playground
from course_utils.widgets.side_by_side.interleave import InterleavedStreams
from course_utils.widgets.side_by_side.models import default_names, facts, shuffled
from course_utils.widgets.side_by_side.side_by_side import SideBySide
from tests.conftest import save_random_gpt2

pytestmark = pytest.mark.slow

SOON = 120
PROMPT = "The letter said"
SETTINGS = Settings(max_new_tokens=12, seed=3)
SHAPES = {"small": (1, 32), "medium": (2, 48), "large": (3, 64), "xl": (4, 80)}


@pytest.fixture(scope="module")
def family_folder(tmp_path_factory):
    """Four sizes, in a folder whose order is not that of their sizes."""
    folder = tmp_path_factory.mktemp("family")
    for seed, (name, (n_layer, n_embd)) in enumerate(SHAPES.items()):
        save_random_gpt2(folder / f"pocket-{name}", seed, n_layer=n_layer, n_embd=n_embd)
    return folder


@pytest.fixture(scope="module")
def family(family_folder) -> list[LanguageModel]:
    return [LanguageModel(family_folder / f"pocket-{name}") for name in SHAPES]


@pytest.fixture
def panel(family) -> SideBySide:
    panel = SideBySide(family, PROMPT, SETTINGS)
    yield panel
    panel.close()
    assert panel.wait(SOON)


@pytest.fixture
def blind(panel) -> SideBySide:
    panel.blind = True
    return panel


@pytest.fixture
def sent(panel, monkeypatch) -> list[dict]:
    """What the browser would get."""
    messages = []
    monkeypatch.setattr(panel, "send", messages.append)
    return messages


def write(panel: SideBySide) -> None:
    panel.generate()
    assert panel.wait(SOON)


def texts(panel: SideBySide) -> list[str]:
    return [sample["text"] for sample in panel.samples]


def wait_for_text(panel: SideBySide, sent: list[dict]) -> None:
    """Wait until every column has begun."""
    end = time.monotonic() + SOON
    while len({step[0] for message in sent if message["kind"] == "steps" for step in message["steps"]}) < 4:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_every_column_is_what_its_model_writes_alone_with_that_seed(panel, family):
    write(panel)
    assert panel.state == "done"
    assert texts(panel) == [model.generate(PROMPT, SETTINGS)[0].text for model in family]
    assert {sample["seed"] for sample in panel.samples} == {3}


def test_blind_or_not_a_model_writes_the_same(blind, family):
    write(blind)
    shown = [generation.model_name for generation in blind.generations]
    alone = {model.name: model.generate(PROMPT, SETTINGS)[0].text for model in family}
    assert texts(blind) == [alone[name] for name in shown]


def test_messages_join_to_the_finished_texts(panel, sent):
    write(panel)
    steps = [step for message in sent if message["kind"] == "steps" for step in message["steps"]]
    for i, text in enumerate(texts(panel)):
        assert "".join(piece for column, piece in steps if column == i) == text


def test_a_column_tells_name_size_file_and_pace(panel, family, family_folder):
    write(panel)
    for column, model in zip(panel.columns, family, strict=True):
        assert (column["name"], column["n_parameters"]) == (model.name, model.n_parameters)
        size = (family_folder / model.name / "model.safetensors").stat().st_size
        assert column["file_mb"] == pytest.approx(size / 1e6, abs=0.06)
    assert len(panel.timing["paces"]) == 4
    assert all(pace > 0 for pace in panel.timing["paces"])
    assert all(model.name in panel.line for model in family)
    assert panel.transcript.count("## Request") == 4


def test_a_release_is_told_of_the_shelf_s_own_models_only(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "class"))
    for place, released in (("class", "3 May 2019"), ("elsewhere", "")):
        model = LanguageModel(save_random_gpt2(tmp_path / place / "gpt2-medium", n_layer=1, n_embd=8))
        assert facts(model)["released"] == released


# -- blind -------------------------------------------------------------------------------------------------------------


def all_told(panel: SideBySide, sent: list[dict]) -> str:
    """All that a browser could know about the texts; which models were chosen is no secret."""
    traits = {name: value for name, value in panel.get_state().items() if not name.startswith("_")}
    for name in ("models", "chosen", "model", "layout", "tooltip", "tabbable"):
        traits.pop(name, None)
    return json.dumps([traits, sent], default=str)


def test_nothing_betrays_a_blind_text_before_it_is_ranked(blind, sent, family):
    write(blind)
    told = all_told(blind, sent)
    for model in family:
        assert model.name not in told
        assert str(model.n_parameters) not in told
    assert blind.columns == [{"letter": letter} for letter in "ABCD"]
    assert {tuple(message["timing"]["paces"]) for message in sent} == {()}
    assert all(len(step) == 2 for message in sent if message["kind"] == "steps" for step in message["steps"])
    assert blind.transcript == ""
    blind.rank("ABCD")
    assert all(model.name in all_told(blind, sent) for model in family)
    assert blind.transcript.count("## Request") == 4


def test_blind_columns_grow_at_one_pace(family):
    streams = InterleavedStreams([model.stream(PROMPT, SETTINGS) for model in family], at_equal_pace=True)
    columns = [step.sample for step in streams]
    n = [columns.count(i) for i in range(4)]
    for end in range(len(columns)):
        so_far = [columns[:end].count(i) for i in range(4)]
        still_writing = [count for count, all_of_it in zip(so_far, n, strict=True) if count < all_of_it]
        assert not still_writing or max(still_writing) - min(still_writing) <= 1


def test_a_slow_model_does_not_hold_the_quick_ones_up(family, tmp_path):
    slow = LanguageModel(save_random_gpt2(tmp_path / "slow", n_layer=16, n_embd=128))
    streams = InterleavedStreams(
        [model.stream(PROMPT, Settings(max_new_tokens=40, seed=3)) for model in (slow, family[0])]
    )
    columns = [step.sample for step in streams]
    last_of_the_quick = max(i for i, column in enumerate(columns) if column == 1)
    assert columns[:last_of_the_quick].count(0) < columns.count(0) / 2
    paces = streams.paces()
    assert paces[0] < paces[1]


def test_texts_stopped_before_every_one_has_begun_cannot_be_ranked(blind):
    blind.settings = Settings(max_new_tokens=100)
    blind.generate()
    blind.stop()
    assert blind.wait(SOON)
    assert blind.state == "stopped"
    assert not blind.can_rank


def test_three_or_more_never_stand_in_the_order_of_sizes_and_every_other_order_comes(family):
    drawn = [shuffled(family, f"{key}") for key in range(600)]
    orders = {tuple(family.index(model) for model in order) for order in drawn}
    assert orders == set(itertools.permutations(range(4))) - {(0, 1, 2, 3)}
    assert shuffled(family, "7") == drawn[7]


def test_two_are_drawn_like_a_coin(family):
    first = [shuffled(family[:2], f"{key}")[0] for key in range(400)]
    assert 150 < first.count(family[0]) < 250


def test_the_next_request_is_shuffled_anew_and_a_repeated_session_is_not(blind, family):
    def session(panel):
        orders = []
        for seed in range(6):
            panel.settings = SETTINGS.replace(seed=seed, max_new_tokens=2)
            write(panel)
            orders.append(tuple(generation.model_name for generation in panel.generations))
        return orders

    orders = session(blind)
    assert len(set(orders)) > 1
    assert session(SideBySide(family, PROMPT, SETTINGS, blind=True)) == orders


# -- ranking -----------------------------------------------------------------------------------------------------------


def test_a_ranking_holds_all_that_is_needed_to_write_the_texts_again(blind, family):
    write(blind)
    blind.rank("CADB")
    (ranking,) = blind.rankings
    assert ranking["prompt"] == PROMPT
    assert Settings(**ranking["settings"]) == SETTINGS
    assert ranking["seed"] == 3
    assert ranking["shown"] == [generation.model_name for generation in blind.generations]
    assert ranking["ranking"] == [ranking["shown"]["ABCD".index(letter)] for letter in "CADB"]
    assert sorted(ranking["shown"]) == sorted(model.name for model in family)
    assert ranking["n_parameters"] == {model.name: model.n_parameters for model in family}
    assert all(len(sha256) == 64 for sha256 in ranking["models"].values())
    assert len(set(ranking["models"].values())) == 4
    assert set(ranking["precisions"].values()) == {"fp32"}
    assert [column["place"] for column in blind.columns] == [2, 4, 1, 3]


def test_a_ranking_is_in_its_file_at_once_and_a_new_panel_goes_on_with_it(family, tmp_path):
    file = tmp_path / "deep" / "rankings.jsonl"
    panel = SideBySide(family, "Ein Brief — 你好", SETTINGS, blind=True, record=file)
    for order in ("ABCD", "DCBA"):
        write(panel)
        panel.rank(order)
        assert preferences.read(file) == panel.rankings
    again = SideBySide(family, record=str(file))
    assert again.rankings == panel.rankings
    assert again.standing == panel.standing
    assert again.tally().equals(preferences.tally(panel.rankings))


def test_a_broken_line_in_the_record_is_named(family, tmp_path):
    file = tmp_path / "rankings.jsonl"
    whole = '{"ranking": ["a"], "n_parameters": {"a": 1}}\n'
    file.write_text(whole + '{"ranking": ["a"')  # cut off while it was written: left out, and set aside by the next one
    assert len(SideBySide(family, record=file).rankings) == 1
    file.write_text(whole + '{"ranking": ["a"\n' + whole)
    with pytest.raises(DamagedFile, match="line 2"):
        SideBySide(family, record=file)


def test_a_record_that_cannot_be_written_is_told_and_the_ranking_is_kept(family, tmp_path):
    (tmp_path / "file").write_text("")
    panel = SideBySide(family, PROMPT, SETTINGS, blind=True, record=tmp_path / "rankings.jsonl")
    write(panel)
    panel.record = tmp_path / "file" / "rankings.jsonl"  # as if the folder had gone meanwhile
    say(panel, kind="rank", order=list("ABCD"))
    assert panel.state == "failed"
    assert len(panel.rankings) == 1
    assert all("name" in column for column in panel.columns)


@pytest.mark.parametrize("order", ["", "ABC", "AABC", "ABCE", "abcd", "ABCDD", [1, 2, 3, 4]])
def test_an_order_without_every_letter_once_is_explained_and_changes_nothing(blind, order):
    write(blind)
    with pytest.raises(TextError, match="The order is"):
        blind.rank(order)
    assert blind.rankings == []
    assert blind.is_hidden


def test_only_blind_unranked_texts_can_be_ranked(panel, sent):
    for make in (lambda: None, lambda: write(panel)):
        make()
        with pytest.raises(TextError, match="nothing to rank"):
            panel.rank("ABCD")
    panel.blind = True
    write(panel)
    panel.rank("ABCD")
    with pytest.raises(TextError, match="nothing to rank"):
        panel.rank("ABCD")
    panel.settings = Settings(max_new_tokens=100)
    panel.generate()
    with pytest.raises(TextError, match="nothing to rank"):
        panel.rank("ABCD")
    panel.stop()


def test_texts_stopped_on_the_way_can_be_ranked(blind, sent):
    blind.settings = Settings(max_new_tokens=100)
    blind.generate()
    wait_for_text(blind, sent)
    blind.stop()
    assert blind.wait(SOON)
    assert blind.state == "stopped"
    assert all(0 < sample["n_tokens"] < 100 for sample in blind.samples)
    blind.rank("BADC")
    assert len(blind.rankings) == 1


def test_switching_blind_off_reveals_no_text_that_waits_to_be_ranked(blind):
    write(blind)
    blind.blind = False
    assert blind.is_hidden
    write(blind)
    assert not blind.is_hidden


def test_clear_forgets_texts_and_keeps_rankings(blind):
    write(blind)
    blind.rank("ABCD")
    write(blind)
    blind.clear()
    assert blind.wait(SOON)
    assert (blind.state, blind.samples, blind.columns, blind.transcript) == ("idle", [], [], "")
    assert len(blind.rankings) == 1
    assert blind.standing.startswith("1 ranking so far.")


# -- which models ------------------------------------------------------------------------------------------------------


def test_the_pocket_family_stands_there_by_default_smallest_first(monkeypatch, family_folder):
    monkeypatch.setenv("COURSE_MODELS", str(family_folder))
    assert default_names() == [f"pocket-{name}" for name in SHAPES]
    panel = SideBySide(prompt=PROMPT, settings=SETTINGS)
    assert panel.chosen == default_names()
    write(panel)
    assert panel.state == "done"


def test_without_the_family_it_is_what_is_here(tiny_folder, no_family):
    assert default_names() == [tiny_folder.name]
    panel = SideBySide(prompt=PROMPT, settings=SETTINGS)
    write(panel)
    assert [column["name"] for column in panel.columns] == [tiny_folder.name]


def test_no_model_here_is_said_in_the_panel(monkeypatch, tmp_path, no_family):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    panel = SideBySide()
    for _ in range(2):
        assert panel.state == "failed"
        assert "No model lies on this machine" in panel.message
        write(panel)


@pytest.mark.parametrize(
    ("names", "told"),
    [([], "0 models"), (["gpt2"] * 5, "5 models"), (["random-gpt2"] * 2, "named twice"), (["gpt-too"], "gpt-too")],
)
def test_a_wrong_choice_is_explained_and_the_one_before_stays(panel, names, told):
    assert told in SideBySide(names).message
    before = panel.chosen
    say(panel, kind="choose", models=names)
    assert panel.state == "failed"
    assert told in panel.message
    assert panel.chosen == before
    write(panel)
    assert panel.state == "done"


def test_blind_takes_two(panel):
    say(panel, kind="choose", models=["pocket-xl"])
    panel.blind = True
    panel.generate()
    assert panel.state == "failed"
    assert "Two at least" in panel.message
    panel.blind = False
    write(panel)
    assert panel.state == "done"


def test_a_model_that_was_given_can_be_left_out_and_taken_back(panel, family):
    assert {choice["name"] for choice in panel.models} >= {model.name for model in family}
    say(panel, kind="choose", models=["pocket-large", "pocket-small"])
    write(panel)
    assert [column["name"] for column in panel.columns] == ["pocket-large", "pocket-small"]
    say(panel, kind="choose", models=["pocket-xl", "pocket-small"])
    write(panel)
    assert [column["name"] for column in panel.columns] == ["pocket-xl", "pocket-small"]


# -- as any panel ------------------------------------------------------------------------------------------------------


def say(panel: SideBySide, **content) -> None:
    panel._handle_custom_msg(content, [])


def test_the_form_travels_with_the_wish(panel):
    values = {**panel.values, "max_new_tokens": 2}
    say(panel, kind="generate", prompt="Other", values=values, blind=True)
    assert panel.wait(SOON)
    assert {generation.prompt for generation in panel.generations} == {"Other"}
    assert {len(generation.steps) for generation in panel.generations} == {2}
    assert panel.is_hidden
    say(panel, kind="rank", order=list("DBCA"))
    assert len(panel.rankings) == 1


@pytest.mark.parametrize("name", RANGES)
def test_a_number_out_of_range_is_explained_and_starts_nothing(panel, name):
    for wrong in (RANGES[name][0] - 1, RANGES[name][1] + 1, None):
        panel.values = {**panel.values, name: wrong}
        assert list(panel.problems) == [name]
        panel.generate()
        assert panel.state == "failed"
        assert LABELS[name] in panel.message
    assert panel.samples == []


def test_settings_that_one_model_cannot_serve_are_explained(panel):
    panel.settings = Settings(max_new_tokens=500)
    write(panel)
    assert panel.state == "failed"
    assert "128 tokens" in panel.message


def test_a_prompt_cut_for_some_is_told_without_naming_them(blind, sent, family):
    blind.prompt = "word " * 300
    write(blind)
    assert "saw only its end" in blind.message
    assert not any(model.name in all_told(blind, sent) for model in family)


def test_a_new_request_replaces_the_old_one_unmixed(panel, sent, family):
    panel.settings = Settings(max_new_tokens=100)
    panel.generate()
    wait_for_text(panel, sent)
    panel.prompt, panel.settings = "Another", SETTINGS
    write(panel)
    assert panel.state == "done"
    assert texts(panel) == [model.generate("Another", SETTINGS)[0].text for model in family]
    runs = [message["run"] for message in sent]
    assert runs == sorted(runs)


def test_another_panel_takes_the_turn(panel, sent, tiny):
    panel.settings = Settings(max_new_tokens=100)
    panel.generate()
    wait_for_text(panel, sent)
    other = Playground(tiny, PROMPT, SETTINGS)
    other.generate()
    assert panel.wait(SOON)
    assert other.wait(SOON)
    assert (panel.state, other.state) == ("stopped", "done")
    assert "another panel" in panel.message


def test_a_page_that_comes_later_gets_everything_written_so_far(panel, sent):
    panel.settings = Settings(max_new_tokens=100)
    panel.generate()
    wait_for_text(panel, sent)
    say(panel, kind="ready")
    assert panel.wait(SOON)
    at = max(i for i, message in enumerate(sent) if message["kind"] == "whole")
    later = [step for message in sent[at + 1 :] for step in message["steps"]]
    for i, text in enumerate(texts(panel)):
        rest = "".join(piece for column, piece in later if column == i)
        assert text.endswith(rest)
        whole = sent[at]["samples"][i]["text"]
        assert len(whole) <= len(text)


NONSENSE = [
    {},
    {"kind": "sing"},
    {"kind": "generate"},
    {"kind": "rank"},
    {"kind": "rank", "order": 7},
    {"kind": "close"},
]


@pytest.mark.parametrize("content", NONSENSE)
def test_a_wish_not_understood_changes_nothing(panel, content):
    say(panel, **content)
    assert (panel.state, panel.samples, panel.rankings) == ("idle", [], [])


def test_an_error_while_writing_is_shown_and_the_panel_works_again(panel, family_folder):
    broken = LanguageModel(family_folder / "pocket-medium")
    del broken.network.blocks
    ill = SideBySide([broken, family_folder / "pocket-small"], PROMPT, SETTINGS)
    write(ill)
    assert ill.state == "failed"
    assert "blocks" not in ill.message and "did not foresee" in ill.message
    assert "no attribute 'blocks'" in (cache_folder() / LOG).read_text("utf-8"), "the traceback is in the log"
    write(panel)
    assert panel.state == "done"
