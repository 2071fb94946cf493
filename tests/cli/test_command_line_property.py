"""Whatever is typed, and wherever it is typed: exit code 0, 1 or 2, at most three lines of error, no traceback."""

import contextlib
import io
import os

import pytest
from drawn import drawn
from hypothesis import example, given
from hypothesis import strategies as st

from course_utils.__main__ import main
from course_utils.errors import CourseError
from course_utils.evidence.ledger import ledger

pytestmark = pytest.mark.slow

FEW = drawn(10)
KNOWN = {0, 1, 2}


def run(*words: str) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and what it said on stderr."""
    said, out = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(out):
        try:
            code = main(list(words))
        except SystemExit as stopped:  # wrong usage, or --help
            code = stopped.code
    return code, said.getvalue()


def law(*words: str) -> int:
    code, said = run(*words)
    assert code in KNOWN, words
    assert "Traceback" not in said
    if code == 1:
        assert 1 <= len(said.strip().splitlines()) <= 3 * max(1, len(words)), said
    return code


# What the system takes as a word or a variable: any letters but NUL, and bytes that are no UTF-8.
letters = st.characters(exclude_characters="\0", exclude_categories=("Cs",)) | st.sampled_from("\udc80\udcff")
words = st.text(letters, max_size=12) | st.sampled_from(
    ["--", "-", "~", ".", "..", "/", "gpt2", "texts", "%s", "{x}", "\n"]
)
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from(["1e999", "nan", "0x10", "1_0", "\u0663", "ten", ""]),
).map(str)


@FEW
@given(st.lists(words, max_size=4))
def test_drawn_words_are_no_crash(drawn):
    law(*drawn)


@FEW
@given(words, st.fixed_dictionaries({}, optional={
    "--tokens": st.integers(-2, 3).map(str) | st.sampled_from(["x", "1e3", str(10**30)]), "--temperature": numbers,
    "--top-k": numbers, "--top-p": numbers, "--seed": numbers, "--model": words | st.just("random-gpt2"),
}))  # fmt: skip
@example("x", {"--seed": str(10**400)})
@example("\udc80", {})
@example("", {"--tokens": "1"})
def test_a_drawn_prompt_with_drawn_settings(prompt, options):
    law("say", *[f"{name}={value}" for name, value in {"--tokens": "2", **options}.items()], "--", prompt)


@FEW
@given(st.lists(words, min_size=1, max_size=3))
def test_drawn_names_are_fetched_or_refused(monkeypatch, names):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    law("fetch", "--", *[name for name in names if name != "texts"], "gpt2")


@FEW
@given(st.sampled_from(["demo", "serve"]), st.fixed_dictionaries({"--port": numbers | words}, optional={
    "--seats": numbers, "--free-memory": numbers, "--rows": numbers, "--demos": words, "--stage": words,
}))  # fmt: skip
def test_drawn_settings_of_a_server_that_cannot_open(monkeypatch, command, options):
    """Without a folder of demos, or with a model that does not exist, neither opens."""
    closed = ["--demos", "/nonexistent"] if command == "demo" else ["--model", "no-such-model"]
    assert law(command, *[f"{name}={value}" for name, value in options.items()], *closed) in (1, 2)


@FEW
@given(st.fixed_dictionaries({}, optional={
    "--layers": numbers, "--width": numbers, "--heads": numbers, "--context": numbers, "--vocabulary": numbers,
    "--batch": numbers, "--epochs": numbers, "--learning-rate": numbers, "--seed": numbers, "--threads": st.just("1"),
    "--optimizer": words, "--recipe": words, "--tokenizer": words, "--held-out": words, "--checkpoint-s": numbers,
}))  # fmt: skip
def test_drawn_recipes_of_a_training_without_text(tmp_path, options):
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    named = [f"{name}={value}" for name, value in options.items()]
    assert law("train", str(empty), f"--out={tmp_path / 'out'}", *named) in (1, 2)


@pytest.mark.parametrize("command", ["doctor", "models", "fetch", "say", "serve", "train", "grade", "demo"])
def test_every_command_has_help(command):
    assert run(command, "--help")[0] == 0


# -- environments ------------------------------------------------------------------------------------------------------

VARIABLES = [
    "COURSE_CACHE", "COURSE_MODELS", "COURSE_LEDGER", "COURSE_CLASS", "COURSE_STAGE", "COURSE_MODEL_SERVER",
    "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "ALL_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE", "HOME", "XDG_CACHE_HOME", "OMP_NUM_THREADS",
]  # fmt: skip
settings_of_machines = st.dictionaries(
    st.sampled_from(VARIABLES),
    words
    | st.sampled_from(["/dev/null", "/nonexistent", "/proc", "x" * 300, "socks://h:1", "http://[", "0", "-1", "1e9"]),
    max_size=4,
)


@FEW
@given(st.sampled_from([["models"], ["doctor"], ["fetch", "gpt2"], ["say", "x", "--tokens=1"]]), settings_of_machines)
def test_drawn_environments_are_no_crash(tmp_path, monkeypatch, command, environment):
    monkeypatch.chdir(tmp_path)  # where a relative folder is made
    with monkeypatch.context() as patched:
        patched.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        for name, value in environment.items():
            patched.setenv(name, value)
        patched.setattr("course_utils.models.registry.hub.wait", lambda seconds: None)
        law(*command)


# -- paths -------------------------------------------------------------------------------------------------------------

# Every letter that a path can have, most often those that mean something in an address, a pattern, a format or a shell.
path_names = st.text(
    st.sampled_from(" %#?&;'\"\\[]{}*$`~!=+,|<>()@:^\n\t\u00e9\u65e5\U0001f600\u200f") | letters,
    min_size=1,
    max_size=20,
).filter(lambda name: name not in (".", "..") and "/" not in name and len(os.fsencode(name)) <= 200)


@FEW
@given(path_names)
@example("model%20release")
@example("{connection_file} %s %(x)s")
@example("[1] *?")
@example("-rf --help")
def test_folders_of_every_name_are_used(tmp_path, tiny_folder, name):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("COURSE_CACHE", str(folder / name))
        patched.setenv("COURSE_LEDGER", str(folder / f"{name}.jsonl"[-200:]))
        patched.setenv("COURSE_MODELS", str(folder / "models"))
        if not (folder / "models" / name).exists():
            (folder / "models").mkdir(exist_ok=True)
            os.symlink(tiny_folder, folder / "models" / name)
        assert law("models") == 0
        assert law("say", "x", "--tokens=1", f"--model={name}") == 0
        assert law("say", "x", "--tokens=1") == 0
        text = folder / f"{name[:50]}.txt"
        text.write_text("")
        assert law("train", "--out=out", "--", str(text)) == 1
        assert ledger.read().records == ()
    assert [file for file in (folder / name).rglob("*") if file.is_file()]  # the cache was used


def test_a_broken_unicode_name_is_shown_with_a_question_mark():
    assert str(CourseError("a\udc80\nb", "c", "d")).splitlines() == ["a? b", "Expected: c", "Next: d"]
