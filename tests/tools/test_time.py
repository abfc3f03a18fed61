"""`now` and `convert_time`: what people call times and places, and times that the clocks skip or repeat."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whenever import Instant, available_timezones

from pilothouse.errors import ConfigurationError, ToolError
from pilothouse.tools.time import Clocks

SUNDAY_MORNING = Instant.from_utc(2026, 11, 22, 7, 41, 5)


def clocks(local_zone: str = "Europe/Berlin", now: Instant = SUNDAY_MORNING) -> Clocks:
    return Clocks(local_zone, lambda: now)


NOW = {
    "": "It is 08:41 in Berlin (Sunday 22 November 2026, UTC+1).",
    "here": "It is 08:41 in Berlin (Sunday 22 November 2026, UTC+1).",
    "Tokyo": "It is 16:41 in Tokyo (Sunday 22 November 2026, UTC+9).",
    "new york": "It is 02:41 in New York (Sunday 22 November 2026, UTC-5).",
    "America/New_York": "It is 02:41 in New York (Sunday 22 November 2026, UTC-5).",
    "Washington, DC": "It is 02:41 in Washington DC (Sunday 22 November 2026, UTC-5).",
    "Portland, Oregon": "It is 23:41 in Portland Oregon (Saturday 21 November 2026, UTC-8).",
    "San Francisco": "It is 23:41 in San Francisco (Saturday 21 November 2026, UTC-8).",
    "Paris, France": "It is 08:41 in Paris (Sunday 22 November 2026, UTC+1).",
    "Zürich": "It is 08:41 in Zurich (Sunday 22 November 2026, UTC+1).",
    "the UK": "It is 07:41 in UK (Sunday 22 November 2026, UTC+0).",
    "India's time": "It is 13:11 in India (Sunday 22 November 2026, UTC+5:30).",
    "Kathmandu": "It is 13:26 in Kathmandu (Sunday 22 November 2026, UTC+5:45).",
    "PT": "It is 23:41 in Pacific time (Saturday 21 November 2026, UTC-8).",
    "Eastern Time": "It is 02:41 in Eastern time (Sunday 22 November 2026, UTC-5).",
    "CET": "It is 08:41 in Central European time (Sunday 22 November 2026, UTC+1).",
    "utc": "It is 07:41 in UTC (Sunday 22 November 2026, UTC+0).",
    "UTC-3:30": "It is 04:11 in UTC-3:30 (Sunday 22 November 2026, UTC-3:30).",
    "GMT+2": "It is 09:41 in UTC+2 (Sunday 22 November 2026, UTC+2).",
}

UNKNOWN_ZONES = {
    "IST": "Mumbai, Dublin or Tel Aviv",
    "CST": "Chicago, Beijing or Havana",
    "USA": "several time zones",
    "portland": "several Portlands",
    "Tokio": "Did you mean Tokyo?",
    "Lodnon": "Did you mean London?",
    "Gotham City": "Name a large city near it",
    "UTC+20": "at most 14 hours",
}


@pytest.mark.parametrize("zone", NOW)
def test_now_is_told_for_whatever_people_call_a_place(zone: str) -> None:
    assert clocks().now(zone) == NOW[zone]


@pytest.mark.parametrize("zone", UNKNOWN_ZONES)
def test_a_place_without_one_time_is_refused_with_what_to_write(zone: str) -> None:
    with pytest.raises(ToolError) as refusal:
        clocks().now(zone)
    assert UNKNOWN_ZONES[zone] in str(refusal.value)


def test_every_iana_name_is_a_zone() -> None:
    for name in (name for name in available_timezones() if "/" in name):
        assert clocks().now(name).startswith("It is ")


def test_a_local_zone_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="'Europe/Atlantis' is not a time zone"):
        Clocks("Europe/Atlantis")


TIMES = {
    "3pm": "15:00",
    "3 PM": "15:00",
    "3:30 p.m.": "15:30",
    "15:00": "15:00",
    "8.30pm": "20:30",
    "15h30": "15:30",
    "1500": "15:00",
    "0900 hours": "09:00",
    "12am": "00:00",
    "12pm": "12:00",
    "noon": "12:00",
    "midnight": "00:00",
    "five pm": "17:00",
    "9 o'clock in the morning": "09:00",
    "8 at night": "20:00",
    "half past two in the afternoon": "14:30",
    "quarter to five pm": "16:45",
    "ten past 12 am": "00:10",
}


@pytest.mark.parametrize("time", TIMES)
def test_a_time_is_read_as_people_write_it(time: str) -> None:
    assert (
        clocks()
        .convert(time, "UTC", "UTC")
        .startswith(f"{TIMES[time]} in UTC (Sunday 22 November 2026, UTC+0) is ")
    )


CONVERSIONS = {
    ("3pm", "New York", "London", ""): (
        "15:00 in New York (Sunday 22 November 2026, UTC-5) is 20:00 in London (the same day, UTC+0, 5 hours ahead)."
    ),
    ("15:00", "Tokyo", "LA", ""): (
        "15:00 in Tokyo (Sunday 22 November 2026, UTC+9) is 22:00 in LA "
        "(the day before, Saturday 21 November 2026, UTC-8, 17 hours behind)."
    ),
    ("8pm", "here", "Sydney", ""): (
        "20:00 in Berlin (Sunday 22 November 2026, UTC+1) is 06:00 in Sydney "
        "(the next day, Monday 23 November 2026, UTC+11, 10 hours ahead)."
    ),
    ("now", "London", "Kathmandu", ""): (
        "07:41 in London (Sunday 22 November 2026, UTC+0) is 13:26 in Kathmandu "
        "(the same day, UTC+5:45, 5 hours 45 minutes ahead)."
    ),
    ("3pm", "New York", "London", "2026-03-09"): (
        "15:00 in New York (Monday 9 March 2026, UTC-4) is 19:00 in London (the same day, UTC+0, 4 hours ahead)."
    ),
    ("3pm tomorrow", "Paris", "Berlin", ""): (
        "15:00 in Paris (Monday 23 November 2026, UTC+1) is 15:00 in Berlin (the same day, UTC+1, no time difference)."
    ),
    ("3pm on friday", "UTC", "Lagos", ""): (
        "15:00 in UTC (Friday 27 November 2026, UTC+0) is 16:00 in Lagos (the same day, UTC+1, 1 hour ahead)."
    ),
    ("3pm", "UTC", "Lagos", "the 8th of March 2027"): (
        "15:00 in UTC (Monday 8 March 2027, UTC+0) is 16:00 in Lagos (the same day, UTC+1, 1 hour ahead)."
    ),
    ("2026-11-01T01:30-05:00", "New York", "UTC", ""): (
        "01:30 in New York (Sunday 1 November 2026, UTC-5) is 06:30 in UTC (the same day, UTC+0, 5 hours ahead)."
    ),
}  # fmt: skip


@pytest.mark.parametrize("asked", CONVERSIONS, ids=" ".join)
def test_a_conversion_is_one_sentence_with_dates_and_offsets(asked: tuple[str, str, str, str]) -> None:
    assert clocks().convert(*asked) == CONVERSIONS[asked]


def test_today_is_the_day_in_the_zone_of_the_time() -> None:
    # In Los Angeles it is still Saturday.
    assert "15:00 in LA (Saturday 21 November 2026" in clocks().convert("3pm", "LA", "UTC")


def test_a_time_that_the_clocks_skip_is_refused_with_the_times_beside_it() -> None:
    with pytest.raises(ToolError) as refusal:
        clocks().convert("2:30", "New York", "Tokyo", "2026-03-08")
    assert str(refusal.value) == (
        "02:30 on Sunday 8 March 2026 does not exist in New York: the clocks go forward then, from UTC-5 to UTC-4. "
        "Ask for 01:30 or 03:30 instead."
    )


def test_a_time_that_happens_twice_is_refused_with_both_and_either_can_be_asked_for() -> None:
    with pytest.raises(ToolError) as refusal:
        clocks().convert("1:30am", "New York", "UTC", "2026-11-01")
    assert str(refusal.value) == (
        "01:30 on Sunday 1 November 2026 happens twice in New York, because the clocks go back: "
        "first at UTC-4 (05:30 UTC), then at UTC-5 (06:30 UTC). "
        "Ask for 2026-11-01T01:30:00-04:00 or 2026-11-01T01:30:00-05:00."
    )
    assert "is 05:30 in UTC" in clocks().convert("2026-11-01T01:30:00-04:00", "New York", "UTC")
    assert "is 06:30 in UTC" in clocks().convert("2026-11-01T01:30:00-05:00", "New York", "UTC")


REFUSALS = {
    ("half past two", ""): "write 2am or 2pm",
    ("9", ""): "write 9am or 9pm",
    ("25:00", ""): "hours go from 0 to 23",
    ("12:75", ""): "minutes to 59",
    ("13am", ""): "no such time",
    ("banana", ""): "Write it as 3pm or 15:00",
    ("3pm", "2026-02-30"): "no such date",
    ("3pm", "03/08/2026"): "slashes can be read in two ways",
    ("3pm", "whenever"): "Write it as 2026-03-08",
    ("3pm friday", "monday"): "leave one out",
    ("9999-12-31T23:59", ""): "out of range",
}


@pytest.mark.parametrize("asked", REFUSALS, ids=" ".join)
def test_a_time_or_date_that_is_unclear_is_refused(asked: tuple[str, str]) -> None:
    with pytest.raises(ToolError) as refusal:
        clocks().convert(asked[0], "UTC", "Tokyo", asked[1])
    assert REFUSALS[asked] in str(refusal.value)


@settings(deadline=timedelta(seconds=2))
@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_answered_or_refused(time: str, zone: str, date: str) -> None:
    for asked in ((time, "UTC", "Tokyo", date), ("3pm", zone, "UTC", ""), (f"{time} pm", "UTC", "UTC", "")):
        try:
            assert clocks().convert(*asked).endswith(").")
        except ToolError:
            continue


@settings(deadline=timedelta(seconds=2))
@given(st.datetimes())
def test_iso_times_come_back_unchanged_through_another_zone(moment: object) -> None:
    text = str(moment).partition(".")[0]
    try:
        there = clocks().convert(f"{text}+00:00", "UTC", "Tokyo")
    except ToolError as refusal:
        assert "out of range" in str(refusal)  # noqa: PT017 - only the ends of the calendar are refused
    else:
        assert there.startswith(f"{text[11:16]} in UTC (")
