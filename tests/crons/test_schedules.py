"""When schedules are due: in real time zones, across the changes of their clocks (see `docs/schedules.md`)."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.errors import InvalidRequest
from pilothouse.schedules import Schedule

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def times(expression: str, zone: str | None, start: str, count: int) -> list[str]:
    """The next times in UTC, as `DAY HOUR:MINUTE`."""
    schedule, now, found = Schedule(expression, zone), milliseconds(start), list[str]()
    for _ in range(count):
        due = schedule.after(now)
        assert due is not None
        found.append(datetime.fromtimestamp(due / 1000, UTC).strftime("%d %H:%M"))
        now = due
    return found


@pytest.mark.parametrize(
    ("zone", "summer", "winter"),
    [(BERLIN, "07:00", "08:00"), (NEW_YORK, "13:00", "14:00"), ("Asia/Tokyo", "00:00", "00:00")],
)
def test_nine_in_the_morning_is_nine_there_all_year(zone: str, summer: str, winter: str) -> None:
    assert times("0 9 * * *", zone, "2027-07-01T00:00+09:00", 1)[0].endswith(summer)
    assert times("0 9 * * *", zone, "2027-01-15T00:00+09:00", 1)[0].endswith(winter)


def test_without_a_zone_it_is_utc() -> None:
    assert times("0 9 * * *", None, "2027-03-27T10:00+00:00", 2) == ["28 09:00", "29 09:00"]
    assert times("0 9 * * *", "UTC", "2027-03-27T10:00+00:00", 2) == ["28 09:00", "29 09:00"]


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [
        # 2:30 is not there on the day: it is made up for at 3:00, when the clocks go on.
        (BERLIN, "2027-03-27T12:00+00:00", ["28 01:00", "29 00:30"]),
        (NEW_YORK, "2027-03-13T12:00+00:00", ["14 07:00", "15 06:30"]),
        # Only half an hour is missing there, and 2:30 is the first time after it.
        (LORD_HOWE, "2027-10-02T12:00+00:00", ["02 15:30", "03 15:30"]),
        ("Asia/Tokyo", "2027-03-27T12:00+00:00", ["27 17:30", "28 17:30"]),
    ],
)
def test_a_time_that_does_not_exist_is_made_up_for_at_once(
    zone: str, start: str, expected: list[str]
) -> None:
    assert times("30 2 * * *", zone, start, 2) == expected


def test_a_time_in_the_half_hour_that_is_missing_on_lord_howe_is_made_up_for() -> None:
    assert times("15 2 * * *", LORD_HOWE, "2027-10-02T12:00+00:00", 2) == ["02 15:30", "03 15:15"]


@pytest.mark.parametrize(
    ("zone", "expression", "start", "expected"),
    [
        (BERLIN, "30 2 * * *", "2027-10-30T12:00+00:00", ["31 00:30", "01 01:30"]),
        (NEW_YORK, "30 1 * * *", "2027-11-06T12:00+00:00", ["07 05:30", "08 06:30"]),
        (LORD_HOWE, "45 1 * * *", "2027-04-03T12:00+00:00", ["03 14:45", "04 15:15"]),
    ],
)
def test_a_time_that_is_there_twice_counts_once_the_first_time(
    zone: str, expression: str, start: str, expected: list[str]
) -> None:
    assert times(expression, zone, start, 2) == expected


def test_what_recurs_each_hour_or_more_often_goes_by_real_time_across_the_change() -> None:
    spring = times("30 * * * *", BERLIN, "2027-03-27T23:45+00:00", 3)
    autumn = times("30 * * * *", BERLIN, "2027-10-30T23:45+00:00", 3)
    assert spring == ["28 00:30", "28 01:30", "28 02:30"]
    assert autumn == ["31 00:30", "31 01:30", "31 02:30"]
    half_hours = times("*/15 * * * *", LORD_HOWE, "2027-10-02T15:10+00:00", 3)
    assert half_hours == ["02 15:15", "02 15:30", "02 15:45"]


def test_a_schedule_made_in_the_second_of_two_hours_does_not_name_the_first() -> None:
    assert times("30 2 * * *", BERLIN, "2027-10-31T01:10+00:00", 1) == ["01 01:30"]


def test_the_first_of_six_fields_is_seconds() -> None:
    start = milliseconds("2027-01-01T00:00:00+00:00")
    schedule = Schedule("*/20 * * * * *")
    assert [schedule.after(start + now) for now in (0, 20_000, 59_999)] == [
        start + 20_000,
        start + 40_000,
        start + 60_000,
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        ("hourly", None, "'hourly' is not a cron expression .wrong number of fields."),
        ("61 * * * *", None, "bad minute"),
        ("0 0 31 2 *", None, "bad day-of-month"),
        ("0 0 * * *", "Mars/Base", "no time zone 'Mars/Base': use a name of the IANA database"),
        ("0 0 * * *", "America", "no time zone"),
        ("0 0 * * *", "../../etc/passwd", "no time zone"),
        ("0 0 * * *", "", "no time zone"),
        ("1," * 200 + "1 * * * *", None, "longer than 200"),
    ],
)
def test_what_is_no_schedule_is_told_with_an_example(expression: str, zone: str | None, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Schedule(expression, zone).after(milliseconds("2027-01-01T00:00+00:00"))


FIELD = st.text("0123456789*/,-#L ", max_size=12) | st.sampled_from(["*", "*/5", "1-5", "MON", "1L", "LW"])


@given(
    st.lists(FIELD, min_size=4, max_size=7).map(" ".join),
    st.sampled_from([None, BERLIN, LORD_HOWE]),
    st.integers(1_790_000_000_000, 1_860_000_000_000),
)
def test_any_text_is_a_schedule_whose_times_rise_or_is_refused(
    expression: str, zone: str | None, now: int
) -> None:
    try:
        first = Schedule(expression, zone).after(now)
        dues = [now, first, Schedule(expression, zone).after(first) if first else None]
    except InvalidRequest:
        return
    rising = [due for due in dues if due is not None]
    assert all(earlier < later for earlier, later in pairwise(rising))
