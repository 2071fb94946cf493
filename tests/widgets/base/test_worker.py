"""The worker: one thread, the newest request wins, nothing is lost and nothing is left half-way."""

import threading

import pytest

from course_utils.widgets.base.worker import Worker, the_worker

SOON = 120


@pytest.fixture
def worker() -> Worker:
    return Worker()


def until_cancelled(cancel: threading.Event) -> None:
    assert cancel.wait(SOON), "nobody stopped this job"


def ignore(error: BaseException) -> None:
    pass


def test_no_thread_before_the_first_job(worker):
    assert worker._thread is None


def test_asking_does_not_wait(worker):
    begun, may_end = threading.Event(), threading.Event()
    job = worker.submit(lambda cancel: (begun.set(), may_end.wait(SOON)), ignore)
    assert begun.wait(SOON)
    assert not job.has_ended
    may_end.set()
    assert job.wait(SOON)


def test_the_newest_request_wins(worker):
    order = []
    first = worker.submit(lambda cancel: (until_cancelled(cancel), order.append("first told to end")), ignore)
    second = worker.submit(lambda cancel: order.append("second"), ignore)
    assert second.wait(SOON)
    assert first.has_ended
    assert order == ["first told to end", "second"]


def test_an_overtaken_job_is_told_and_does_not_run_beside_the_new_one(worker):
    told = []
    worker.submit(until_cancelled, ignore)
    waiting = worker.submit(lambda cancel: told.append(cancel.is_set()), ignore)
    assert worker.submit(lambda cancel: None, ignore).wait(SOON)
    assert waiting.has_ended
    assert told == [True]


def test_preparing_stops_nothing(worker):
    may_end = threading.Event()
    request = worker.submit(lambda cancel: may_end.wait(SOON), ignore)
    prepared = worker.prepare(lambda cancel: None, ignore)
    assert not request.cancel.is_set()
    may_end.set()
    assert prepared.wait(SOON)


def test_a_request_does_not_cut_preparation_short(worker):
    may_end = threading.Event()
    prepared = worker.prepare(lambda cancel: may_end.wait(SOON), ignore)
    worker.submit(lambda cancel: None, ignore)
    assert not prepared.cancel.is_set()
    may_end.set()


def test_finish_tells_every_job_and_waits_for_its_end(worker):
    jobs = [worker.submit(until_cancelled, ignore), worker.prepare(until_cancelled, ignore)]
    worker.finish(SOON)
    assert all(job.has_ended for job in jobs)


def fail(_cancel):
    raise ValueError("no such thing")


def test_an_error_is_reported_and_the_worker_lives_on(worker):
    heard = []
    job = worker.submit(fail, heard.append)
    assert job.wait(SOON)
    assert [str(error) for error in heard] == ["no such thing"]
    assert worker.submit(lambda cancel: None, ignore).wait(SOON)


def test_an_error_of_the_report_itself_is_kept(worker):
    def report_badly(error):
        raise RuntimeError("nobody listens")

    job = worker.submit(fail, report_badly)
    assert job.wait(SOON)
    assert "nobody listens" in str(job.error)
    assert worker.submit(lambda cancel: None, ignore).wait(SOON)


def test_many_requests_from_many_threads_use_one_thread(worker):
    seen, jobs = set(), []
    note = lambda cancel: seen.add(threading.get_ident())  # noqa: E731
    askers = [threading.Thread(target=lambda: jobs.append(worker.submit(note, ignore))) for _ in range(20)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert all(job.wait(SOON) for job in jobs)
    assert len(seen) == 1


def test_a_kernel_has_one_worker_whose_thread_does_not_hold_it_up():
    worker = the_worker()
    assert worker is the_worker()
    assert worker.submit(lambda cancel: None, ignore).wait(SOON)
    assert worker._thread.daemon


def test_after_a_rest_that_timed_out_two_jobs_never_run_side_by_side(worker):
    """The old thread is held inside its job while `rest` gives up; the next jobs wait for it, whoever asks."""
    running, most, may_end, begun = [], [], threading.Event(), threading.Event()

    def work(cancel: threading.Event, wait_for: threading.Event | None = None) -> None:
        running.append(threading.get_ident())
        most.append(len(running))
        begun.set()
        if wait_for is not None:
            assert wait_for.wait(SOON)
        running.remove(threading.get_ident())

    first = worker.submit(lambda cancel: work(cancel, may_end), ignore)
    assert begun.wait(SOON)
    assert not worker.rest(timeout=0)
    assert not worker.rest(timeout=0), "the second look must not take the old thread for gone"
    later = [worker.submit(work, ignore), worker.prepare(work, ignore)]
    assert not worker.rest(timeout=0)
    later.append(worker.submit(work, ignore))
    assert not any(job.wait(0.05) for job in later), "a later job ran while the first one was still running"
    may_end.set()
    assert first.wait(SOON) and all(job.wait(SOON) for job in later)
    assert max(most) == 1
    assert worker.rest(SOON)


def test_a_worker_that_rested_works_again(worker):
    for _ in range(3):
        assert worker.submit(lambda cancel: None, ignore).wait(SOON)
        assert worker.rest(SOON)
        assert not worker._thread.is_alive()


def test_worker_and_job_say_how_far_they_are(worker):
    may_end = threading.Event()
    job = worker.submit(lambda cancel: may_end.wait(SOON), ignore)
    assert "1 job open" in repr(worker) and "running" in repr(job)
    may_end.set()
    assert job.wait(SOON)
    assert "ended" in repr(job)
