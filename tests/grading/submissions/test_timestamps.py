"""Times of submission: each form that systems write is read right, and what is doubtful is refused with a reason."""

import datetime
import zoneinfo

import pytest

from course_utils.grading.course.late_penalty import late_penalty
from course_utils.grading.submissions.timestamps import AMBIGUOUS, MONTHS, OFFSETS, NotATime, read_time, utc_text

NOW = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
HALF_PAST_ONE = "2026-01-15T01:30"


def read(text: str | bytes, zone: str = "UTC", **more: object) -> str:
    return read_time(text, zone, now=NOW, **more).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-15 01:30:00.000000 UTC",
        "2026-01-15 01:30:00",
        "2026-01-15T01:30:00Z",
        "2026-01-15T01:30Z",
        "2026-01-15 03:30:00.000000 +0200",
        "2026-01-15T03:30:00+02:00",
        "2026-01-15 03:30 +02",
        "20260115T033000+0200",
        "2026-01-14 20:30:00 -0500",
        "2026-01-14T20:30:00\u221205:00",
        "2026-01-15 07:00 +05:30",
        "2026-01-15 03:30:00 CEST",
        "2026-01-15 02:30:00 CET",
        "2026-01-14 20:30 EST",
        "2026-01-14 21:30 EDT",
        "2026-01-14 17:30 PST",
        "2026-01-15 02:30 Europe/Berlin",
        "2026-01-14 20:30 America/New_York",
        "2026-01-15 03:30 UTC+2",
        "2026-01-15 03:30 GMT+02:00",
        "1768440600",
        "1768440600.5",
        "1768440600000",
        "Jan 15, 2026 1:30 AM",
        "Jan 15, 2026 130 AM",
        "January 15, 2026 at 1:30 a.m.",
        "15 January 2026, 01:30",
        "Thursday, 15 January 2026, 1:30 AM",
        "Thu, 15 Jan 2026 03:30:00 +0200",
        "Thu Jan 15 02:30:00 CET 2026",
        "Thu Jan 15 2026 02:30:00 GMT+0100 (Central European Standard Time)",
        "2026-01-15-01-30-00",
        "2026/01/15 01:30",
        "15. Januar 2026, 01:30 Uhr",
        "Donnerstag, 15. Januar 2026, 01:30",
        "15.01.2026 01:30",
        "15 janv. 2026 à 01:30",
        "jeudi 15 janvier 2026, 01:30",
        "15 de enero de 2026, 01:30",
        "15 gennaio 2026, 01:30",
        "15 januari 2026, 01:30",
        "15 de janeiro de 2026, 01:30",
        "2026年1月15日 01:30",
        "2026年1月15日 上午1:30",
        "01/15/2026 01:30",
        "15/01/2026 1:30 AM",
        "\ufeff2026-01-15 01:30:00 UTC\r\n",
        '"2026-01-15 01:30 UTC"',
        "2026-01-15  01:30\u202fAM",
        b"\xef\xbb\xbf2026-01-15 01:30:00 UTC\n",
        "2026-01-15 01:30:00 UTC".encode("utf-16"),
    ],
)
def test_one_time_in_many_forms(text):
    assert read(text) == HALF_PAST_ONE


