"""Background job of a panel: the newest job is shown, an older one is not, and errors reach the panel."""

import itertools
import threading

import pytest

from course_utils.widgets.base.worker import BackgroundJob

MOMENT = 60  # seconds; nothing here takes as long


@pytest.fixture
def job():
    return BackgroundJob(threading.RLock())


def test_only_the_newest_of_several_jobs_is_shown(job):
    shown, may_end = [], threading.Event()

    def work(number, cancel):
        may_end.wait(MOMENT)
        job.if_current(number, shown.append, number)

    for _ in range(5):
        job.submit(work, shown.append)
    may_end.set()
    assert job.wait(MOMENT) and shown == [job.number] == [5]


@pytest.mark.parametrize("is_overtaken", [False, True])
def test_an_error_is_shown_if_its_job_is_the_newest(job, is_overtaken):
    errors, begun, may_fail = [], threading.Event(), threading.Event()

    def fail(_number, _cancel):
        begun.set()
        may_fail.wait(MOMENT)
        raise ValueError("no")

    job.submit(fail, errors.append)
    assert begun.wait(MOMENT)
    if is_overtaken:
        job.number += 1  # as a panel does that is cleared
    may_fail.set()
    assert job.wait(MOMENT)
    assert [str(error) for error in errors] == ([] if is_overtaken else ["no"])


def test_a_stop_reaches_the_job_and_is_told_from_another_panel_s_request(job):
    other = BackgroundJob(threading.RLock())

    def until_cancelled(_number, cancel):
        assert cancel.wait(MOMENT)

    job.submit(until_cancelled, print)
    assert job.is_running and job.stop() and job.wait(MOMENT) and job.is_asked_to_stop
    assert not job.stop()  # nothing runs any more
    job.submit(until_cancelled, print)
    other.submit(lambda number, cancel: None, print)  # the newer request stops the older one
    assert job.wait(MOMENT) and other.wait(MOMENT) and not job.is_asked_to_stop


def test_a_panel_may_give_the_number(job):
    numbers = []
    for number in itertools.chain([3, 7], [None]):
        job.submit(lambda given, cancel: numbers.append(given), print, number=number)
        assert job.wait(MOMENT)
    assert numbers == [3, 7, 8]
