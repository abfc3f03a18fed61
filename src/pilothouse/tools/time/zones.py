"""Time zones, found by the names that people give them."""

import difflib
import re
import unicodedata
from functools import cache
from typing import TypeAlias

import msgspec
from whenever import (
    Instant,
    OffsetDateTime,
    PlainDateTime,
    TimeDelta,
    TimeZoneNotFoundError,
    ZonedDateTime,
    available_timezones,
    hours,
    minutes,
)

from pilothouse.errors import ConfigurationError, ToolError
from pilothouse.tools.time import zone_names

LocalTime: TypeAlias = ZonedDateTime | OffsetDateTime

_CONTINENTS = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)
_NOT_CITIES = frozenset({"act", "nsw", "lhi", "north", "south", "west", "troll", "center", "easter"})
_OFFSET = re.compile(r"(?:utc|gmt)? ?([+-])(\d{1,2})(?::?([0-5]\d))?")
_LARGEST_OFFSET_HOURS = 14


class Zone(msgspec.Struct, frozen=True):
    """A time zone: an IANA name or a fixed offset, and how to call it in a sentence."""

    label: str
    rule: str | TimeDelta

    def at(self, instant: Instant) -> LocalTime:
        """The local time at that instant."""
        if isinstance(self.rule, str):
            return instant.to_tz(self.rule)  # pyright: ignore[reportUnknownMemberType] - part of the stub is untyped
        return instant.to_fixed_offset(self.rule)

    def earlier(self, time: PlainDateTime) -> LocalTime:
        """The local time, the first one where clocks go back. Where clocks go forward past it, the time before that which
        is as long before the change as `time` is after it."""
        if isinstance(self.rule, str):
            return time.assume_tz(self.rule, disambiguation="earlier")  # pyright: ignore[reportUnknownMemberType] - as above
        return time.assume_fixed_offset(self.rule)

    def later(self, time: PlainDateTime) -> LocalTime:
        """The local time, the second one where clocks go back; as `earlier`, but after the change, where they go forward."""
        if isinstance(self.rule, str):
            return time.assume_tz(self.rule, disambiguation="later")  # pyright: ignore[reportUnknownMemberType] - as above
        return time.assume_fixed_offset(self.rule)


def by_iana_name(name: str) -> Zone:
    """The zone of an IANA name, such as `Europe/Berlin`. Raises `ConfigurationError` if there is none."""
    zone = Zone(_label(name), name)
    try:
        zone.at(Instant.from_utc(2000, 1, 1))
    except TimeZoneNotFoundError as error:
        raise ConfigurationError(
            f"{name!r} is not a time zone: write one such as Europe/Berlin or UTC."
        ) from error
    return zone


def _label(iana_name: str) -> str:
    return iana_name.rpartition("/")[2].replace("_", " ")


def find(name: str) -> Zone:
    """The zone that people mean by `name`: an IANA name, a city, a country with one time, `Pacific`, `CET`, `UTC+2`.

    Raises `ToolError` if there is none, or several, with what to write.
    """
    plain = _plain(name)
    for candidate in (plain.replace(",", ""), plain.split(",")[0], plain.partition(" (")[0]):
        zone = _find(candidate)
        if zone:
            return zone
    close = difflib.get_close_matches(plain, _by_name(), n=3, cutoff=0.75)
    labels = [_by_name()[match].label for match in close]
    hint = f"Did you mean {' or '.join(dict.fromkeys(labels))}?" if labels else "Name a large city near it."
    raise ToolError(f"The time zone of {name.strip()!r} is not known. {hint}")


def _find(name: str) -> Zone | None:
    if name in zone_names.AMBIGUOUS:
        raise ToolError(f"{zone_names.AMBIGUOUS[name]}.")
    return _by_name().get(name) or _fixed(name)


def _plain(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = " ".join(ascii_name.lower().replace("_", " ").split()).strip("?!.,;: ")
    text = re.sub(r"^(?:in|the time in|time in|the city of|at|from|to) ", "", text)
    return re.sub(r"(?:'s)? (?:time(?: ?zone)?|local time)$", "", text).removeprefix("the ")


def _fixed(name: str) -> Zone | None:
    match = _OFFSET.fullmatch(name)
    if match is None:
        return None
    if int(match[2]) > _LARGEST_OFFSET_HOURS:
        raise ToolError(f"An offset from UTC has at most {_LARGEST_OFFSET_HOURS} hours.")
    offset = hours(int(match[2])) + minutes(int(match[3] or 0))
    offset = -offset if match[1] == "-" else offset
    return Zone(show_offset(offset), offset)


def show_offset(offset: TimeDelta) -> str:
    """Such as `UTC-5`, `UTC+5:30`, `UTC+0`."""
    total = round(offset.total("minutes"))
    whole, rest = divmod(abs(total), 60)
    return f"UTC{'-' if total < 0 else '+'}{whole}" + (f":{rest:02}" if rest else "")


@cache
def _by_name() -> dict[str, Zone]:
    """Every known name, in lower case without accents. Reads the time zone database: some 50 ms, once."""
    found: dict[str, Zone] = {}
    known = available_timezones()
    for iana in sorted(known, key=len, reverse=True):
        label = _label(iana)
        found[_plain(iana)] = Zone(label, iana)
        if iana.split("/")[0] in _CONTINENTS and label.lower() not in _NOT_CITIES:
            found[_plain(label)] = Zone(label, iana)
    for name, iana, label in zone_names.entries():
        found[_plain(name)] = Zone(label, iana)
    return found
