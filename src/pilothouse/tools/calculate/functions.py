"""The named functions and constants of `calculate`."""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import msgspec

from pilothouse.errors import ToolError
from pilothouse.tools.calculate import numbers
from pilothouse.tools.calculate.numbers import Number

_PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651"
)
_LARGEST_ANGLE = 10**30
_LARGEST_FACTORIAL = 1_000
_SERIES_PRECISION = 110
"""Digits while an angle is reduced and its series summed: those of the largest angle are lost on the way."""

CONSTANTS: Mapping[str, Callable[[], Number]] = {
    "pi": lambda: +_PI,
    "π": lambda: +_PI,
    "tau": lambda: _PI * 2,
    "e": lambda: Decimal(1).exp(),
}


def _whole(value: Number, function: str) -> int:
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    raise ToolError(f"{function} needs whole numbers.")


def _factorial(value: Number) -> Number:
    n = _whole(value, "factorial")
    if n < 0:
        raise ToolError("factorial needs a number that is not negative.")
    if n > _LARGEST_FACTORIAL:
        raise numbers.too_many_digits()
    return numbers.exact(math.factorial(n))


def _choices(values: Sequence[Number], function: str) -> tuple[int, int]:
    n, k = (_whole(value, function) for value in values)
    if n < 0 or k < 0:
        raise ToolError(f"{function} needs numbers that are not negative.")
    return n, k


def _combinations(*values: Number) -> Number:
    n, k = _choices(values, "comb")
    if k > n:
        return Fraction(0)
    k = min(k, n - k)
    # C(n, k) is at least (n / k) ** k.
    if k and k * (math.log10(n) - math.log10(k)) > numbers.MAX_DIGITS:
        raise numbers.too_many_digits()
    return numbers.exact(math.comb(n, k))


def _permutations(*values: Number) -> Number:
    n, k = _choices(values, "perm")
    if k > n:
        return Fraction(0)
    # P(n, k) is at least (n - k + 1) ** k, and at least k!.
    if k > _LARGEST_FACTORIAL or k * math.log10(n - k + 1) > numbers.MAX_DIGITS:
        raise numbers.too_many_digits()
    return numbers.exact(math.perm(n, k))


def _greatest_common_divisor(*values: Number) -> Number:
    return Fraction(math.gcd(*(_whole(value, "gcd") for value in values)))


def _least_common_multiple(*values: Number) -> Number:
    result = 1
    for value in values:
        result = numbers.exact(math.lcm(result, _whole(value, "lcm"))).numerator
    return Fraction(result)


def _natural_logarithm(value: Number) -> Number:
    if value <= 0:
        raise ToolError("A logarithm needs a number above zero.")
    if value == 1:
        return Fraction(0)
    decimal = numbers.rounded(value)
    if abs(decimal - 1) < Decimal("1e-40"):
        raise ToolError("The number is too close to 1 for an exact logarithm.")
    return decimal.ln()


def _logarithm(value: Number, base: Number | None = None) -> Number:
    if base is None:
        raise ToolError(
            "log(x) can mean two things: write ln(x) for base e, log10(x) for base 10, or log(x, base) for another base."
        )
    if base == 1:
        raise ToolError("The base of a logarithm can't be 1.")
    quotient = numbers.divide(_natural_logarithm(value), _natural_logarithm(base))
    exponent = numbers.round_half_up(quotient, 0)
    if (
        isinstance(value, Fraction)
        and isinstance(base, Fraction)
        and abs(numbers.subtract(quotient, exponent)) < numbers.NOISE
    ):
        return exponent if numbers.power(base, exponent) == value else quotient
    return quotient


def _exponential(value: Number) -> Number:
    return Fraction(1) if value == 0 else numbers.rounded(value).exp()


def _sine(value: Number) -> Number:
    return Fraction(0) if value == 0 else _sine_of(numbers.rounded(value), Decimal(0))


def _cosine(value: Number) -> Number:
    return Fraction(1) if value == 0 else _sine_of(numbers.rounded(value), _PI / 2)


def _tangent(value: Number) -> Number:
    cosine = _cosine(value)
    if cosine == 0:
        raise ToolError("The tangent is not defined there.")
    return numbers.divide(_sine(value), cosine)


