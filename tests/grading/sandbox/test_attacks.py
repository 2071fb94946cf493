"""Submissions that attack the grading: each earns what its honest functions earn, and leaves nothing behind.

Every sheet has two exercises. `double` is where the attack stands, and `triple` is honest: it must earn its points.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from made_checks import EXPECT, HIDDEN, code
from repository import ROOT

from course_utils.grading.autograde import execute
from course_utils.grading.autograde.execute import ExecutionResult, check
from course_utils.grading.checks import checker
from course_utils.grading.sandbox.sandbox import sandbox_problem

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}"),
]
SECRET = "hub-secret-123"
TRIPLE = "def triple(x):\n    return 3 * x"
WRONG = "\ndef double(x):\n    return x"
GOOD = "\ndef double(x):\n    return 2 * x"
NONE, SHOWN, ALL = (0, 0), (1, 0), (1, 1)
SOON = 1.5  # seconds of a call that would never end: most of what these tests cost is spent in waiting for that limit
ENDLESS = {
    "a call without end", "a call that sleeps", "no interrupt, no end", "a stop", "a cell that does not end",
    "a cell that sleeps", "many files",
}  # fmt: skip


def checks(name: str, shown: str, hidden: str) -> list[dict]:
    flags = {"grade": True, "locked": True, "points": 1}
    return [code(f"{name}-shown", shown, **flags), code(f"{name}-hidden", HIDDEN.format(hidden), **flags)]


SOURCE = [
    code("import", "import math", locked=True),
    code("double", "def double(x):\n    return 2 * x", solution=True),
    *checks(
        "double",
        EXPECT + "expect(double, 2, gives=4)\nexpect(double, 5, gives=10)",
        EXPECT + "expect(double, 31337, gives=62674)\nassert double(1000.5) == 2001.0",
    ),
    code("triple", TRIPLE, solution=True),
    *checks(
        "triple",
        EXPECT + "expect(triple, 2, gives=6)",
        EXPECT + "expect(triple, 7, gives=21)\nassert abs(triple(math.pi) - 3 * math.pi) < 1e-9",
    ),
]


def submission(answer: str, *more: str) -> list[dict]:
    """A student's cells: the answer, `triple`, and cells of their own at the beginning."""
    cells = [{"id": f"own {i}", "source": each} for i, each in enumerate(more)]
    for cell in SOURCE:
        name, flags = cell["metadata"]["nbgrader"]["grade_id"], cell["metadata"]["nbgrader"]
        source = {"double": answer}.get(name, cell["source"])
        cells.append({"id": name} if flags["grade"] else {"id": name, "source": source})
    return cells


BEFORE: set[psutil.Process] = set()  # other tests' servers and browsers, which live until the session ends


def _below() -> set[psutil.Process]:
    """Processes that a test has started, and all below them."""
    found = set()
    for child in set(psutil.Process().children()) - BEFORE:
        try:
            family = [child, *child.children(recursive=True)]
            found |= {each for each in family if each.status() != psutil.STATUS_ZOMBIE}
        except psutil.NoSuchProcess:
            continue
    return found


def left_behind(mark: str = "") -> list[str]:
    """Processes that a test has started, those with a mark in their command line, and folders of gradings in /tmp."""
    below = [each.pid for each in _below()]
    marked = []
    if mark:
        found = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False).stdout
        marked = found.split()
    folders = [str(each) for each in Path(tempfile.gettempdir()).glob("grading-*")]
    return [*map(str, below), *marked, *folders]


@pytest.fixture(autouse=True)
def _own_temporary_folder_and_a_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", SECRET)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    BEFORE.clear()
    BEFORE.update(psutil.Process().children())


@pytest.fixture
def marked(tmp_path, monkeypatch):
    """Let a submission be marked; returns points for double and triple, and all that is known."""
    (tmp_path / "instructor").mkdir()

    def run(
        answer: str, *more: str, given: Path | None = None, call_seconds: float = 4.0, cell_seconds: float = 8.0
    ) -> tuple[tuple, tuple, ExecutionResult]:
        monkeypatch.setattr(execute, "CALL_SECONDS", call_seconds)
        found = check(SOURCE, submission(answer, *more), tmp_path / "instructor", given, cell_seconds=cell_seconds)
        assert left_behind() == []
        assert SECRET not in json.dumps([found.verdicts, found.outputs, found.stopped])
        points = {name: verdict["points"] for name, verdict in found.verdicts.items()}
        double, triple = ((points[f"{name}-shown"], points[f"{name}-hidden"]) for name in ("double", "triple"))
        return double, triple, found

    return run


