"""The time now, and times in other zones. A time that does not exist, or exists twice, is never guessed."""

import re
from collections.abc import Callable
from typing import TypeAlias

from whenever import Date, Instant, PlainDateTime

from pilothouse.errors import ToolError
from pilothouse.tools.time.wording import read_moment
from pilothouse.tools.time.zones import LocalTime, Zone, by_iana_name, find, show_offset

Clock: TypeAlias = Callable[[], Instant]

_HERE = re.compile(
    r"(?:in |my |our |the )?(?:here|local|local time|my time|our time|this time ?zone|home)?", re.IGNORECASE
)


class Clocks:
    """The clock of this machine in every time zone.

    `local_zone` is the zone of people who name none: an IANA name. Raises `ConfigurationError` if it is not one.
    """

    def __init__(self, local_zone: str = "UTC", clock: Clock = Instant.now) -> None:
        self._here = by_iana_name(local_zone)
        self._clock = clock

    def now(self, zone: str = "") -> str:
        """The time and date in a zone, as a sentence. Raises `ToolError` if the zone is not known."""
        place = self._find(zone)
        local = place.at(self._clock())
        return f"It is {_show_time(local)} in {place.label} ({_show_date(local.date())}, {show_offset(local.offset)})."

    def convert(self, time: str, from_zone: str, to_zone: str, date: str = "") -> str:
        """A time of one zone in another, as a sentence.

        The date is that in `from_zone`, today unless given. Raises `ToolError` if a zone, the time or the date can't be
        read, and if the time does not exist or exists twice because the clocks change.
        """
        source, target = self._find(from_zone), self._find(to_zone)
        now = source.at(self._clock())
        if time.strip().lower() in {"now", "right now", "the time", ""}:
            start = now
        else:
            moment = read_moment(time, date, now.date())
            start = _in_zone(moment, source)
        end = _in_zone(start.to_instant(), target)
        return (
            f"{_show_time(start)} in {source.label} ({_show_date(start.date())}, {show_offset(start.offset)}) is "
            f"{_show_time(end)} in {target.label} "
            f"({_show_day(end.date(), start.date())}, {show_offset(end.offset)}, {_show_difference(start, end)})."
        )

    def _find(self, zone: str) -> Zone:
        return self._here if _HERE.fullmatch(zone.strip()) else find(zone)


def _in_zone(moment: Instant | PlainDateTime, zone: Zone) -> LocalTime:
    try:
        return zone.at(moment) if isinstance(moment, Instant) else _only(moment, zone)
    except ValueError as error:
        raise ToolError("The date is out of range: years go from 1 to 9999.") from error


def _only(time: PlainDateTime, zone: Zone) -> LocalTime:
    """The one time in the zone that the local clock shows so."""
    first, second = zone.earlier(time), zone.later(time)
    if first.to_instant() == second.to_instant():
        return first
    shown = f"{_show_time(time)} on {_show_date(time.date())}"
    if first.to_plain() != time:
        raise ToolError(
            f"{shown} does not exist in {zone.label}: the clocks go forward then, from {show_offset(first.offset)} to "
            f"{show_offset(second.offset)}. Ask for {_show_time(first)} or {_show_time(second)} instead."
        )
    first_iso, second_iso = (moment.to_fixed_offset().format_iso() for moment in (first, second))
    raise ToolError(
        f"{shown} happens twice in {zone.label}, because the clocks go back: first at {show_offset(first.offset)} "
        f"({_show_utc(first)}), then at {show_offset(second.offset)} ({_show_utc(second)}). "
        f"Ask for {first_iso} or {second_iso}."
    )


def _show_time(time: LocalTime | PlainDateTime) -> str:
    return f"{time.hour:02}:{time.minute:02}"


def _show_utc(moment: LocalTime) -> str:
    return f"{moment.to_instant().format_iso()[11:16]} UTC"


def _show_date(date: Date) -> str:
    return f"{date.day_of_week().name.title()} {date.day} {_MONTHS[date.month - 1]} {date.year}"


_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _show_day(date: Date, than: Date) -> str:
    if date == than:
        return "the same day"
    return f"the {'next day' if date > than else 'day before'}, {_show_date(date)}"


def _show_difference(start: LocalTime, end: LocalTime) -> str:
    total = round((end.offset - start.offset).total("minutes"))
    if total == 0:
        return "no time difference"
    hours, minutes = divmod(abs(total), 60)
    parts = [
        f"{count} {unit}{'' if count == 1 else 's'}"
        for count, unit in ((hours, "hour"), (minutes, "minute"))
        if count
    ]
    return f"{' '.join(parts)} {'ahead' if total > 0 else 'behind'}"
