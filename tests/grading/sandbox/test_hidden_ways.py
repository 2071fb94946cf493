"""Ways by which a student's code could take memory unseen, keep notes for later, or pass a check without an answer."""

import json
import platform
import struct
import sys
import tracemalloc
from pathlib import Path

import pytest
from made_checks import EXPECT, HIDDEN, code

from course_utils.grading.autograde.execute import ExecutionResult, check
from course_utils.grading.checks import checker, codec, expect, runner
from course_utils.grading.checks.checker import CheckRun
from course_utils.grading.checks.student_process import TAMPERED, Process, ProcessEnded, TimeBudget
from course_utils.grading.checks.student_sandbox import student_command
from course_utils.grading.sandbox import cgroup
from course_utils.grading.sandbox.sandbox import Limits, sandbox_problem
from course_utils.grading.sandbox.system_calls import MACHINES, REFUSED, system_call_filter

pytestmark = pytest.mark.slow
needs_a_box = pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}")
GOOD = "def double(x):\n    return 2 * x"


def graded(name: str, source: str, is_hidden: bool = False) -> dict:
    text = HIDDEN.format(source) if is_hidden else source
    return code(name, text, grade=True, locked=True, points=1)


def checks_of(source: list[dict], cells: list[tuple[str, str | None]], folder: Path) -> CheckRun:
    """Return the checks of a sheet, to be run in this process; a cell without text is a check's place."""
    submission = [{"id": name} | ({} if text is None else {"source": text}) for name, text in cells]
    return CheckRun(
        {
            "source": source, "submission": submission, "instructor": str(folder), "line": student_command(None),
            "environment": {}, "folder": str(folder), "seed": "1", "seconds": 120, "cell_seconds": 60,
            "call_seconds": 60,
        }
    )  # fmt: skip


# -- calls to the system -----------------------------------------------------------------------------------------------

TRIED = """
import asyncio, ctypes, json, multiprocessing, socket, subprocess, sys, threading
from multiprocessing import shared_memory
told = {}
def attempt(name, function, *args):
    try:
        told[name] = function(*args)
    except OSError as error:
        told[name] = -error.errno
libc = ctypes.CDLL(None, use_errno=True)
def call(number, first=0):
    return 'done' if libc.syscall(number, first, 0, 0, 0, 0, 0) >= 0 else -ctypes.get_errno()
for name, number in NUMBERS.items():
    attempt(name, call, number)
for family in (16, 17, 38, 40):  # netlink, raw packets, the kernel's ciphers, the host of a virtual machine
    attempt(f'family {family}', lambda: str(socket.socket(family, socket.SOCK_RAW if family < 20 else 1)))
attempt('namespace', call, CLONE, 0x10000000 | 17)
one, other = socket.socketpair()
attempt('buffer', one.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
honest = {}
honest['option'] = one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
def run():
    honest['loop'] = asyncio.run(asyncio.sleep(0, 'ended'))
thread = threading.Thread(target=run)
thread.start()
thread.join()
honest['callback'] = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)(2)
honest['forked'] = multiprocessing.get_context('fork').Pool(1).map(abs, [-1])
honest['started'] = subprocess.run([sys.executable, '-c', ''], check=False).returncode
block = shared_memory.SharedMemory(create=True, size=10)
honest['shared'] = block.size >= 10
block.close(), block.unlink()
print(json.dumps([told, honest]))
"""


@needs_a_box
@pytest.mark.skipif(not system_call_filter(), reason="no filter for this processor")
def test_calls_that_hide_memory_keep_notes_or_lead_out_are_refused_and_honest_programs_run(tmp_path):
    column = MACHINES[platform.machine()][0]
    numbers = {name: both[column] for name, both in REFUSED.items() if both[column] is not None}
    source = TRIED.replace("NUMBERS", repr(numbers)).replace("CLONE", str((56, 220)[column]))
    found = check([code("own", "", solution=True)], [{"id": "own", "source": source}], tmp_path, None)
    assert found.outputs["own"][0][0] == "stream", found.outputs
    told, honest = json.loads(found.outputs["own"][0][1])
    refused = {name: error for name, error in told.items() if error not in (-1, -97)}
    assert refused == {} and set(numbers) < set(told)
    assert honest == {
        "option": None, "loop": "ended", "callback": 3, "forked": [1], "started": 0, "shared": True,
    }  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES)