# What a function gives back or does when it is called: all of them in one sheet.
CALLS = {
    "equal to everything": (
        "class Liar:\n    __hash__ = None\n    __eq__ = __lt__ = __le__ = lambda *_: True\n"
        "    __sub__ = __rsub__ = __float__ = __abs__ = lambda *_: 0.0\n    __class__ = int\n"
        "    __repr__ = lambda self: '4'\ndef double(x):\n    return Liar()", NONE,
    ),
    "an int that lies": (
        "class Int(int):\n    __eq__ = lambda *_: True\n    __hash__ = int.__hash__\n    __sub__ = __rsub__ = "
        "lambda *_: 0\n    __pos__ = __int__ = __index__ = lambda *_: 4\ndef double(x):\n    return Int(x)", NONE,
    ),
    "a float that lies": (
        "class Float(float):\n    __eq__ = lambda *_: True\n    __hash__ = float.__hash__\n"
        "    __pos__ = __float__ = lambda *_: 4.0\ndef double(x):\n    return Float(x)", NONE,
    ),
    "an int that is honest": ("class Int(int): pass\ndef double(x):\n    return type(x)(2 * x)", ALL),
    "a true answer of NumPy's": ("import numpy\ndef double(x):\n    return numpy.float64(2) * x", ALL),
    "the environments of processes": (
        "import glob, os\ndef double(x):\n    told = dict(os.environ)\n    for file in glob.glob('/proc/*/environ'):\n"
        "        told[file] = open(file).read()\n    raise ValueError(repr(told))", NONE,
    ),
    "files of processes": (
        "import glob\ndef double(x):\n"
        "    found = glob.glob('/proc/*/mem') + glob.glob('/proc/*/fd/*') + glob.glob('/proc/*/mountinfo')\n"
        "    return x if found else 2 * x", ALL,
    ),
    "expected values in memory": (
        "import gc, sys\ndef double(x):\n    seen = set()\n"
        "    for thing in gc.get_objects():\n"
        "        for each in gc.get_referents(thing):\n"
        "            if type(each) is int and each in (62674, 2001): return each\n"
        "            if type(each) is str and ('gives' in each and 'expect(' in each): return 'found'\n"
        "    frame = sys._getframe()\n    while frame is not None and 'gives' not in frame.f_locals:\n"
        "        frame = frame.f_back\n    return frame.f_locals['gives'] if frame else None", NONE,
    ),
    "visible answers by heart": ("def double(x):\n    return {2: 4, 5: 10}.get(x)", SHOWN),
    "visible answers by their order": (
        "answers = iter([4, 10, 62674, 2001.0])\ndef double(x):\n    return next(answers)", SHOWN,
    ),
    "sys.exit": ("import sys\ndef double(x):\n    sys.exit(0)", NONE),
    "SystemExit in a cell": ("def double(x):\n    return 2 * x\nraise SystemExit", ALL),
    "KeyboardInterrupt": ("def double(x):\n    raise KeyboardInterrupt", NONE),
    "os._exit": ("import os\ndef double(x):\n    os._exit(0)", NONE),
    "a signal to itself": ("import os, signal\ndef double(x):\n    os.kill(os.getpid(), signal.SIGKILL)", NONE),
    "signals to all": ("import os, signal\ndef double(x):\n    os.kill(-1, signal.SIGKILL)\n    return 2 * x", NONE),
    "a segmentation fault": ("import ctypes\ndef double(x):\n    ctypes.string_at(0)", NONE),
    "a huge text": ("def double(x):\n    return 'x' * 300_000_000", NONE),
    "a huge number": ("def double(x):\n    return 1 << 100_000_000", NONE),
    "a huge list": ("def double(x):\n    return [0] * 30_000_000", NONE),
    "a deep list": ("def double(x):\n    deep = []\n    for _ in range(100_000): deep = [deep]\n    return deep", NONE),
    "a list in itself": ("def double(x):\n    own = [1]\n    own.append(own)\n    return own", NONE),
    "a dict in itself": ("def double(x):\n    own = {}\n    own['own'] = own\n    return own", NONE),
    "keys that collide": ("def double(x):\n    return {i * (2**61 - 1): 0 for i in range(9_999)}", NONE),
    "marks in a message": (
        "def double(x):\n    raise ValueError('\\x1b[2J\\x1b[31m<script>alert(1)</script>\\ud800\\r\\n' * 1000)", NONE,
    ),
    "an error that lies": (
        "class E(Exception):\n    __class__ = property(lambda self: 1 / 0)\n    def __str__(self): return double(1)\n"
        "def double(x):\n    raise E", NONE,
    ),
    "an error called as one of the grader's": (
        "class UnsupportedCheck(Exception): pass\nclass ProcessEnded(Exception): pass\ndef double(x):\n"
        "    raise UnsupportedCheck if x == 2 else ProcessEnded", NONE,
    ),
}  # fmt: skip
# What a cell does to the process in which all others run: a sheet for each.
ATTACKS = {
    "a result as a score": ("get_ipython().displayhook(1.0)\n1.0" + WRONG, NONE),
    "a result before each cell": (
        "get_ipython().events.register('pre_run_cell', lambda *_: get_ipython().displayhook(1.0))" + WRONG, NONE,
    ),
    "hooks after each cell": (
        "for name in ('post_execute', 'post_run_cell', 'pre_execute'):\n"
        "    get_ipython().events.register(name, lambda *_: exec('def double(x): return 2 / 0'))" + GOOD, ALL,
    ),
    "a transformer of syntax trees": (
        "import ast\nclass T(ast.NodeTransformer):\n    def visit_Assert(self, node): return ast.Pass()\n"
        "    def visit_Raise(self, node): return ast.Pass()\n"
        "get_ipython().ast_transformers.append(T())" + WRONG, NONE,
    ),
    "a transformer of text": ("get_ipython().input_transformers_cleanup.append(lambda lines: ['pass'])" + WRONG, NONE),
    "something at the end": ("import atexit, os\natexit.register(lambda: os._exit(0))" + WRONG, NONE),
    "builtins": (
        "import builtins\nfor name in ('print', 'isinstance', 'abs', 'len', 'type', 'getattr', 'callable', 'range'):\n"
        "    setattr(builtins, name, lambda *_, **__: True)\n"
        "builtins.AssertionError = type('Calm', (BaseException,), {})" + WRONG, NONE,
    ),
    "answers written to every file": (
        "import json, os, struct\ndef double(x):\n    for number in range(0, 200):\n"
        "        data = json.dumps({'id': number, 'ok': 2 * x, 'verdict': 1.0}).encode()\n"
        "        for descriptor in range(0, 30):\n"
        "            try: os.write(descriptor, struct.pack('>I', len(data)) + data)\n"
        "            except OSError: pass\n    return 2 * x", NONE,
    ),
    "too long a message": (
        "import os\ndef double(x):\n    for descriptor in range(3, 30):\n"
        "        try: os.write(descriptor, b'\\xff' * 100)\n        except OSError: pass\n    return 2 * x", NONE,
    ),
    "closed files": ("import os\ndef double(x):\n    os.closerange(0, 50)\n    return 2 * x", NONE),
    "a child that answers": (
        "import os\ndef double(x):\n    if os.fork():\n        import time; time.sleep(3600)\n    return 2 * x", ALL,
    ),
    "both answer": ("import os\ndef double(x):\n    os.fork()\n    return 2 * x", None),
    "threads that go on": (
        "import threading\ndef spin():\n    while True: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\nthreading.Thread(target=spin).start()" + GOOD, ALL,
    ),
    "a call without end": ("def double(x):\n    while True: pass", NONE),
    "a call that sleeps": ("import time\ndef double(x):\n    time.sleep(1e6)", NONE),
    "no interrupt, no end": (
        "import signal\nfor number in range(1, 64):\n    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\ndef double(x):\n    while True:\n        try:\n"
        "            while True: pass\n        except BaseException: pass", NONE,
    ),
    "a memory bomb": ("def double(x):\n    kept = []\n    while True: kept.append(bytearray(50_000_000))", NONE),
    "a disk bomb": (
        "def double(x):\n    with open('large', 'wb') as file:\n        while True: file.write(bytes(1_000_000))", NONE,
    ),
    "many files": (
        "import os\ndef double(x):\n    i = 0\n    while True:\n"
        "        os.mkdir(str(i)); os.chdir(str(i)); i += 1", NONE,
    ),
    "a fork bomb": ("import os\ndef double(x):\n    while True: os.fork()", NONE),
    "a stop": ("import os, signal\ndef double(x):\n    os.kill(os.getpid(), signal.SIGSTOP)\n    return x", NONE),
    "100 MB printed": (
        "print('x' * 50_000_000)\nimport os, sys\nos.write(1, b'x' * 50_000_000)\n"
        "def double(x):\n    print('y' * 50_000_000)\n    print('z' * 50_000_000, file=sys.stderr)\n"
        "    return 2 * x", ALL,
    ),
    "a patched expect": (
        "import course_utils.grading.checks.expect as own\nown.expect = own.AnswerError = lambda *_, **__: None\n"
        "own._cure = own._try = lambda *_: None" + WRONG, NONE,
    ),
    "modules of its own": (
        "for name in ('math', 'json', 'numpy', 'codec', 'runner', 'sitecustomize', 'usercustomize', 'IPython'):\n"
        "    open(name + '.py', 'w').write('raise SystemExit')\n"
        "import os\ndef double(x):\n    os._exit(0)", NONE,
    ),
    "patched modules": (
        "import math, operator, json\nmath.pi = 0\nmath.isfinite = operator.eq = lambda *_: True\n"
        "json.dumps = json.loads = lambda *_, **__: {'id': 1, 'ok': 4}" + WRONG, NONE,
    ),
    "variables": (
        "import os\nos.environ.update(PYTHONPATH='/work', PYTHONSTARTUP='/work/x.py', LD_PRELOAD='/work/x.so')"
        + GOOD, ALL,
    ),
    "a notebook over itself": (
        "import glob\nfor name in ('size_comparison.ipynb', *glob.glob('**/*.ipynb', recursive=True)):\n"
        "    open(name, 'w').write('{}')" + GOOD, ALL,
    ),
    "the runner's own parts": (
        "import gc\nfor thing in gc.get_objects():\n    if type(thing).__name__ == 'Runner':\n"
        "        type(thing).answer = lambda self, asked: {'ok': 4, 'points': 1.0}" + WRONG, None,
    ),
    "widgets": ("import ipywidgets\ndisplay(ipywidgets.IntSlider(4))" + GOOD, ALL),
    "names for everything": (
        "__builtins__ = {}\nIn = Out = _ = None\n__name__ = 'course_utils.grading.checks.checker'" + GOOD, ALL,
    ),
}  # fmt: skip


