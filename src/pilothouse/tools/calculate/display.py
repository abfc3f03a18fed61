"""Numbers as people read them, with what was rounded said beside them."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from pilothouse.tools.calculate import numbers
from pilothouse.tools.calculate.numbers import Number

DIGITS = 12
"""Significant digits of a rounded result."""

_LONGEST_INTEGER = 200
_MOST_DECIMALS = 30
_LONGEST_RATIO = 9
_SMALLEST_PLAIN, _LARGEST_PLAIN = Decimal("1e-6"), Decimal("1e15")


def show(value: Number, suffix: str = "") -> str:
    """The value for people, with its unit or `%` as `suffix`: exact where it can be written out, else rounded, and marked so."""
    if isinstance(value, Fraction):
        whole = _written_out(value)
        if whole is not None:
            return whole + suffix
    text, digits = _to_digits(value)
    notes = [f"rounded to {digits} digits"]
    if isinstance(value, Fraction):
        ratio = f"{value.numerator}/{value.denominator}"
        if value.denominator == 1:
            notes.append(f"the exact number has {len(str(abs(value.numerator))):,} digits")
        elif len(ratio) <= _LONGEST_RATIO:
            notes.append(f"exactly {ratio}{suffix}")
    return f"{text}{suffix} ({'; '.join(notes)})"


def _written_out(value: Fraction) -> str | None:
    """All digits of the value, if there are not too many."""
    places = _decimal_places(value)
    if places is None:
        return None
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    if len(digits) > _LONGEST_INTEGER:
        return None
    integer, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
    sign = "-" if value < 0 else ""
    return f"{sign}{int(integer):,}" + (f".{decimals}" if decimals else "")


def _decimal_places(value: Fraction) -> int | None:
    """How many decimals the value has; None if they do not end, or not soon."""
    for places in range(_MOST_DECIMALS + 1):
        if 10**places % value.denominator == 0:
            return places
    return None


def _to_digits(value: Number) -> tuple[str, int]:
    with localcontext(numbers.CONTEXT, rounding=ROUND_HALF_UP) as context:
        decimal = numbers.rounded(value)
        size = abs(decimal)
        is_plain = not size or _SMALLEST_PLAIN <= size < _LARGEST_PLAIN
        digits = max(DIGITS, decimal.adjusted() + 5) if is_plain else DIGITS
        context.prec = digits
        decimal = +decimal
    if is_plain:
        text = f"{decimal:,f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text), digits
    mantissa = f"{decimal.scaleb(-decimal.adjusted()):f}"
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10^{decimal.adjusted()}", digits
