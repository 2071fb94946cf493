"""The release stage: what was not public by then is closed in every door of this kernel, and nothing else is."""

import gc

import pytest

from course_utils.errors import AccessRefused, SettingsError
from course_utils.models.inference import language_model
from course_utils.models.inference.language_model import LanguageModel, load
from course_utils.models.registry import registry, release_stage
from course_utils.models.registry.catalogue import POCKET
from course_utils.widgets.base.model_picker import ModelPicker
from course_utils.widgets.playground.playground import Playground
from course_utils.widgets.side_by_side.models import ModelSelection, default_names
from tests.conftest import save_random_gpt2


@pytest.fixture(autouse=True)
def all_open():
    yield
    release_stage.open_all()


@pytest.fixture(scope="module")
def medium(tmp_path_factory):
    return save_random_gpt2(tmp_path_factory.mktemp("family") / "pocket-medium")


def test_the_stages_are_the_months_of_the_catalogue_s_releases():
    assert release_stage.NAMES == ("Feb 2019", "May 2019", "Aug 2019", "Nov 2019")
    assert [release_stage.opens(name) for name in (*release_stage.SIZES, *POCKET)] == [
        *release_stage.NAMES,
        *release_stage.NAMES,
    ]


def test_without_a_stage_all_is_open():
    assert release_stage.now() is None
    assert all(map(release_stage.is_open, (*release_stage.SIZES, *POCKET, release_stage.STAND_IN, "my-own")))


@pytest.mark.parametrize("n_open", [1, 2, 3, 4])
def test_each_stage_opens_one_more_of_both_families_and_leaves_the_others_alone(n_open):
    release_stage.choose(release_stage.NAMES[n_open - 1])
    open_names = (*release_stage.SIZES[:n_open], *POCKET[:n_open])
    assert release_stage.open_names() == open_names
    for name in (*release_stage.SIZES, *POCKET):
        assert release_stage.is_open(name) == (name in open_names)
        if name not in open_names:
            with pytest.raises(AccessRefused, match=f"(?s){name} is not released yet.*stage.open_all"):
                release_stage.require_open(name)
    release_stage.require_open(release_stage.STAND_IN)
    release_stage.require_open("my-own")


def test_a_stage_that_never_was_is_told_the_four():
    with pytest.raises(SettingsError, match="Feb 2019, May 2019"):
        release_stage.choose("June 2019")
    assert release_stage.now() is None


def test_load_refuses_what_is_closed_also_when_it_is_loaded_already(medium):
    first = load(medium, "fp32")
    assert (str(medium.resolve()), "fp32") in language_model._loaded
    release_stage.choose("Feb 2019")
    for asked in (medium, "pocket-medium", "pocket-xl", "gpt2-xl"):
        with pytest.raises(AccessRefused):
            load(asked, "fp32")
    release_stage.choose("May 2019")
    assert load(medium, "fp32") is first


def test_the_best_here_is_the_best_that_is_open(monkeypatch):
    monkeypatch.delenv("COURSE_MODELS")
    for name, best in zip(release_stage.NAMES, POCKET, strict=True):
        release_stage.choose(name)
        assert registry.best_here() == best
        assert default_names() == list(POCKET[: POCKET.index(best) + 1])


def test_where_all_that_is_here_is_closed_the_stage_is_told_and_not_an_empty_shelf(monkeypatch):
    monkeypatch.delenv("COURSE_MODELS")
    monkeypatch.setattr(registry, "POCKET", POCKET[1:])
    release_stage.choose("Feb 2019")
    with pytest.raises(AccessRefused, match="pocket-"):
        registry.best_here()


def test_choosers_offer_and_load_only_what_is_open(tiny, medium):
    given = ModelPicker(LanguageModel(medium))
    assert given.load("pocket-medium").name == "pocket-medium"
    release_stage.choose("Feb 2019")
    offered = {each["name"] for each in ModelPicker().choices()}
    assert "pocket-small" in offered and tiny.name in offered
    assert not offered & set(POCKET[1:])
    assert "pocket-medium" not in {each["name"] for each in given.choices("pocket-medium")}
    for refused in (lambda: given.load("pocket-medium"), given.first_name, ModelPicker("pocket-xl").first_name):
        with pytest.raises(AccessRefused):
            refused()
    with pytest.raises(AccessRefused):
        ModelSelection().choose(["pocket-small", "pocket-large"])
    assert ModelPicker(tiny).load(tiny.name) is tiny


def test_a_panel_that_is_open_writes_no_more_with_what_was_closed(medium):
    panel = Playground(LanguageModel(medium), prompt="The letter said")
    panel.values = {**panel.values, "max_new_tokens": 3}
    panel.generate()
    assert panel.wait(120) and panel.state == "done"
    release_stage.choose("Feb 2019")
    panel.generate()
    assert panel.wait(120) and panel.state == "failed"
    assert "pocket-medium is not released yet" in panel.message
    panel.close()


def test_watchers_hear_every_change_once_and_are_not_kept_alive():
    class Watcher:
        def __init__(self):
            self.heard = []

        def hear(self):
            self.heard.append(release_stage.now())

    one, other = Watcher(), Watcher()
    release_stage.on_change(one.hear)
    release_stage.on_change(other.hear)
    for name in ("Feb 2019", "Feb 2019", "Aug 2019"):
        release_stage.choose(name)
    release_stage.forget(other.hear)
    release_stage.open_all()
    assert one.heard == ["Feb 2019", "Aug 2019", None]
    assert other.heard == ["Feb 2019", "Aug 2019"]
    n_watchers = len(release_stage._watchers)
    del one
    gc.collect()
    release_stage.choose("May 2019")
    assert len(release_stage._watchers) == n_watchers - 1


def test_one_watcher_s_fault_is_told_and_keeps_nothing_from_the_others():
    heard = []

    def faulty():
        raise ValueError("faulty")

    def sound():
        heard.append(release_stage.now())

    release_stage.on_change(faulty)
    release_stage.on_change(sound)
    for name in release_stage.NAMES[:2]:
        with pytest.raises(ValueError, match="faulty"):
            release_stage.choose(name)
    release_stage.forget(faulty)
    release_stage.forget(sound)
    assert heard == ["Feb 2019", "May 2019"]
