"""The tools that every agent may be given by name."""

from collections.abc import Mapping
from typing import Annotated

from whenever import Instant

from pilothouse.ports.tools import Tool
from pilothouse.tools.calculate import calculate
from pilothouse.tools.functions import Span, tool
from pilothouse.tools.time import Clock, Clocks


def builtin_tools(*, local_zone: str = "UTC", clock: Clock = Instant.now) -> Mapping[str, Tool]:
    """The built-in tools by name. `local_zone`, an IANA name, is the zone of people who name none.

    Each answers with one sentence that can be shown as it is, and may be called again at any time.
    """
    clocks = Clocks(local_zone, clock)
    return {tool.name: tool for tool in (calculate_tool(), now_tool(clocks), convert_time_tool(clocks))}


def calculate_tool() -> Tool:
    """`calculate(expression)`."""

    @tool(
        name="calculate",
        replay="safe",
        examples=[(request, {"expression": expression}) for request, expression in _SUMS],
    )
    async def run(
        expression: Annotated[str, "The calculation: notation, everyday wording, or a conversion of units."],
    ) -> str:
        """Work out any calculation exactly: arithmetic, percentages, powers, roots, logarithms, sines, averages, factorials,
        comparisons, and conversions of units of time, length, mass, temperature, speed and data. Give it the calculation as
        the user wrote it, or as an expression such as 2340 * 0.17, sqrt(2), 17% of 2,340 or 5 km in miles. Use it for all
        arithmetic instead of calculating yourself."""
        return calculate(expression)

    return run


_SUMS = (
    ("what's 17% of 2,340?", "17% of 2,340"),
    ("can u multiply 348 by 27 pls", "348 * 27"),
    ("3 notebooks at 2.75 each, what do i pay?", "3 * 2.75"),
    ("driving 55 miles an hour for 3 hours, how far is that", "55 * 3"),
    ("how much is a 15% tip on $47.50", "15% of 47.50"),
    ("hey, how many minutes are in 3 weeks?", "3 weeks in minutes"),
    ("convert 5 km to miles", "5 km in miles"),
    ("its 72 fahrenheit outside, what is that in celsius", "72 fahrenheit in celsius"),
    ("20% off 80 dollars is what", "20% off 80"),
    ("2 to the power of 10", "2^10"),
    ("there are 8 trays with 30 eggs each, how many eggs", "8 * 30"),
    ("a dozen rolls cost 4.80, how much is one", "4.80 / 12"),
    ("I have 1200 and spend 345.75, whats left?", "1200 - 345.75"),
    ("split a bill of 186 between 4 people", "186 / 4"),
    ("whats nine times seven", "nine times seven"),
    ("average of 90, 85 and 77", "average of 90, 85 and 77"),
    ("what percent of 80 is 20", "20 is what percent of 80"),
    ("(12 + 8) * 3.5 - 4", "(12 + 8) * 3.5 - 4"),
    ("how tall is 5 feet 11 inches in cm", "5 feet 11 inches in cm"),
    ("square root of 144", "square root of 144"),
)


def now_tool(clocks: Clocks) -> Tool:
    """`now(zone?)`."""

    @tool(
        name="now",
        replay="safe",
        examples=[(request, {"zone": zone} if zone else {}) for request, zone in _PLACES],
    )
    async def run(
        zone: Annotated[
            str,
            "The city, country or time zone, as the user wrote it. Leave it out for the user's own.",
            Span,
        ] = "",
    ) -> str:
        """Tell the time, the date and the day of the week right now, here or in any city, country or time zone. Use it
        whenever an answer depends on the current time or on today's date."""
        return clocks.now(zone)

    return run


