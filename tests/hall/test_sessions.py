"""Who may stay in the hall, told by a clock that the test winds."""

import pytest

from course_utils.hall import sessions
from course_utils.hall.sessions import ARRIVE_S, IDLE_S, KEEP_S, ROOM_FOR_NEW_S, HallFull, SessionManager

pytestmark = pytest.mark.slow


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Line:
    """What a session manager knows of a websocket: it can be closed."""

    def __init__(self) -> None:
        self.closed_with = None

    def close(self, code: int, reason: str) -> None:
        self.closed_with = (code, reason)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hall(tmp_path, clock):
    return SessionManager(tmp_path, n_seats=3, floor_mb=0, clock=clock)


def enter(hall: SessionManager, line: Line | None = None):
    viewer, _ = hall.open_session("toy")
    if line is not None:
        hall.open_line(viewer.kernel_id, line)
    return viewer


def leaving(hall: SessionManager) -> set[str]:
    return {viewer.kernel_id for viewer, _ in hall.over()}


def test_a_page_that_never_opens_its_line_is_let_go(hall, clock):
    silent, present = enter(hall), enter(hall, Line())
    clock.now += ARRIVE_S - 1
    assert leaving(hall) == set()
    clock.now += 2
    assert leaving(hall) == {silent.kernel_id} != {present.kernel_id}


def test_a_line_that_broke_may_come_back_in_time(hall, clock):
    line, again = Line(), Line()
    viewer = enter(hall, line)
    hall.close_line(viewer.kernel_id, line)
    clock.now += KEEP_S - 1
    hall.open_line(viewer.kernel_id, again)
    clock.now += KEEP_S + 1
    assert leaving(hall) == set()
    hall.close_line(viewer.kernel_id, again)
    clock.now += KEEP_S + 1
    assert leaving(hall) == {viewer.kernel_id}


def test_one_of_two_lines_that_closes_ends_nothing(hall, clock):
    old, new = Line(), Line()
    viewer = enter(hall, old)
    hall.open_line(viewer.kernel_id, new)
    hall.close_line(viewer.kernel_id, old)
    clock.now += KEEP_S + 1
    assert leaving(hall) == set()


def test_an_open_page_ends_only_when_nobody_touches_it_for_long(hall, clock):
    idle, used = enter(hall, Line()), enter(hall, Line())
    clock.now += IDLE_S - 1
    hall.touch(used.kernel_id)
    assert leaving(hall) == set()
    clock.now += 2
    assert leaving(hall) == {idle.kernel_id}


def test_the_hall_takes_no_more_than_its_seats(hall):
    for _ in range(3):
        enter(hall, Line())
    with pytest.raises(HallFull):
        enter(hall)
    assert len(hall) == 3


def test_who_only_fetched_a_page_makes_room_and_who_is_there_does_not(hall, clock):
    enter(hall, Line())
    first, second = enter(hall), enter(hall)
    with pytest.raises(HallFull):  # they may be about to open their line
        enter(hall)
    clock.now += ROOM_FOR_NEW_S + 1
    newcomer, left = hall.open_session("toy")
    assert left is first
    assert {viewer.kernel_id for viewer in hall} >= {second.kernel_id, newcomer.kernel_id}
    assert hall.get(first.kernel_id) is None


def test_short_memory_lets_nobody_in(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "memory_available_mb", lambda: 399.0)
    hall = SessionManager(tmp_path, n_seats=3, floor_mb=400)
    with pytest.raises(HallFull, match="memory"):
        hall.open_session("toy")
    assert list(tmp_path.iterdir()) == []


def test_who_goes_leaves_nothing_and_their_page_is_told(hall):
    line = Line()
    viewer = enter(hall, line)
    (viewer.folder / "evidence.jsonl").write_text("{}")
    hall.forget(viewer.kernel_id)
    assert not viewer.folder.exists()
    assert line.closed_with[0] == 4000
    assert hall.forget(viewer.kernel_id) is None


def test_no_two_viewers_share_an_id_or_a_file(hall):
    viewers = [enter(hall) for _ in range(3)]
    assert len({viewer.kernel_id for viewer in viewers}) == 3
    assert len({hall.environment(viewer)["COURSE_LEDGER"] for viewer in viewers}) == 3
