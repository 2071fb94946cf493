"""Public names of the course that notebooks import, each fetched from its module when it is first used.

``import course_utils`` loads neither torch nor transformers, so that help, doctor and the shelf answer at once.
"""

import logging
import os
import sys
from typing import TYPE_CHECKING

from course_utils.core import former_paths
from course_utils.core.lazy import lazy_exports, origin_of

if TYPE_CHECKING:
    from course_utils.cli import doctor
    from course_utils.data import news_articles as texts
    from course_utils.errors import CourseError
    from course_utils.evidence.hand_in import hand_in
    from course_utils.evidence.ledger.ledger import keep
    from course_utils.experiments.core.result import Result
    from course_utils.experiments.sampling.effects import distinct_ngrams, repeated_ngram_share
    from course_utils.models.inference.settings import Settings
    from course_utils.models.loading import load
    from course_utils.models.registry import registry as shelf
    from course_utils.models.registry import release_stage as stage
    from course_utils.widgets.access_regimes.access_regimes import AccessRegimes
    from course_utils.widgets.bias_probe.bias_probe import BiasProbe
    from course_utils.widgets.blind_test.blind_test import BlindTest
    from course_utils.widgets.card_sort.card_sort import CardSort
    from course_utils.widgets.classroom.class_results import ClassResults
    from course_utils.widgets.detector_bench.detector_bench import DetectorBench
    from course_utils.widgets.essay.essay_check import EssayCheck
    from course_utils.widgets.evidence.evidence_board import EvidenceBoard
    from course_utils.widgets.lecture.presenter import lectern
    from course_utils.widgets.marking.calibration import Calibration
    from course_utils.widgets.marking.grader_page import GraderPage
    from course_utils.widgets.marking.self_assessment import SelfAssessment
    from course_utils.widgets.playground.playground import Playground
    from course_utils.widgets.predict.predict import Predict
    from course_utils.widgets.self_check.self_check import SelfCheck
    from course_utils.widgets.side_by_side.side_by_side import SideBySide
    from course_utils.widgets.timeline.timeline import ReleaseTimeline
    from course_utils.widgets.token_map.token_map import TokenMap
    from course_utils.widgets.training_lab.training_lab import TrainingLab

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

__all__ = [
    "AccessRegimes",
    "BiasProbe",
    "BlindTest",
    "Calibration",
    "CardSort",
    "ClassResults",
    "CourseError",
    "DetectorBench",
    "EssayCheck",
    "EvidenceBoard",
    "GraderPage",
    "Playground",
    "Predict",
    "ReleaseTimeline",
    "Result",
    "SelfAssessment",
    "SelfCheck",
    "Settings",
    "SideBySide",
    "TokenMap",
    "TrainingLab",
    "distinct_ngrams",
    "doctor",
    "hand_in",
    "keep",
    "lectern",
    "load",
    "repeated_ngram_share",
    "shelf",
    "stage",
    "texts",
]
__getattr__, __dir__ = lazy_exports(__name__)
former_paths.install()


def _show(result: "Result") -> None:
    """Show a Result as a notebook should, with the button that keeps it as evidence."""
    from course_utils.widgets.base.keep_button import show_result

    show_result(result)


def _hang_the_button() -> None:
    """Tell a notebook's IPython how to show a Result, by its name: nothing is imported for it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name(*origin_of(__name__, "Result"), _show)


_hang_the_button()
