"""Questions asked of a model: one file per question, each returning a table."""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    from course_utils.experiments.apprentice import Plan as TrainingPlan
    from course_utils.experiments.apprentice import begin as begin_training
    from course_utils.experiments.base_rates import base_rates as base_rate_table
    from course_utils.experiments.base_rates import share_of_flags_that_are_right, worth_of_a_flag
    from course_utils.experiments.bias_probes import published as published_bias_figures
    from course_utils.experiments.detection import by_condition as detection_by_condition
    from course_utils.experiments.detection import compare_detectors
    from course_utils.experiments.detection import differences as detector_differences
    from course_utils.experiments.detection import transfer as detector_transfer
    from course_utils.experiments.hard_to_detect import conditioning, evade, nucleus_sweep
    from course_utils.experiments.judging import scores_by_author
    from course_utils.experiments.old_stories import items as ready_items
    from course_utils.experiments.paired_texts import paired_texts as make_text_pairs
    from course_utils.experiments.paper_table import paper_panel
    from course_utils.experiments.release_arguments import (
        checklist,
        corrections,
        disagreements,
        may_factors,
        strategies,
    )
    from course_utils.experiments.release_arguments import levels as access_levels
    from course_utils.experiments.releases import intervals as release_intervals
    from course_utils.experiments.replication import costs as replication_costs
    from course_utils.experiments.replication import imitate, text_hash
    from course_utils.experiments.result import ProgressLine, Result
    from course_utils.experiments.sampling_effects import MEASURES as SAMPLING_MEASURES
    from course_utils.experiments.sampling_effects import compare_settings
    from course_utils.experiments.sampling_effects import summarise as summarise_settings
    from course_utils.experiments.schoolbook import news as news_articles
    from course_utils.experiments.sizes import compare_sizes, family_here
    from course_utils.experiments.sizes import differences as size_differences
    from course_utils.experiments.sizes import panel as sizes_panel
    from course_utils.experiments.staged_release import OPENAI as OPENAI_RELEASES
    from course_utils.experiments.staged_release import Plan as ReleasePlan
    from course_utils.experiments.staged_release import Rule, decide
    from course_utils.experiments.statistics import wilson as wilson_interval

__all__ = [
    "OPENAI_RELEASES",
    "ProgressLine",
    "ReleasePlan",
    "Result",
    "Rule",
    "SAMPLING_MEASURES",
    "TrainingPlan",
    "access_levels",
    "base_rate_table",
    "begin_training",
    "checklist",
    "compare_detectors",
    "compare_settings",
    "compare_sizes",
    "conditioning",
    "corrections",
    "decide",
    "detection_by_condition",
    "detector_differences",
    "detector_transfer",
    "disagreements",
    "evade",
    "family_here",
    "imitate",
    "make_text_pairs",
    "may_factors",
    "news_articles",
    "nucleus_sweep",
    "paper_panel",
    "published_bias_figures",
    "ready_items",
    "release_intervals",
    "replication_costs",
    "scores_by_author",
    "share_of_flags_that_are_right",
    "size_differences",
    "sizes_panel",
    "strategies",
    "summarise_settings",
    "text_hash",
    "wilson_interval",
    "worth_of_a_flag",
]
__getattr__, __dir__ = lazy_exports(__name__)
