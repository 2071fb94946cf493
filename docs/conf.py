"""Sphinx configuration of the documentation site. `make docs` builds it without network."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_extensions")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

project = "Model release strategies"
author = "the course's authors"
extensions = [
    "course_pages",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are shown as they are stored, without outputs

# The API reference is generated from the docstrings: one page for each module.
autosummary_generate = True
autosummary_imported_members = False
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "none"  # the docstrings state the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False
default_role = "literal"  # `name` in a docstring is code; it may not be a link

# Several classes have an attribute of the same name; numpydoc cannot tell which one a docstring means.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "Model release strategies"
html_show_copyright = False
html_theme_options = {"source_edit_link": "", "footer_icons": []}
