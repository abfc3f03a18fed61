"""From people's words for times and dates to times and dates."""

import re
from collections.abc import Callable

from whenever import Date, Instant, OffsetDateTime, PlainDateTime, Time

from pilothouse.errors import ToolError
from pilothouse.tools.number_words import in_digits

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_YEAR = r"(?:,? (?P<year>\d{4}))?"
_DATES = [
    re.compile(pattern)
    for pattern in (
        r"\b(?P<year>\d{4})-(?P<month_number>\d{1,2})-(?P<day>\d{1,2})\b",
        rf"\b(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}{_YEAR}\b",
        rf"\b{_MONTH} (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?![:.]\d|\s*[ap]m){_YEAR}",
        r"\b(?P<relative>today|tomorrow|yesterday)\b",
        rf"\b(?:next |this |on )*(?P<weekday>{'|'.join(_WEEKDAYS)})\b",
    )
]

_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2})(?::(?P<second>\d{2}))?|(?P<oclock> ?o'? ?clock|h))?(?: ?(?P<half>[ap]m))?"
)
_MILITARY = re.compile(r"(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d) ?(?:hours|hrs|h)?")
_SPOKEN = re.compile(
    r"(?P<minutes>half|quarter|a quarter|\d{1,2})(?: minutes?)? (?P<side>past|after|to|before) (?P<hour>\d{1,2})"
    r"(?: ?o'? ?clock)?(?: ?(?P<half>[ap]m))?"
)
_SPOKEN_MINUTES = {"half": 30, "quarter": 15, "a quarter": 15}


def read_moment(text: str, date: str, today: Date) -> Instant | PlainDateTime:
    """A time with its date: an instant where the text has an offset, else a local time.

    Without a date it is `today`. Raises `ToolError` if it can't be read, or in two ways.
    """
    iso = _iso(text)
    if isinstance(iso, Instant):
        return iso
    if iso:
        return _checked(iso, read_date(date, today) if date.strip() else iso.date())
    rest, found = _split_date(_plain(text), today)
    day = read_date(date, today) if date.strip() else found or today
    return _checked(read_time(rest).on(found or day), day)


def _checked(moment: PlainDateTime, day: Date) -> PlainDateTime:
    if moment.date() != day:
        raise ToolError(f"The time says {moment.date()}, the date says {day}: leave one out.")
    return moment


def _iso(text: str) -> Instant | PlainDateTime | None:
    text = text.strip().upper()
    if not re.match(r"\d{4}-\d\d-\d\d[T ]\d", text):
        return None
    parsers: tuple[Callable[[str], OffsetDateTime | PlainDateTime], ...] = (
        OffsetDateTime.parse_iso,
        PlainDateTime.parse_iso,
    )
    for parse in parsers:
        try:
            moment = parse(text)
        except ValueError:
            continue
        return moment.to_instant() if isinstance(moment, OffsetDateTime) else moment
    return None


def read_date(text: str, today: Date) -> Date:
    """A date: `2026-03-08`, `8 March`, `tomorrow`, `friday` (the next one from today on)."""
    rest, found = _split_date(_plain(text), today)
    if found is None or rest:
        slashed = " A date with slashes can be read in two ways." if "/" in text else ""
        raise ToolError(f"The date {text.strip()!r} is not understood.{slashed} Write it as 2026-03-08.")
    return found


def _split_date(text: str, today: Date) -> tuple[str, Date | None]:
    """The text without its date, and that date."""
    for pattern in _DATES:
        match = pattern.search(text)
        if match:
            rest = text[: match.start()] + " " + text[match.end() :]
            rest = re.sub(r"^[\s,]*(?:on|at)?\s+|[\s,]+(?:on|at)?[\s,]*$", "", f" {rest} ")
            return rest.strip(" ,"), _date(match, today)
    return text, None


def _date(match: re.Match[str], today: Date) -> Date:
    parts = match.groupdict()
    if parts.get("relative"):
        return today.add(days={"today": 0, "tomorrow": 1, "yesterday": -1}[parts["relative"]])
    if parts.get("weekday"):
        return today.add(days=(_WEEKDAYS.index(parts["weekday"]) + 1 - today.day_of_week().value) % 7)
    month = int(parts["month_number"]) if parts.get("month_number") else _MONTHS.index(parts["month"]) + 1
    try:
        return Date(int(parts["year"] or today.year), month, int(parts["day"]))
    except ValueError as error:
        raise ToolError(f"There is no such date as {match[0].strip()!r}.") from error


def read_time(text: str) -> Time:
    """A time of day: `3pm`, `15:00`, `3:30 p.m.`, `noon`, `half past two in the afternoon`, `1500`."""
    plain, part_of_day = _split_part_of_day(in_digits(_plain(text)))
    if re.fullmatch(r"(?:12 ?)?(?:noon|midday)", plain):
        return Time(12)
    if re.fullmatch(r"(?:12 ?)?midnight", plain):
        return Time(0)
    for pattern in (_MILITARY, _CLOCK, _SPOKEN):
        match = pattern.fullmatch(plain)
        if match:
            return _time(match, part_of_day, text.strip())
    raise ToolError(f"The time {text.strip()!r} is not understood. Write it as 3pm or 15:00.")


def _split_part_of_day(text: str) -> tuple[str, str]:
    match = re.search(r",? (?:in the|this|at) (morning|afternoon|evening|night)$|,? (tonight)$", text)
    return (text[: match.start()], match[1] or "evening") if match else (text, "")


def _time(match: re.Match[str], part_of_day: str, text: str) -> Time:
    parts = match.groupdict()
    half = parts.get("half")
    is_exact = match.re is _MILITARY or bool(parts.get("minute"))
    hour = _on_24_hours(int(parts["hour"]), half or _half(part_of_day, int(parts["hour"])), is_exact, text)
    try:
        if parts.get("side"):
            count = _SPOKEN_MINUTES.get(parts["minutes"]) or int(parts["minutes"])
            minutes = hour * 60 + (count if parts["side"] in {"past", "after"} else -count)
            return Time(minutes // 60 % 24, minutes % 60)
        return Time(hour, int(parts.get("minute") or 0), int(parts.get("second") or 0))
    except ValueError as error:
        raise ToolError(
            f"There is no such time as {text!r}: hours go from 0 to 23, minutes to 59."
        ) from error


def _half(part_of_day: str, hour: int) -> str | None:
    if part_of_day == "night":
        return "am" if hour < 6 or hour == 12 else "pm"
    return {"morning": "am", "afternoon": "pm", "evening": "pm"}.get(part_of_day)


def _on_24_hours(hour: int, half: str | None, is_exact: bool, text: str) -> int:
    if half is None:
        if 1 <= hour <= 12 and not is_exact:
            raise ToolError(
                f"{text!r} can be in the morning or in the afternoon: write {hour}am or {hour}pm."
            )
        return hour
    if hour > 12 and half == "pm":
        return hour
    if not 1 <= hour <= 12:
        raise ToolError(f"There is no such time as {text!r}: write it as 3pm or 15:00.")
    return hour % 12 + (12 if half == "pm" else 0)


def _plain(text: str) -> str:
    plain = " ".join(text.lower().replace("\u2019", "'").split()).strip("?!,; ")
    plain = re.sub(r"\b([ap])\.? ?m\b\.?", r"\1m", plain)
    return re.sub(r"^(?:at|around|about|the|it's|its|exactly) ", "", plain)
