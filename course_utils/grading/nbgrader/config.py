"""Configuration of nbgrader for a course: its folders, its limits, and our own steps in place of nbgrader's."""

import os
from pathlib import Path

from traitlets.config import Config

from course_utils.grading.course.course import COURSE_ID, MAX_FILE_KB, MAX_FOLDER_KB
from course_utils.grading.course.gradebook_access import gradebook_url, install_lock_timeout
from course_utils.grading.course.literal_glob import install_literal_glob
from course_utils.grading.course.score_guard import install_score_guard
from course_utils.grading.html.safe_html import safe_code, safe_markdown, unchanged
from course_utils.grading.nbgrader.formgrader import patch_formgrader

# nbgrader imports these classes by name when it needs them. To import them here would cost each command seconds.
REFUSING_EXPORTER = "course_utils.grading.autograde.execute.RefusingExporter"
RUBRIC_EXPORT = "course_utils.grading.reports.exports.RubricExport"
DAILY_LATE_PENALTY = "course_utils.grading.course.late_penalty.DailyLatePenalty"
BOUNDED_PAGE = "course_utils.grading.html.page_limits.BoundedPage"
IGNORED_FILES = [
    "mark_scheme.yaml",
    "*.jsonl.cut-off-*",
    ".*.lock",
    "checkpoints",
    ".ipynb_checkpoints",
    "__pycache__",
    "*.pyc",
]


def configure(c: Config, root: Path) -> None:
    """Configure nbgrader; ``nbgrader_config.py`` calls this, also when JupyterLab's formgrader reads it.

    Parameters
    ----------
    c : Config
        From ``get_config()``.
    root : Path
        The course's folder.
    """
    install_score_guard()
    patch_formgrader()
    install_lock_timeout()
    install_literal_glob()
    # What the file has set before it calls this function stays.
    c.CourseDirectory.course_id = c.CourseDirectory.get("course_id") or COURSE_ID
    c.CourseDirectory.root = str(root.resolve())
    # nbgrader's own address breaks at a percent sign or a question mark in the path.
    c.CourseDirectory.db_url = c.CourseDirectory.get("db_url") or gradebook_url(root.resolve() / "gradebook.db")
    c.CourseDirectory.release_directory = "assignments"
    c.CourseDirectory.ignore = IGNORED_FILES
    c.CourseDirectory.max_file_size, c.CourseDirectory.max_dir_size = MAX_FILE_KB, MAX_FOLDER_KB
    c.Exchange.root = os.environ.get("NBGRADER_EXCHANGE", str(root.resolve() / "exchange"))
    c.ExchangeSubmit.strict = True  # a renamed notebook is told to the student, not found out by the grader
    c.OverwriteCells.add_missing_cells = True
    c.Execute.timeout, c.Execute.iopub_timeout = 60, 10
    # nbgrader's own commands would run students' code outside the sandbox, and tell hidden tests in feedback.
    c.Autograde.exporter_class = REFUSING_EXPORTER
    c.GenerateFeedback.exporter_class = REFUSING_EXPORTER
    c.ExportApp.plugin_class = RUBRIC_EXPORT
    c.AssignLatePenalties.plugin_class = DAILY_LATE_PENALTY
    # A student's text may be anything: a script in it would run in the grader's page.
    c.HTMLExporter.sanitize_html = True
    c.HTMLExporter.filters = {
        "markdown2html": safe_markdown, "highlight_code": safe_code, "strip_files_prefix": unchanged,
    }  # fmt: skip
    c.HTMLExporter.preprocessors = [BOUNDED_PAGE]  # a large text would keep the server busy for minutes
    c.FormgradeExtension.debug = False  # the page would print all settings