def test_every_path_through_the_filter_ends_in_an_answer(machine):
    parts = list(struct.iter_unpack("<HBBI", system_call_filter(machine)))
    assert len(parts) < 4096
    for place, (instruction, then, otherwise, _) in enumerate(parts):
        if instruction not in (0x06, 0x20):
            assert max(place + 1 + then, place + 1 + otherwise) < len(parts)
    assert parts[-1][0] == 0x06


@pytest.mark.skipif(not cgroup.OF_MEMORY.is_dir(), reason="another version of control groups")
def test_a_group_of_memory_holds_what_no_process_is_charged_for():
    with cgroup.process_limits(5, 100) as (files, _):
        limits = [Path(file).with_name("memory.limit_in_bytes") for file in files]
        kept = [int(limit.read_text()) for limit in limits if limit.is_file()]
    assert not kept or 99_000_000 < kept[0] <= 100_000_000
    assert not any(limit.parent.exists() for limit in limits)


# -- what comes through the pipe ---------------------------------------------------------------------------------------

BOMBS = {
    "objects": b'{"id":1,"ok":[' + b'{"":0},' * 2_200_000 + b"0]}",
    "lists": b'{"id":1,"ok":[' + b"[]," * 5_000_000 + b"0]}",
    "deep lists": b'{"id":1,"ok":' + b"[" * 900_000 + b"]" * 900_000 + b"}",
    "a long number": b'{"id":1,"ok":' + b"9" * 5_000_000 + b"}",
    "no JSON": b"\xff" * 1000,
    "no object": b"[1]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_message_that_is_written_to_take_memory_is_refused(name):
    with pytest.raises(codec.IllFormed):
        codec.decoded(BOMBS[name])


def test_a_process_that_writes_without_being_asked_costs_the_grader_little_memory(tmp_path):
    flood = (
        "import os, struct\ndef send(data):\n    data = struct.pack('>I', len(data)) + data\n"
        "    while data:\n        data = data[os.write(1, data):]\n"
        """send(b'{"id":0}')\nwhile True:\n    send(b'{"id":1,"ok":[' + b'{"":0},' * 2_200_000 + b'0]}')"""
    )
    tracemalloc.start()
    try:
        process = Process([sys.executable, "-c", flood], Limits(), {}, tmp_path, TimeBudget(120))
        with pytest.raises(ProcessEnded, match=TAMPERED):
            process.ask(60, op="run", source="")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # One message and its text, one that waits, one in parts and these joined; a few objects. Decoded it takes 500 MB.
    assert peak < 6 * codec.MAX_MESSAGE_BYTES


OUTPUTS = {
    "letters that are sent as six": [["data", {"text/plain": "\u20ac" * 19_000}]] * 300,
    "letters that are sent as twelve": [["stream", "\U0001f600" * 20_000]] * 300,
    "deep lists of a forged answer": [["data", {"text/plain": eval("[" * 90 + "]" * 90), "image/png": "A"}]] * 3,
    "no texts in a traceback": [["error", "a", "b", [["c"], 1, "d"]]],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_counted_as_they_are_sent_and_hold_nothing_but_text(name, tmp_path):
    kept = checks_of([], [], tmp_path)._kept(OUTPUTS[name])
    assert len(codec.message({"outputs": kept})) < 1.1 * checker.MAX_OUTPUT_BYTES < codec.MAX_MESSAGE_BYTES
    for _, *parts in kept:
        values = [each for part in parts for each in (part.values() if type(part) is dict else part)]
        assert all(type(each) is str for each in values)


@pytest.mark.parametrize("text", ["A", "\u20ac", "\U0001f600"])
def test_many_pictures_and_texts_of_a_cell_are_cut_and_the_first_ones_stay(text):
    outputs = runner.Outputs()
    for _ in range(200):
        outputs.write(text * 1_000)
        outputs.add("data", {"image/png": "A" * 2_900_000, "text/plain": text * 20_000})
        outputs.add("error", "E", text * 1_000, [text * 1_000] * 60)
    assert len(codec.message({"ok": outputs.shown})) < 1.1 * runner.MAX_OUTPUT_BYTES
    assert [each[0] for each in outputs.shown[:2]] == ["stream", "data"]
    assert outputs.shown.count(["stream", runner.MORE]) == 1 and len(outputs.shown) <= runner.MAX_OUTPUTS + 1


# -- checks ------------------------------------------------------------------------------------------------------------


@needs_a_box
def test_what_a_function_raises_cannot_end_a_loop_of_the_check(tmp_path):
    answers = {"all": "StopIteration", "zip": "StopAsyncIteration", "own": "type('Stop', (StopIteration,), {})"}
    source, cells = [], []
    for name, error in answers.items():
        source += [code(f"answer {name}", "def f(x):\n    return True", solution=True)]
        source += [graded(name, "assert all(map(f, [1, 2, 3]))\nassert list(map(f, [1])) in ([], [True])")]
        cells += [(f"answer {name}", f"def f(x):\n    raise {error}"), (name, None)]
    source += [
        graded("known", EXPECT.replace("expect\n", "expect_error\n") + "expect_error(f, 1, error=StopIteration)")
    ]
    before = expect.setting
    verdicts = checks_of(source, [*cells, ("known", None)], tmp_path).run()["verdicts"]
    assert expect.setting is before  # checks in a notebook of this process draw their own inputs again
    assert [verdicts[name]["points"] for name in answers] == [0, 0, 0]
    assert verdicts["known"]["points"] == 1


@needs_a_box
def test_a_last_line_counts_by_its_value_whatever_kind_of_number_it_is(tmp_path):
    lines = {
        "import numpy\nnumpy.mean([double(2) == 5])": 0, "import numpy\nnumpy.float32(0.5)": 0.5,
        "from fractions import Fraction\nFraction(1, 4)": 0.25, "double(2) == 5": None, "double(2) == 4": None,
        "float('nan')": None, "import numpy\nnumpy.bool_(False)": None,
    }  # fmt: skip
    source = [code("answer", GOOD, solution=True), *(graded(f"c{i}", line) for i, line in enumerate(lines))]
    cells = [("answer", GOOD), *((f"c{i}", None) for i in range(len(lines)))]
    verdicts = checks_of(source, cells, tmp_path).run()["verdicts"]
    assert [verdicts[f"c{i}"]["points"] for i in range(len(lines))] == list(lines.values())


@needs_a_box
def test_what_a_cell_shows_after_hidden_inputs_were_seen_is_kept_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(checker, "MAX_ENDED_CELLS", 0)  # so that the visible pass never comes to the last cell
    source = [code("answer", GOOD, solution=True), graded("shown", "assert double(2) == 4")]
    source += [graded("hidden", "assert double(31337) == 62674", is_hidden=True)]
    cells = [
        ("own", "import os\nos._exit(0)"),
        ("answer", "seen = []\ndef double(x):\n    seen.append(x)\n    return 2 * x"),
    ]
    found = checks_of(
        source, [*cells, ("shown", None), ("hidden", None), ("last", "print('seen', seen)")], tmp_path
    ).run()
    assert found["verdicts"]["shown"]["points"] is None and found["verdicts"]["hidden"]["points"] == 1
    assert "31337" not in json.dumps(found)


@needs_a_box
def test_what_is_lost_by_a_forged_answer_or_a_spoilt_python_is_told_to_a_person(tmp_path):
    source = [code("answer", GOOD, solution=True), graded("shown", EXPECT + "expect(double, 2, gives=4)")]
    forged = "import os\ndef double(x):\n    for n in range(3, 30):\n        try: os.write(n, bytes(99))\n"
    forged += "        except OSError: pass\n    return 4"
    spoilt = "import sys\nsys.modules.clear()\nsys.stdout = sys.stderr = None"
    raised = "1 / 0\n" + GOOD
    for own, answer, word in (("", forged, "pipe"), (spoilt, GOOD, "nothing of that name"), ("", raised, "")):
        cells = [("own", own), ("answer", answer), ("shown", None)]
        found = checks_of(source, cells, tmp_path).run()
        told = ExecutionResult(
            **{name: found[name] for name in ("stopped", "tampered", "vanished", "verdicts")}
        ).doubts()
        assert found["verdicts"]["shown"]["points"] == 0
        assert any(word in each for each in told) if word else told == []