def test_whatever_a_function_gives_back_or_does_only_right_answers_count_and_all_others_are_marked(tmp_path):
    source, cells = [SOURCE[0]], [{"id": "import", "source": "import math"}]
    for number, (answer, _) in enumerate(CALLS.values()):
        named = checks(f"double {number}", *(cell["source"] for cell in SOURCE[2:4]))
        named[1]["source"] = SOURCE[3]["source"]
        source += [code(f"answer {number}", GOOD, solution=True), *named]
        cells += [{"id": f"answer {number}", "source": answer}]
        cells += [{"id": cell["metadata"]["nbgrader"]["grade_id"]} for cell in named]
    source += SOURCE[4:]
    cells += [{"id": "triple", "source": TRIPLE}, {"id": "triple-shown"}, {"id": "triple-hidden"}]
    found = check(source, cells, tmp_path, None)
    earned = {
        name: tuple(found.verdicts[f"double {number}-{kind}"]["points"] for kind in ("shown", "hidden"))
        for number, name in enumerate(CALLS)
    }
    assert earned == {name: points for name, (_, points) in CALLS.items()}
    assert [found.verdicts[f"triple-{kind}"]["points"] for kind in ("shown", "hidden")] == [1, 1]
    assert (found.closed, found.stopped, found.late) == ("", {}, [])
    assert all(len(json.dumps(verdict)) < 10_000 for verdict in found.verdicts.values())
    assert SECRET not in json.dumps(found.verdicts) and left_behind() == []


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_earns_what_its_functions_earn_and_the_other_exercise_counts(name, marked):
    answer, points = ATTACKS[name]
    double, triple, found = marked(answer, call_seconds=SOON if name in ENDLESS else 4.0)
    assert found.closed == ""
    if points is not None:
        assert double == points, found.verdicts
    else:  # both processes of a fork write one pipe, or all answers are replaced: no more than an honest answer earns
        assert double[1] == 0 or "fork" in answer
    if name not in ("the runner's own parts", "a transformer of text"):  # they spoil the cell or the answers of both
        assert triple == ALL, (found.verdicts, found.stopped)
    for verdict in found.verdicts.values():
        assert len(json.dumps(verdict)) < 10_000


