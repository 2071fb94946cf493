"""A record names an experiment, and the registry alone says what that is: no module's place, and nothing else."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from repository import TESTS

from course_utils.core.paths import PACKAGE
from course_utils.evidence.ledger.record import FIRST, seal
from course_utils.evidence.rerun import can_rerun, redraw, rerun
from course_utils.experiments.core import registry
from course_utils.experiments.detection.base_rates import base_rates

LEDGERS = sorted((TESTS / "evidence" / "ledgers").glob("*.jsonl"))
# These names stand in ledgers that students have handed in. Add to them; a name that goes needs an entry in ALIASES.
NAMES_IN_LEDGERS = [
    "sizes.compare_sizes", "token_ranks.read_ranks", "sampling_effects.measure_settings", "best_of.best_of",
    "bias.abid", "bias.analogies", "bias.sheng", "bias_sentences.next_words", "bias_sentences.stereoset_style",
    "detection.compare_detectors", "detection.by_condition", "detection.transfer", "detection_trial.run_trial",
    "hard_to_detect.nucleus_sweep", "hard_to_detect.evade", "hard_to_detect.conditioning",
    "base_rates.base_rates", "credibility.judge", "credibility.rate",
]  # fmt: skip
HOSTILE = [
    "", "os.system", "antigravity", "this.s", "sizes", "sizes.held_out_news", "sizes.compare_sizes ", "..", "a.b.c",
    "SIZES.COMPARE_SIZES", "course_utils.experiments.sizes.compare",
    "course_utils.experiments.sizes.compare.compare_sizes",
    "__main__.main", "sizes.compare_sizes.__call__", "remember.anew", "registry.find", "x" * 10_000, "\x00",
    "__class__",
]  # fmt: skip


def a_record(experiment: str):
    measured = base_rates().record() | {"note": "", "experiment": experiment}
    return seal(json.loads(json.dumps(measured)), "2026-01-01T00:00:00Z", FIRST, ())


@pytest.mark.parametrize("name", NAMES_IN_LEDGERS)
def test_a_name_in_a_ledger_is_found_wherever_its_module_lies(name):
    found = registry.find(name)
    assert found is not None and can_rerun(a_record(name)) and callable(found.function)


def test_today_s_names_are_pinned():
    assert {registry.find(name).name for name in NAMES_IN_LEDGERS} == set(registry.RERUNNABLE)


def test_every_experiment_of_the_older_ledgers_is_found():
    names = {json.loads(line)["experiment"] for ledger in LEDGERS for line in ledger.read_bytes().splitlines()}
    assert len(names) >= 11
    assert all(registry.can_rerun(name) and registry.find(name) for name in names)


def test_an_experiment_is_registered_under_the_name_that_its_results_carry():
    assert base_rates().experiment == "base_rates.base_rates"
    for name in [*registry.RERUNNABLE, *registry.DRAWN_ONLY]:
        found = registry.find(name)
        assert found.name == name and (found.inputs is None) == (name in registry.DRAWN_ONLY)
        assert registry.can_rerun(name) == (found.inputs is not None)


def test_no_experiment_writes_its_own_name():
    """The decorator does: two copies of a name would one day differ."""
    names = {*registry.RERUNNABLE, *registry.DRAWN_ONLY}
    for file in (PACKAGE / "experiments").rglob("*.py"):
        if file.name == "registry.py":
            continue
        tree = ast.parse(file.read_text("utf-8"))
        calls = [call for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for call in node.decorator_list]
        decorating = {id(each) for call in calls for each in ast.walk(call)}
        written = [
            each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and id(each) not in decorating
        ]
        assert not names & {each for each in written if isinstance(each, str)}, file


def test_an_experiment_of_another_module_or_name_is_not_registered():
    for name in ("base_rates.base_rates", "made.up"):
        with pytest.raises(ValueError, match="the registry lists"):
            registry.experiment(name, {})(lambda progress, cancel: base_rates())
    assert registry.find("base_rates.base_rates").function is base_rates


def test_a_module_that_moves_takes_its_names_along(tmp_path, monkeypatch):
    """The same source in another place: one line of the registry changes, and no record does."""
    source = Path(importlib.import_module(registry.RERUNNABLE["base_rates.base_rates"]).__file__)
    (tmp_path / "moved_base_rates.py").write_bytes(source.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.RERUNNABLE, "base_rates.base_rates", "moved_base_rates")
    monkeypatch.setattr(registry, "_registered", {})
    before = a_record("base_rates.base_rates")
    moved = registry.find("base_rates.base_rates")
    assert moved.function.__module__ == "moved_base_rates"
    assert moved.function().experiment == "base_rates.base_rates"
    assert rerun(before).status == "reproduced" and not isinstance(redraw(before), str)
    monkeypatch.delitem(sys.modules, "moved_base_rates")


def test_an_older_name_stands_for_todays(monkeypatch):
    monkeypatch.setitem(registry.ALIASES, "flags.worth", "base_rates.base_rates")
    assert registry.find("flags.worth").function is base_rates
    assert can_rerun(a_record("flags.worth")) and not isinstance(redraw(a_record("flags.worth")), str)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_not_listed_imports_nothing(name):
    before = set(sys.modules)
    assert registry.find(name) is None and not registry.can_rerun(name)
    assert isinstance(redraw(a_record(name.replace("\x00", "?"))), str)
    assert set(sys.modules) == before


def test_asking_for_names_loads_no_library_and_drawing_no_torch():
    names = [*registry.RERUNNABLE, *registry.DRAWN_ONLY]
    script = (
        "import sys\n"
        "from course_utils.classroom import votes\n"
        "from course_utils.experiments.core import registry\n"
        "assert all(map(registry.can_rerun, registry.RERUNNABLE))\n"
        "print(*sorted({'torch', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)))\n"
        f"assert all(map(registry.find, {names}))\n"
        "print(*sorted({'torch', 'transformers', 'sklearn', 'statsmodels'} & set(sys.modules)))\n"
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert child.stdout == "\n\n"