@pytest.mark.parametrize(
    ("text", "zone", "time"),
    [
        ("2026-01-15 02:30", "Europe/Berlin", "2026-01-15T01:30"),
        ("2026-07-15 02:30", "Europe/Berlin", "2026-07-15T00:30"),
        ("2026-07-15 02:30", "America/New_York", "2026-07-15T06:30"),
        ("2026-01-15 07:00 IST", "Asia/Kolkata", "2026-01-15T01:30"),
        ("2026-07-15 02:30 IST", "Europe/Dublin", "2026-07-15T01:30"),
        ("2026-01-15 03:30 IST", "Asia/Jerusalem", "2026-01-15T01:30"),
        ("2026-07-15 02:30 BST", "Europe/London", "2026-07-15T01:30"),
        ("2026-01-14 19:30 CST", "America/Chicago", "2026-01-15T01:30"),
        ("2026-01-15 09:30 CST", "Asia/Shanghai", "2026-01-15T01:30"),
        ("2026-01-15 12:00 AM", "UTC", "2026-01-15T00:00"),
        ("2026-01-15 12:00 PM", "UTC", "2026-01-15T12:00"),
        ("2026-01-15 24:00", "UTC", "2026-01-16T00:00"),
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30"),  # twice on that night: the first one
        ("2026-10-25 02:30 CET", "Europe/Berlin", "2026-10-25T01:30"),
        ("Mar 5, 2026 10:00 PM", "UTC", "2026-03-05T22:00"),  # no "mardi"
    ],
)
def test_zones_and_clocks(text, zone, time):
    assert read(text, zone) == time


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-02-30 12:00 UTC", "no day"),
        ("2026-02-29 12:00", "no day"),
        ("2026-13-01 12:00", "no day"),
        ("2026-01-15 25:00 UTC", "no time of the day"),
        ("2026-01-15 12:61", "no time of the day"),
        ("2026-01-15 24:01", "no time of the day"),
        ("2026-01-15 13:30 PM", "no time of the day"),
        ("2026-01-15 0:30 AM", "no time of the day"),
        ("0001-01-01 00:00 UTC", "year 1"),
        ("1970-01-01 00:00", "1970"),
        ("2999-01-01 00:00 UTC", "future"),
        ("9999-12-31 23:59:59 -1200", "9999"),
        ("2026-12-03 00:00 UTC", "future"),
        ("2026-03-29 02:30 Europe/Berlin", "skipped"),
        ("2026-01-15 01:30 +9900", "zone"),
        ("2026-01-15 01:30 +02:75", "zone"),
        ("2026-01-15 01:30 XYZ", "zone 'XYZ'"),
        ("2026-01-15 01:30 Mars/Olympus", "zone"),
        ("03/04/2026 01:30", "day/month"),
        ("2026-01-15", "time of the day"),
        ("yesterday", "no date"),
        ("", "empty"),
        ("   \n", "empty"),
        ("12", "no date"),
        (b"\xff\xfe\x00\xd8", "no text"),
        (b"\x80\x81", "no text"),
        ("9" * 500, "500 characters"),
        ("1" * 13 + "9", "no date"),
        ("2026-01-15 01:30 UTC UTC", "zone"),
        ("2026-01-15 01:30 /etc/passwd", "zone"),
        ("2026-01-15 01:30 ../../x", "zone"),
    ],
)
def test_what_cannot_be_is_refused(text, why):
    with pytest.raises(NotATime, match=why):
        read(text)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_abbreviation_of_several_zones_is_refused_where_the_course_has_it_not(name):
    with pytest.raises(NotATime, match="may be that of"):
        read(f"2026-01-15 01:30 {name}")


@pytest.mark.parametrize("name", OFFSETS)
def test_an_abbreviation_is_an_offset(name):
    hours = OFFSETS[name]
    sign, minutes = "+" if hours >= 0 else "-", abs(round(hours * 60))
    assert read(f"2026-01-15 01:30 {name}") == read(f"2026-01-15 01:30 {sign}{minutes // 60:02}{minutes % 60:02}")


def test_before_the_assignment_was_given_out_nobody_hands_in():
    released = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC)
    assert read("2026-01-15 01:30 UTC", released=released) == HALF_PAST_ONE
    assert read("2026-01-09 12:00 UTC", released=released)  # a clock or a zone may be wrong by so much
    with pytest.raises(NotATime, match="before the assignment"):
        read("2026-01-08 12:00 UTC", released=released)


def test_what_is_written_is_read_again_at_every_hour_of_a_year():
    for hour in range(0, 8760, 7):
        time = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=hour)
        for zone in ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"):
            local = time.astimezone(zoneinfo.ZoneInfo(zone))
            assert read_time(local.isoformat(), now=NOW) == time
            assert read_time(f"{local:%Y-%m-%d %H:%M:%S} {local:%z}", now=NOW) == time
            assert read_time(f"{local:%Y-%m-%d %H:%M}", zone, now=NOW) <= time  # never later than it was
        assert read_time(utc_text(time), "Asia/Tokyo", now=NOW) == time


def test_no_month_has_two_numbers():
    assert set(MONTHS.values()) == set(range(1, 13)) and MONTHS["mar"] == 3 and MONTHS["mai"] == 5


def test_a_submission_half_an_hour_before_midnight_costs_nothing():
    due = datetime.datetime(2026, 1, 15, tzinfo=datetime.UTC)
    handed_in = read_time("2026-01-15 01:30:00.000000 +0200", now=NOW)
    assert late_penalty(20, (handed_in - due).total_seconds()) is None


@pytest.mark.parametrize("text", ["1" * 119, "Jan " * 29, "1-" * 59, "2026-01-15 " + "0" * 100, "(" * 110])
def test_any_text_of_the_greatest_length_is_answered(text):
    with pytest.raises(NotATime):
        read(text)
