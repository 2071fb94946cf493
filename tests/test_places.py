"""The cache folder is where the person says, or the message says why not."""

import pytest

from course_utils.errors import NoSpace
from course_utils.places import cache_folder


def test_the_cache_folder_is_the_one_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "deep" / "down"))
    assert cache_folder() == tmp_path / "deep" / "down" and cache_folder().is_dir()


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "folder"))
    with pytest.raises(NoSpace, match="file/folder cannot be made"):
        cache_folder()
