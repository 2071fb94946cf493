"""The front desk: the names a notebook imports, each fetched from its room when first asked for.

``import course_utils`` loads neither torch nor transformers, so that help, doctor and the shelf answer at once.
"""

import importlib
import logging
import os
import sys

# Set before anything imports transformers or torch, and only where the person has not decided otherwise.
_QUIET = {
    # nbgrader gives no points for a cell that writes to stderr; progress bars and notices of these libraries do.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    # Two kernels on two cores spin against each other and both fall to a sixth of their speed; waiting threads sleep.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)
# With a home folder that cannot be written, matplotlib takes a temporary folder and says so on stderr.
logging.getLogger("matplotlib").addFilter(lambda record: record.funcName != "_get_config_or_cache_dir")

# name: (the room it lives in, its name there); no second name means the room itself.
_ROOMS = {
    "doctor": ("course_utils.doctor", None),
    "shelf": ("course_utils.models.shelf", None),
    "stage": ("course_utils.models.stage", None),
    "texts": ("course_utils.texts", None),
    "load": ("course_utils.models.loading", "load"),
    "Settings": ("course_utils.models.settings", "Settings"),
    "Playground": ("course_utils.widgets.playground", "Playground"),
    "SideBySide": ("course_utils.widgets.side_by_side", "SideBySide"),
    "TrainingLab": ("course_utils.widgets.training_lab", "TrainingLab"),
    "CardSort": ("course_utils.widgets.card_sort", "CardSort"),
    "TokenMap": ("course_utils.widgets.token_map", "TokenMap"),
    "DetectorBench": ("course_utils.widgets.detector_bench", "DetectorBench"),
    "BlindTest": ("course_utils.widgets.blind_test", "BlindTest"),
    "BiasProbe": ("course_utils.widgets.bias_probe", "BiasProbe"),
    "ReleaseTimeline": ("course_utils.widgets.timeline", "ReleaseTimeline"),
    "ClassResults": ("course_utils.widgets.class_results", "ClassResults"),
    "AccessRegimes": ("course_utils.widgets.access_regimes", "AccessRegimes"),
    "lectern": ("course_utils.widgets.lectern", "lectern"),
    "SelfCheck": ("course_utils.widgets.self_check", "SelfCheck"),
    "EvidenceBoard": ("course_utils.widgets.evidence_board", "EvidenceBoard"),
    "EssayCheck": ("course_utils.widgets.essay_check", "EssayCheck"),
    "SelfAssessment": ("course_utils.widgets.self_assessment", "SelfAssessment"),
    "Calibration": ("course_utils.widgets.calibration", "Calibration"),
    "GraderPage": ("course_utils.widgets.grader_page", "GraderPage"),
    "hand_in": ("course_utils.evidence.hand_in", "hand_in"),
    "keep": ("course_utils.evidence.ledger", "keep"),
    "repeated_ngram_share": ("course_utils.experiments.sampling_effects", "repeated_ngram_share"),
    "distinct_ngrams": ("course_utils.experiments.sampling_effects", "distinct_ngrams"),
    "CourseError": ("course_utils.errors", "CourseError"),
}

__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> object:
    """Fetch a name of the front desk from its room (Python asks for this; PEP 562)."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'course_utils' has no attribute {name!r}; it has {', '.join(sorted(_ROOMS))}")
    room, inside = _ROOMS[name]
    module = importlib.import_module(room)
    return module if inside is None else getattr(module, inside)


def _show(result: object) -> None:
    """Show a Result as a notebook should, with the button that keeps it as evidence."""
    importlib.import_module("course_utils.widgets.keep_button").show_result(result)


def _hang_the_button() -> None:
    """Tell a notebook's IPython how to show a Result, by its name: nothing is imported for it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name("course_utils.experiments.result", "Result", _show)


_hang_the_button()


def __dir__() -> list[str]:
    """Return the names for tab completion, without loading what is behind them."""
    return sorted(_ROOMS)
