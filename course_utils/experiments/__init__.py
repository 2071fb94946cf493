"""Experiments on language models: each is a function that returns a `Result` with a table."""

from typing import TYPE_CHECKING

from course_utils.core.lazy import lazy_exports

if TYPE_CHECKING:
    from course_utils.experiments.bias.probes import published as published_bias_figures
    from course_utils.experiments.core.result import ProgressLine, Result
    from course_utils.experiments.core.statistics import wilson as wilson_interval
    from course_utils.experiments.detection.base_rates import base_rates as base_rate_table
    from course_utils.experiments.detection.base_rates import share_of_flags_that_are_right, worth_of_a_flag
    from course_utils.experiments.detection.compare import by_condition as detection_by_condition
    from course_utils.experiments.detection.compare import compare_detectors
    from course_utils.experiments.detection.compare import differences as detector_differences
    from course_utils.experiments.detection.compare import transfer as detector_transfer
    from course_utils.experiments.detection.evaluate import scores_by_author
    from course_utils.experiments.detection.evasion import conditioning, evade, nucleus_sweep
    from course_utils.experiments.readers.ready_items import items as ready_items
    from course_utils.experiments.release.arguments import (
        access_figures,
        checklist,
        corrections,
        disagreements,
        essay_claims,
        may_factors,
        strategies,
    )
    from course_utils.experiments.release.arguments import levels as access_levels
    from course_utils.experiments.release.history import intervals as release_intervals
    from course_utils.experiments.release.release_plan import OPENAI as OPENAI_RELEASES
    from course_utils.experiments.release.release_plan import Plan as ReleasePlan
    from course_utils.experiments.release.release_plan import Rule, decide
    from course_utils.experiments.replication.corpus import news as news_articles
    from course_utils.experiments.replication.distill import costs as replication_costs
    from course_utils.experiments.replication.distill import imitate, text_hash
    from course_utils.experiments.replication.train_small import Plan as TrainingPlan
    from course_utils.experiments.replication.train_small import begin as begin_training
    from course_utils.experiments.sampling.effects import MEASURES as SAMPLING_MEASURES
    from course_utils.experiments.sampling.effects import compare_settings
    from course_utils.experiments.sampling.effects import summarise as summarise_settings
    from course_utils.experiments.sizes.compare import compare_sizes, family_here
    from course_utils.experiments.sizes.compare import differences as size_differences
    from course_utils.experiments.sizes.compare import panel as sizes_panel
    from course_utils.experiments.sizes.gpt2_paper import paper_panel
    from course_utils.experiments.texts.pairs import paired_texts as make_text_pairs

__all__ = [
    "OPENAI_RELEASES",
    "ProgressLine",
    "ReleasePlan",
    "Result",
    "Rule",
    "SAMPLING_MEASURES",
    "TrainingPlan",
    "access_figures",
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
    "essay_claims",
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
