"""Worker processes: every task has one answer, limits end what exceeds them, and nothing is left behind."""

import errno
import os
import subprocess

import psutil
import pytest
from made_course import make_course

from course_utils.core.limits import cpu_limit
from course_utils.errors import CourseError
from course_utils.grading.autograde.worker_pool import Task, TaskResult, default_jobs, run_tasks

pytestmark = pytest.mark.slow

WORK = """
import ctypes, os, signal, subprocess, sys, time

def double(course, number):
    return 2 * number

def root(course):
    return str(course.root), course.id

def where(course):
    return os.getpid()

def wait_for_ever(course):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    time.sleep(1000)

def busy_in_c(course):
    import re
    re.match(r"(a+)+$", "a" * 60 + "b")  # keeps the interpreter's lock

def eat(course, n_mb):
    kept = [bytearray(b"x" * 1_000_000) for _ in range(n_mb)]
    time.sleep(1000)

def die(course):
    print("the last words")
    os._exit(3)

def be_killed(course):
    os.kill(os.getpid(), signal.SIGKILL)

def fail(course):
    raise KeyError("name")

def talk(course):
    print("x" * 100_000)
    sys.stderr.write("y" * 100_000)
    return "said"
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    (tmp_path / "made_work.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return make_course(tmp_path / "course")


def below() -> set[int]:
    """Workers are direct children; a browser of other tests starts processes of its own at any time."""
    return {process.pid for process in psutil.Process().children()}


def done(course, tasks, n_jobs=2, seconds=60.0, **more) -> dict[int, TaskResult]:
    return dict(
        run_tasks(course, [Task(f"made_work:{name}", tuple(rest)) for name, *rest in tasks], n_jobs, seconds, **more)
    )


def test_every_task_has_its_own_answer_and_the_course_is_the_same(course):
    before = below()
    found = done(course, [("double", number) for number in range(20)] + [("root",), ("talk",)])
    assert [found[number].value for number in range(20)] == [2 * number for number in range(20)]
    assert found[20].value == (str(course.root), course.id) and found[21].value == "said"
    assert below() <= before
    assert done(course, []) == {}


def test_a_worker_does_many_tasks_and_no_more_workers_than_jobs_are_started(course):
    assert len({answer.value for answer in done(course, [("where",)] * 6, n_jobs=1).values()}) == 1
    assert len({answer.value for answer in done(course, [("where",)] * 6, n_jobs=2).values()}) <= 2


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (("die",), "exit code 3: the last words"),
        (("be_killed",), "SIGKILL"),
        (("fail",), "KeyError: 'name'"),
        (("eat", 600), "more than 500 MB of memory"),
    ],
)
def test_what_ends_a_worker_is_told_and_the_next_task_is_done(course, task, told):
    before = below()
    found = done(course, [task, ("double", 4)], n_jobs=1, memory_mb=500)
    assert told in found[0].killed and found[1] == TaskResult(8)
    assert below() <= before


@pytest.mark.parametrize("task", ["wait_for_ever", "busy_in_c"])
def test_a_time_limit_ends_a_task_with_all_that_it_has_started(course, task):
    before = below()
    found = done(course, [("double", 1), (task,), ("double", 4)], n_jobs=1, seconds=2)
    assert "more than 2 seconds" in found[1].killed and found[2] == TaskResult(8)
    assert below() <= before


def test_whoever_stops_listening_leaves_no_worker_behind(course):
    before = below()
    for number, _ in run_tasks(course, [Task("made_work:double", (1,)), Task("made_work:wait_for_ever")], 2, 60):
        assert number == 0
        break
    assert below() <= before


def test_fewer_processes_than_asked_for_do_all_tasks_and_none_is_told(course, monkeypatch):
    real, n_left = subprocess.Popen, [1]

    def few(*arguments, **named):  # the system's refusal cannot be had without harm to other programs
        if n_left[0] == 0:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        n_left[0] -= 1
        return real(*arguments, **named)

    monkeypatch.setattr("course_utils.grading.autograde.worker_pool.subprocess.Popen", few)
    assert len(done(course, [("double", number) for number in range(4)], n_jobs=3)) == 4
    with pytest.raises(CourseError, match="No grading process"):
        done(course, [("double", 1)])


def test_settings_that_cannot_be_pickled_are_read_again_from_their_file(course):
    course.config.Some.function = lambda: None
    assert done(course, [("root",)])[0].value == (str(course.root), course.id)


def test_the_number_of_jobs_fits_the_limits_of_the_process(monkeypatch):
    monkeypatch.setenv("CPU_LIMIT", "1")
    assert default_jobs() == 1
    monkeypatch.delenv("CPU_LIMIT")
    assert 1 <= default_jobs() <= cpu_limit()
    monkeypatch.setenv("MEM_LIMIT", "3G")
    assert default_jobs() == 1
