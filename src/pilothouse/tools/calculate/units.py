"""Units, and conversions between them. Every factor is exact: it is what the unit is defined as.

What has several meanings (a ton, a gallon, a month) is refused with the names that have one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec

from pilothouse.errors import ToolError
from pilothouse.tools.calculate.numbers import Number


class Unit(msgspec.Struct, frozen=True):
    """A unit of some kind of quantity: a value in it is `(value + offset) * factor` in the first unit of its kind."""

    kind: str
    factor: Fraction
    offset: Fraction = Fraction(0)


class Amount(NamedTuple):
    """A value as it was written, and its unit."""

    text: str
    unit: str


class Conversion(NamedTuple):
    """A request to express a quantity (such as 5 feet 3 inches) in another unit. `shown` is the quantity as written."""

    shown: str
    amounts: Sequence[Amount]
    target: str


_TABLE: Mapping[str, str] = {
    "time": "1 second s sec; 60 minute min; 3600 hour h hr; 86400 day; 604800 week wk; 1209600 fortnight;"
    "1/1000 millisecond ms; 1/1000000 microsecond us µs; 1/1000000000 nanosecond ns",
    "calendar time": "1 month; 3 quarter; 12 year yr; 120 decade; 1200 century centuries; 12000 millennium millennia",
    "length": "1 metre meter m; 1000 kilometre kilometer km; 1/100 centimetre centimeter cm; 1/1000 millimetre millimeter mm;"
    "1/1000000 micrometre micrometer micron µm; 1609344/1000 mile mi; 9144/10000 yard yd; 3048/10000 foot feet ft;"
    "254/10000 inch inches in; 1852 nautical.mile nmi",
    "mass": "1 gram g; 1000 kilogram kg kilo; 1/1000 milligram mg; 1000000 tonne metric.ton t;"
    "45359237/100000 pound lb; 45359237/1600000 ounce oz; 45359237/100000*14 stone",
    "data": "1 bit; 8 byte; 8000 kilobyte kb; 8000000 megabyte mb; 8000000000 gigabyte gb; 8000000000000 terabyte tb;"
    "8000000000000000 petabyte pb; 8192 kibibyte kib; 8388608 mebibyte mib; 8589934592 gibibyte gib;"
    "8796093022208 tebibyte tib; 1000 kilobit kbit; 1000000 megabit mbit; 1000000000 gigabit gbit",
    "volume": "1 litre liter l; 1/1000 millilitre milliliter ml; 3785411784/1000000000 us.gallon; 454609/100000 imperial.gallon uk.gallon;"
    "1000 cubic.metre cubic.meter m3",
    "speed": "1 m/s mps metres.per.second meters.per.second; 1000/3600 km/h kmh kph kilometres.per.hour kilometers.per.hour;"
    "1609344/3600000 mph miles.per.hour; 1852/3600 knot kt",
    "area": "1 square.metre square.meter m2 sqm; 10000 hectare ha; 1000000 square.kilometre square.kilometer km2;"
    "9290304/100000000 square.foot square.feet sq.ft sqft; 40468564224/10000000 acre",
}
"""By kind, its units: a factor, then the names (with dots for spaces)."""

_AMBIGUOUS: Mapping[str, str] = {
    "ton": "write 'metric tons', or convert from pounds",
    "gallon": "write 'us gallons' or 'imperial gallons'",
    "pint": "write litres",
    "quart": "write litres",
    "cup": "write millilitres",
    "fluid ounce": "write millilitres",
    "calorie": "it can be the small or the large one",
    "Gb": "write GB for gigabytes or gigabits",
    "Mb": "write MB for megabytes or megabits",
    "Kb": "write KB for kilobytes or kilobits",
}


def _fraction(text: str) -> Fraction:
    first, *others = text.split("*")
    return Fraction(first) * (Fraction(others[0]) if others else 1)


def _units() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for kind, rows in _TABLE.items():
        for row in rows.split(";"):
            factor, *names = row.split()
            for name in names:
                units[name.replace(".", " ")] = Unit(kind, _fraction(factor))
    for names, factor, offset in (
        ("k kelvin kelvins", "1", "0"),
        ("c °c celsius centigrade", "1", "273.15"),
        ("f °f fahrenheit", "5/9", "459.67"),
    ):
        for name in names.split():
            units[name] = Unit("temperature", Fraction(factor), Fraction(offset))
    return units


_UNITS = _units()

_NAME = r"[a-zµ°][a-zµ°/ .]*?[23]?"
_AMOUNT = re.compile(
    rf"\s*(?:and\s+|,\s*)?(?P<text>-?[\d(][-+\d.,/*^() ]*?(?:e[-+]?\d+)?)\s*(?P<unit>{_NAME})(?=\s*(?:,|and\s+\d|\d|-|$))",
    re.IGNORECASE,
)
_FORWARDS = re.compile(rf"(?P<quantity>\S.*)\s+(?:in|to|into|as)\s+(?P<target>{_NAME})", re.IGNORECASE)
_BACKWARDS = re.compile(
    rf"(?P<target>{_NAME})\s+(?:(?:is|are|equals?|make|fit)\s+)?(?:there\s+)?(?:in|is|are)\s+(?P<quantity>\S.*)",
    re.IGNORECASE,
)


def find(name: str) -> Unit | None:
    """The unit of that name. Raises `ToolError` if it means several."""
    plain = re.sub(r"^degrees?\s+", "", name.strip().rstrip("."))
    lowered = plain.lower()
    for key in (plain, lowered, lowered.removesuffix("s")):
        if key in _AMBIGUOUS:
            raise ToolError(f"{name!r} has several meanings: {_AMBIGUOUS[key]}.")
    return _UNITS.get(lowered) or _UNITS.get(lowered.removesuffix("s"))


def read(text: str) -> Conversion | None:
    """The conversion that the text asks for (`5 km in miles`, `minutes in 3 weeks`), or None if it asks for none."""
    for pattern in (_FORWARDS, _BACKWARDS):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        amounts = _amounts(match["quantity"])
        if amounts and find(match["target"]):
            return Conversion(match["quantity"], amounts, match["target"])
    return None


def _amounts(quantity: str) -> list[Amount]:
    quantity = re.sub(r"(\d)' ?(\d+)\"?$", r"\1 ft \2 in", quantity)
    quantity = re.sub(r"^an?\s+", "1 ", quantity, flags=re.IGNORECASE)
    amounts: list[Amount] = []
    position = 0
    while position < len(quantity):
        match = _AMOUNT.match(quantity, position)
        if match is None or find(match["unit"]) is None:
            return []
        amounts.append(Amount(match["text"], match["unit"]))
        position = match.end()
    return amounts


def convert(conversion: Conversion, value_of: Callable[[str], Number]) -> Number:
    """The quantity in the target unit; `value_of` computes an amount's text. Raises `ToolError` if the kinds differ."""
    target = _known(conversion.target)
    result: Number = Fraction(0)
    for amount in conversion.amounts:
        unit = _known(amount.unit)
        if unit.kind != target.kind:
            raise ToolError(_mismatch(unit, target, amount.unit, conversion.target))
        if unit.kind == "temperature" and len(conversion.amounts) > 1:
            raise ToolError("Convert one temperature at a time.")
        value = Fraction(value_of(amount.text))
        result += (value + unit.offset) * unit.factor
    if target.kind == "temperature" and result < 0:
        raise ToolError("That is below absolute zero.")
    return result / target.factor - target.offset


def _known(name: str) -> Unit:
    unit = find(name)
    assert unit is not None, "read() lets only known units pass"
    return unit


def _mismatch(unit: Unit, target: Unit, name: str, target_name: str) -> str:
    if {unit.kind, target.kind} == {"time", "calendar time"}:
        return (
            f"Months and years have no fixed length in days, so {name} can't be turned into {target_name} exactly: "
            "write the number of days, such as 365 days."
        )
    return f"{name} is a unit of {unit.kind}, {target_name} of {target.kind}: one can't be turned into the other."