CELLS = {
    "a cell that ends its Python": "import os\nos._exit(0)",
    "a cell that does not end": "while True: pass",
    "a cell that sleeps": "import time\ntime.sleep(1e6)",
    "a cell that takes all memory": "kept = []\nwhile True: kept.append(bytearray(50_000_000))",
    "a cell that forks": "import os\nwhile True: os.fork()",
    "a cell that kills itself": "import os\nos.kill(os.getpid(), 9)",
    "a cell that writes into the pipe": (
        "import os\nfor n in range(3, 30):\n    try: os.write(n, b'x' * 9)\n    except OSError: pass"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_that_stops_all_costs_only_itself_and_is_told(name, marked):
    double, triple, found = marked(GOOD, CELLS[name], cell_seconds=2 * SOON if name in ENDLESS else 8.0)
    assert (double, triple) == (ALL, ALL)
    assert list(found.stopped) == ["own 0"]
    assert any("own 0" in doubt for doubt in found.doubts())


def test_many_cells_that_end_their_python_stop_the_run_and_nothing_is_decided(marked):
    _, triple, found = marked(GOOD, *["import os\nos._exit(0)"] * (checker.MAX_ENDED_CELLS + 2))
    assert triple == (None, None)
    assert "too many of its cells" in found.closed


def test_what_a_cell_shows_is_text_and_pictures_and_cut(marked):
    own = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('seen')\n"
    own += "display({'text/html': '<b>'}, raw=True)"
    forged = "display({'image/png': 'x\" onerror=\"alert(1)', 'text/html': '<script>'}, raw=True)\nprint('y' * 10**6)"
    _, _, found = marked(GOOD, own, forged)
    shown = [execute._output(each) for each in found.outputs["own 0"]]
    kinds = [sorted(each.get("data", {"stream": each.get("text")})) for each in shown if each]
    assert ["image/png", "text/plain"] in kinds and ["stream"] in kinds
    for each in (*found.outputs["own 0"], *found.outputs["own 1"]):
        made = execute._output(each)
        assert "script" not in str(made) and "onerror" not in str(made) and len(str(made)) < 3_100_000


@pytest.mark.parametrize(
    "told",
    [
        ["data", {"image/png": " " * 3_000_000 + "!"}], ["data", {"image/png": "=" * 3_000_000}], ["stream", "\ud800"],
        ["data", {"text/plain": 5}], ["data", {"image/png": ["a"], "text/html": "<b>"}], ["error", "a", "b", [5, None]],
        ["stream", "\x1b[1m" * 1_000_000], ["error", "a", "b", ["x" * 100_000] * 1000], ["other", "x"],
    ],
    ids=range(9),
)  # fmt: skip
def test_an_output_of_any_form_becomes_a_small_one_that_a_notebook_holds_or_none(told):
    made = execute._output(told)
    assert made is None or len(json.dumps(made)) < 400_000
    json.dumps(made).encode("utf-8")


def test_functions_of_one_name_are_judged_where_they_stand(marked):
    later = "def double(x):\n    return 0\n\ndef triple(x):\n    return 3 * x"
    cells = submission(GOOD)
    place = next(i for i, cell in enumerate(cells) if cell["id"] == "triple")
    cells[place]["source"] = later
    found = check(SOURCE, cells, ROOT, None)
    assert [verdict["points"] for verdict in found.verdicts.values()] == [1, 1, 1, 1]


def test_files_beside_the_notebook_are_there_and_cannot_take_a_modules_place(marked, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    for name in ("math", "json", "numpy", "codec", "IPython", "sitecustomize", "traitlets", "struct"):
        (given / f"{name}.py").write_text("raise SystemExit")
    (given / "data.csv").write_text("2")
    double, triple, _ = marked("def double(x):\n    return int(open('data.csv').read()) * x", given=given)
    assert (double, triple) == (ALL, ALL)


STAGES = (0.05, 0.3, 0.7, 1.2, 2)  # seconds: while the checker, the launcher, bwrap, the runner start, and later


@pytest.mark.parametrize("after", STAGES)
def test_nothing_stays_behind_when_the_grader_is_killed_at_any_moment(after, tmp_path):
    mark = f"mark{os.getpid()}x{str(after).replace('.', '')}"
    cells = submission("def double(x):\n    while True: pass")
    (tmp_path / mark).mkdir()
    code = (
        f"import json, sys, tempfile; from pathlib import Path; tempfile.tempdir = {str(tmp_path / mark)!r}\n"
        "from course_utils.grading.autograde.execute import check\nprint('begun', flush=True)\n"
        f"check(json.loads({json.dumps(SOURCE)!r}), json.loads({json.dumps(cells)!r}), Path({str(tmp_path)!r}), None)"
    )
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert grader.stdout.readline() == "begun\n"
        time.sleep(after)  # not to wait for something: the moment of the kill is what differs
        below = psutil.Process(grader.pid).children(recursive=True)
    finally:
        os.kill(grader.pid, signal.SIGKILL)
        grader.communicate()
    for _ in range(600):
        alive = [each for each in below if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        found = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False).stdout.split()
        if not alive and not found:
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {alive} {found}")