_PLACES = (
    ("what time is it?", ""),
    ("whats the date today", ""),
    ("what day of the week is it", ""),
    ("time now pls", ""),
    ("what year is it right now?", ""),
    ("got the time?", ""),
    ("what time is it in Tokyo", "Tokyo"),
    ("current time in new york", "new york"),
    ("time in london rn?", "london"),
    ("is it already tomorrow in Sydney?", "Sydney"),
    ("whats the local time in Sao Paulo", "Sao Paulo"),
    ("hey can you tell me what time it is in India", "India"),
    ("is it morning or evening in San Francisco now", "San Francisco"),
    ("what day is it in Auckland", "Auckland"),
    ("what time do they have in Berlin at the moment", "Berlin"),
    ("now in PST?", "PST"),
    ("todays date in Japan", "Japan"),
    ("which weekday do we have", ""),
    ("what does the clock say in Vietnam?", "Vietnam"),
    ("what time is it for people on Mountain time", "Mountain"),
)


def convert_time_tool(clocks: Clocks) -> Tool:
    """`convert_time(time, from_zone, to_zone, date?)`."""

    @tool(
        name="convert_time",
        replay="safe",
        examples=[(request, _conversion(*values)) for request, *values in _CONVERSIONS],
    )
    async def run(
        time: Annotated[
            str,
            "The time as the user wrote it, such as 3pm, 15:00 or noon; 'now' for the present.",
            Span,
        ],
        from_zone: Annotated[str, "Where that is the time: a city, country or time zone, or 'here'.", Span],
        to_zone: Annotated[str, "Where the time is wanted: a city, country or time zone, or 'here'.", Span],
        date: Annotated[
            str, "The date in from_zone, if not today, such as 2026-03-08 or tomorrow.", Span
        ] = "",
    ) -> str:
        """Convert a time from one time zone to another, with the date, both offsets and the difference in hours. Use it for
        questions such as what 3pm in New York is in London, or how far two cities are apart in time."""
        return clocks.convert(time, from_zone, to_zone, date)

    return run


def _conversion(time: str, from_zone: str, to_zone: str, date: str = "") -> dict[str, object]:
    arguments: dict[str, object] = {"time": time, "from_zone": from_zone, "to_zone": to_zone}
    return arguments | ({"date": date} if date else {})


_CONVERSIONS = (
    ("what is 3pm New York time in London?", "3pm", "New York", "London"),
    ("convert 15:00 from Paris to Tokyo", "15:00", "Paris", "Tokyo"),
    ("if its noon in berlin what time is it in sydney", "noon", "berlin", "sydney"),
    ("9 am Pacific in Eastern", "9 am", "Pacific", "Eastern"),
    ("8:30 p.m. CET to PST pls", "8:30 p.m.", "CET", "PST"),
    ("whats 10am UTC in Mumbai", "10am", "UTC", "Mumbai"),
    ("my call is at 4pm London, when is that in San Francisco", "4pm", "London", "San Francisco"),
    ("when it's midnight in Dubai, what time is it in Chicago?", "midnight", "Dubai", "Chicago"),
    ("meeting at 14:30 Singapore time, what's that in Amsterdam", "14:30", "Singapore", "Amsterdam"),
    ("7 pm in Seoul = ? in Los Angeles", "7 pm", "Seoul", "Los Angeles"),
    ("how many hours is Tokyo ahead of London", "now", "London", "Tokyo"),
    ("time difference between Madrid and Toronto", "now", "Madrid", "Toronto"),
    ("what time is 6am Sydney here?", "6am", "Sydney", "here"),
    ("5pm here is what time in Denver", "5pm", "here", "Denver"),
    ("3pm tomorrow in New York, what is it in Rome", "3pm", "New York", "Rome", "tomorrow"),
    ("2:30 on 2026-03-11 in Boston to UTC", "2:30", "Boston", "UTC", "2026-03-11"),
    ("the webinar is 11am ET on friday, whats that in Lagos", "11am", "ET", "Lagos", "friday"),
    ("tell me what 21:15 in Moscow would be in Cape Town", "21:15", "Moscow", "Cape Town"),
    ("what time in Oslo is 8pm in Dublin?", "8pm", "Dublin", "Oslo"),
    ("on 5 may 2027 at 10am in Lima, what time is it in Kyiv", "10am", "Lima", "Kyiv", "5 may 2027"),
)
