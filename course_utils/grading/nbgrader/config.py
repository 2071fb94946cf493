"""Configuration of nbgrader for a course: its folders, its limits, and our own steps in place of nbgrader's."""

import os
from pathlib import Path

from traitlets.config import Config

from course_utils.grading.course.course import COURSE_ID, MAX_FILE_KB, MAX_FOLDER_KB
from course_utils.grading.course.gradebook_access import gradebook_url, wait_for_locks
from course_utils.grading.course.literal_glob import take_existing_folders_literally
from course_utils.grading.course.score_guard import guard_marks
from course_utils.grading.html.safe_html import safe_code, safe_markdown, unchanged
from course_utils.grading.nbgrader.formgrader import take_over

# nbgrader imports these classes by name when it needs them. To import them here would cost each command seconds.
ONLY_BY_THE_COURSE = "course_utils.grading.autograde.execute.OnlyByTheCourse"
RUBRIC_EXPORT = "course_utils.grading.reports.exports.RubricExport"
LATE_BY_THE_DAY = "course_utils.grading.course.late_penalty.LateByTheDay"
BOUNDED_PAGE = "course_utils.grading.html.page_limits.BoundedPage"
KEPT_AT_HOME = [
    "mark_scheme.yaml",
    "*.jsonl.cut-off-*",
    ".*.lock",
    "checkpoints",
    ".ipynb_checkpoints",
    "__pycache__",
    "*.pyc",
]


def configure(c: Config, root: Path) -> None:
    """Set up nbgrader: what ``nbgrader_config.py`` calls, and so JupyterLab's formgrader too.

    Parameters
    ----------
    c : Config
        From ``get_config()``.
    root : Path
        The course's folder.
    """
    guard_marks()
    take_over()
    wait_for_locks()
    take_existing_folders_literally()
    # What the file has set before it calls this function stays.
    c.CourseDirectory.course_id = c.CourseDirectory.get("course_id") or COURSE_ID
    c.CourseDirectory.root = str(root.resolve())
    # nbgrader's own address breaks at a percent sign or a question mark in the path.
    c.CourseDirectory.db_url = c.CourseDirectory.get("db_url") or gradebook_url(root.resolve() / "gradebook.db")
    c.CourseDirectory.release_directory = "assignments"
    c.CourseDirectory.ignore = KEPT_AT_HOME
    c.CourseDirectory.max_file_size, c.CourseDirectory.max_dir_size = MAX_FILE_KB, MAX_FOLDER_KB
    c.Exchange.root = os.environ.get("NBGRADER_EXCHANGE", str(root.resolve() / "exchange"))
    c.ExchangeSubmit.strict = True  # a renamed notebook is told to the student, not found out by the grader
    c.OverwriteCells.add_missing_cells = True
    c.Execute.timeout, c.Execute.iopub_timeout = 60, 10
    # nbgrader's own commands would run students' code outside the sandbox, and tell hidden tests in feedback.
    c.Autograde.exporter_class = ONLY_BY_THE_COURSE
    c.GenerateFeedback.exporter_class = ONLY_BY_THE_COURSE
    c.ExportApp.plugin_class = RUBRIC_EXPORT
    c.AssignLatePenalties.plugin_class = LATE_BY_THE_DAY
    # A student's text may be anything: a script in it would run in the page of whoever marks it.
    c.HTMLExporter.sanitize_html = True
    c.HTMLExporter.filters = {
        "markdown2html": safe_markdown, "highlight_code": safe_code, "strip_files_prefix": unchanged,
    }  # fmt: skip
    c.HTMLExporter.preprocessors = [BOUNDED_PAGE]  # a large text would keep the server busy for minutes
    c.FormgradeExtension.debug = False  # the page would print all settings
