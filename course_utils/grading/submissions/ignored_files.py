"""Ignored file names: files that systems, editors and learning platforms put beside a submission."""

import fnmatch
import unicodedata

FOLDERS = (
    "__macosx", ".ipynb_checkpoints", "__pycache__", ".git", ".svn", ".hg", ".idea", ".vscode", ".vs", ".cache",
    ".pytest_cache", ".mypy_cache", ".ruff_cache", ".trash*", ".trashes", "$recycle.bin", "system volume information",
    ".spotlight-v100", ".fseventsd", ".temporaryitems", ".documentrevisions-v100", "@eadir", "#recycle", ".sync",
    ".stfolder", ".stversions", ".dropbox.cache", ".virtual_documents", ".local", ".config", ".jupyter",
)  # fmt: skip
FILES = (
    ".ds_store", "._*", ".localized", "icon\r", "thumbs.db*", "ehthumbs.db", "ehthumbs_vista.db",
    "desktop.ini", "~$*", "~wrl*.tmp", "*~", "*.bak", "*.swp", "*.swo", "*.swn", "#*#", ".#*", "*.orig", ".nfs*",
    ".fuse_hidden*", ".~lock.*#", ".directory", ".dropbox", ".dropbox.attr", ".gitignore", ".gitattributes",
    ".gitkeep", "*.pyc", "*.pyo", ".*.lock", "*.lnk", "*.url", ".~*", ".*.tmp", "nbgrader.log",
)  # fmt: skip


def is_clutter(name: str) -> bool:
    """Tell whether a file is no part of the work: nobody wrote it on purpose.

    Parameters
    ----------
    name : str
        Its path below the submission's folder, with ``/`` between its parts.

    Examples
    --------
    >>> [is_clutter(name) for name in (".DS_Store", "a/__MACOSX/._b.ipynb", "b.ipynb", "~$essay.docx", "b.ipynb~")]
    [True, True, False, True, True]
    """
    *folders, file = unicodedata.normalize("NFC", name).lower().split("/")
    in_clutter = any(fnmatch.fnmatchcase(folder, pattern) for folder in folders for pattern in FOLDERS)
    return in_clutter or any(fnmatch.fnmatchcase(file, pattern) for pattern in FILES)
