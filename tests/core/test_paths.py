"""The cache folder is where the person says; nothing is made until something is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

from course_utils.core.paths import cache_folder, own_models_folder


def test_the_cache_folder_is_the_one_named_and_is_not_made(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "deep" / "down"))
    assert cache_folder() == tmp_path / "deep" / "down"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["COURSE_CACHE", "COURSE_MODELS"])
@pytest.mark.parametrize("folder", ["here", "~", "~/x", "~no-such-person/x", "a b", "%20", "a#b?c&d;e", "ü😀", "$HOME"])
def test_every_folder_that_can_be_named_becomes_an_absolute_path(name, folder, monkeypatch):
    monkeypatch.setenv(name, folder)
    found = cache_folder() if name == "COURSE_CACHE" else own_models_folder()
    assert found.is_absolute()
    assert found.name == (Path.home().name if folder == "~" else Path(folder).name)


@pytest.mark.skipif(os.name == "nt", reason="the home folder is found otherwise")
def test_a_person_without_a_home_folder_has_no_cache_and_makes_no_folder_here(tmp_path):
    """A container's user that no list of users knows: the path must not become a folder called ~."""
    code = (
        "import os, pwd\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "from course_utils.core.files import replace_file, try_replace_file\n"
        "from course_utils.errors import NoSpace\n"
        "from course_utils.core.paths import cache_folder\n"
        "assert try_replace_file(cache_folder() / 'x', '1') is False\n"
        "try: replace_file(cache_folder() / 'x', '1')\n"
        "except NoSpace as problem: print(problem)\n"
    )
    unset = ("HOME", "XDG_CACHE_HOME", "COURSE_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "COURSE_CACHE" in done.stdout
    assert list(tmp_path.iterdir()) == []