def _sine_of(angle: Decimal, shift: Decimal) -> Decimal:
    """The sine of `angle + shift`, in radians."""
    if abs(angle) > _LARGEST_ANGLE:
        raise ToolError("The angle is too large: the limit is 10^30.")
    with localcontext(prec=_SERIES_PRECISION):
        x = (angle + shift) % (2 * _PI)
        square, term, result, n = x * x, x, x, 1
        while abs(term) > Decimal("1e-80"):
            n += 2
            term = -term * square / (n * (n - 1))
            result += term
    return Decimal(0) if abs(result) < numbers.NOISE else +result


_SINES_OF_DEGREES = {
    0: (0, 1),
    30: (1, 2),
    90: (1, 1),
    150: (1, 2),
    180: (0, 1),
    210: (-1, 2),
    270: (-1, 1),
    330: (-1, 2),
}
"""The whole degrees whose sine is a fraction."""


def _sine_of_degrees(value: Number) -> Number:
    turned = numbers.modulo(value, Fraction(360))
    if isinstance(turned, Fraction) and turned in _SINES_OF_DEGREES:
        return Fraction(*_SINES_OF_DEGREES[int(turned)])
    return _sine_of(numbers.rounded(turned) * _PI / 180, Decimal(0))


def _cosine_of_degrees(value: Number) -> Number:
    return _sine_of_degrees(numbers.add(value, Fraction(90)))


def _tangent_of_degrees(value: Number) -> Number:
    turned = numbers.modulo(value, Fraction(180))
    if turned in (45, 135):
        return Fraction(1 if turned == 45 else -1)
    if turned == 90:
        raise ToolError("The tangent is not defined at 90 degrees.")
    return numbers.divide(_sine_of_degrees(value), _cosine_of_degrees(value))


def _round(value: Number, places: Number = Fraction(0)) -> Number:
    digits = _whole(places, "round")
    if abs(digits) > 100:
        raise ToolError("round goes to at most 100 decimal places.")
    return numbers.round_half_up(value, digits)


def _absolute(value: Number) -> Number:
    return abs(value)


def _square_root(value: Number) -> Number:
    return numbers.root(value, 2)


def _cube_root(value: Number) -> Number:
    return numbers.root(value, 3)


def _decimal_logarithm(value: Number) -> Number:
    return _logarithm(value, Fraction(10))


def _binary_logarithm(value: Number) -> Number:
    return _logarithm(value, Fraction(2))


def _largest(values: Sequence[Number]) -> Number:
    return max(values)


def _smallest(values: Sequence[Number]) -> Number:
    return min(values)


class Function(msgspec.Struct, frozen=True):
    """A function and how many arguments it takes; `at_most=None` is any number."""

    call: Callable[..., Number]
    at_least: int = 1
    at_most: int | None = 1


def _of_list(call: Callable[[Sequence[Number]], Number]) -> Function:
    def call_with(*values: Number) -> Number:
        return call(values)

    return Function(call_with, at_least=2, at_most=None)


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(_absolute),
    "ceil": Function(numbers.ceiling),
    "comb": Function(_combinations, 2, 2),
    "cos": Function(_cosine),
    "cosd": Function(_cosine_of_degrees),
    "cbrt": Function(_cube_root),
    "exp": Function(_exponential),
    "factorial": Function(_factorial),
    "floor": Function(numbers.floor),
    "gcd": Function(_greatest_common_divisor, 2, None),
    "lcm": Function(_least_common_multiple, 2, None),
    "ln": Function(_natural_logarithm),
    "log": Function(_logarithm, 1, 2),
    "log10": Function(_decimal_logarithm),
    "log2": Function(_binary_logarithm),
    "max": _of_list(_largest),
    "mean": _of_list(numbers.mean),
    "median": _of_list(numbers.median),
    "min": _of_list(_smallest),
    "perm": Function(_permutations, 2, 2),
    "pow": Function(numbers.power, 2, 2),
    "round": Function(_round, 1, 2),
    "sin": Function(_sine),
    "sind": Function(_sine_of_degrees),
    "sqrt": Function(_square_root),
    "sum": _of_list(numbers.total),
    "tan": Function(_tangent),
    "tand": Function(_tangent_of_degrees),
}
"""By name. The ones that end in `d` take degrees."""
