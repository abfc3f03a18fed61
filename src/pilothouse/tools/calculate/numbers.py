"""The numbers that `calculate` works with, and what can be done to them.

A `Fraction` is exact. A `Decimal` is an irrational number rounded to `PRECISION` digits, and whatever is computed from
one is a `Decimal` too. No binary float ever holds a value. Every operation is bounded before it starts: a result of
more than `MAX_DIGITS` digits is refused, so each takes microseconds.

Subtracting nearly equal rounded numbers leaves noise, which is told from a result by its size: the last digits of
`PRECISION` are never shown, and what is smaller than `NOISE` times the operands is zero.

The functions need `CONTEXT` to be the current decimal context.
"""

import math
from collections.abc import Sequence
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow, Underflow
from fractions import Fraction
from typing import TypeAlias

from pilothouse.errors import ToolError

Number: TypeAlias = Fraction | Decimal

MAX_DIGITS = 2_000
PRECISION = 60
NOISE = Decimal("1e-45")
CONTEXT = Context(
    prec=PRECISION,
    Emax=MAX_DIGITS,
    Emin=-MAX_DIGITS,
    traps=[DivisionByZero, InvalidOperation, Overflow, Underflow],
)

_MAX_BITS = math.ceil(MAX_DIGITS * math.log2(10))
_LARGEST_ROOT = 100
"""A root of a higher degree is not looked for among the exact numbers."""


def too_many_digits(digits: int | None = None) -> ToolError:
    """The error for a number that is over the limit, with its size where that is known."""
    size = f"about {digits:,}" if digits is not None and digits < 10**15 else f"more than {MAX_DIGITS:,}"
    return ToolError(f"The number would have {size} digits; the limit is {MAX_DIGITS:,} digits.")


def exact(value: Fraction | int) -> Fraction:
    """The value as a fraction, if it is within the limit of digits."""
    fraction = Fraction(value)
    if max(fraction.numerator.bit_length(), fraction.denominator.bit_length()) > _MAX_BITS:
        raise too_many_digits()
    return fraction


def rounded(value: Number) -> Decimal:
    """The value as a decimal, rounded to `PRECISION` digits."""
    if isinstance(value, Decimal):
        return value
    return Decimal(value.numerator) / Decimal(value.denominator)


def is_integer(value: Number) -> bool:
    """Whether the value is exact and whole."""
    return isinstance(value, Fraction) and value.denominator == 1


def _without_noise(value: Decimal, *operands: Decimal) -> Decimal:
    return Decimal(0) if abs(value) < NOISE * max(map(abs, operands)) else value


def add(left: Number, right: Number) -> Number:
    """The sum."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return exact(left + right)
    a, b = rounded(left), rounded(right)
    return _without_noise(a + b, a, b)


def negative(value: Number) -> Number:
    """The value with the other sign."""
    return -value


def subtract(left: Number, right: Number) -> Number:
    """The difference."""
    return add(left, negative(right))


def multiply(left: Number, right: Number) -> Number:
    """The product."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return exact(left * right)
    return rounded(left) * rounded(right)


def divide(left: Number, right: Number) -> Number:
    """The quotient."""
    if right == 0:
        raise ToolError("Division by zero has no result.")
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return exact(left / right)
    return rounded(left) / rounded(right)


def floor(value: Number) -> Fraction:
    """The largest whole number that is not above the value."""
    if isinstance(value, Decimal):
        nearest = value.to_integral_value()
        if abs(value - nearest) <= NOISE * max(abs(value), Decimal(1)):
            return exact(int(nearest))
    return exact(math.floor(value))


def ceiling(value: Number) -> Fraction:
    """The smallest whole number that is not below the value."""
    return -floor(negative(value))


def floor_divide(left: Number, right: Number) -> Number:
    """The quotient, rounded down to a whole number."""
    return floor(divide(left, right))


def modulo(left: Number, right: Number) -> Number:
    """What is left over by `floor_divide`; it has the sign of `right`."""
    return subtract(left, multiply(right, floor_divide(left, right)))


def power(base: Number, exponent: Number) -> Number:
    """`base` to the power of `exponent`, exact where it is a fraction."""
    if base == 0 and exponent < 0:
        raise ToolError("Zero to a negative power has no result: it would be a division by zero.")
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        return _whole_power(base, exponent.numerator)
    if base < 0:
        raise ToolError("A negative number to a power that is not whole is not a real number.")
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        root = _exact_root(base, exponent.denominator)
        if root is not None:
            return _whole_power(root, exponent.numerator)
    if base == 0:
        return Fraction(0)
    return rounded(base) ** rounded(exponent)


def _whole_power(base: Number, exponent: int) -> Number:
    if isinstance(base, Decimal):
        if exponent.bit_length() > 64:
            raise too_many_digits()
        return base**exponent
    if abs(base) == 1 or base == 0:
        return Fraction(base ** (exponent % 2 + 2)) if exponent else Fraction(1)
    digits = math.log10(max(abs(base.numerator), base.denominator)) * min(abs(exponent), 10**20)
    if digits > MAX_DIGITS:
        raise too_many_digits(math.floor(digits) + 1)
    return exact(base**exponent)


def root(value: Number, degree: int) -> Number:
    """The real root of that degree."""
    if value < 0:
        if degree % 2 == 0:
            raise ToolError("The square root of a negative number is not a real number.")
        return negative(root(negative(value), degree))
    if degree == 2 and isinstance(value, Decimal):
        return value.sqrt()
    return power(value, Fraction(1, degree))


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    if degree > _LARGEST_ROOT:
        return None
    numerator, denominator = (_integer_root(part, degree) for part in value.as_integer_ratio())
    if numerator**degree == value.numerator and denominator**degree == value.denominator:
        return Fraction(numerator, denominator)
    return None


def _integer_root(value: int, degree: int) -> int:
    """The largest whole number whose power is not above `value`, by Newton's method from above."""
    if value < 2:
        return value
    guess = 1 << -(-value.bit_length() // degree)
    while True:
        better = ((degree - 1) * guess + value // guess ** (degree - 1)) // degree
        if better >= guess:
            return guess
        guess = better


def round_half_up(value: Number, places: int) -> Fraction:
    """The value rounded to decimal places as people do it: a half goes away from zero."""
    scale = Fraction(10) ** places
    whole = floor(add(multiply(abs(value), scale), Fraction(1, 2)))
    return exact((whole if value >= 0 else -whole) / scale)


def mean(values: Sequence[Number]) -> Number:
    """The arithmetic mean of at least one value."""
    return divide(total(values), Fraction(len(values)))


def total(values: Sequence[Number]) -> Number:
    """The sum of the values."""
    result: Number = Fraction(0)
    for value in values:
        result = add(result, value)
    return result


def median(values: Sequence[Number]) -> Number:
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else mean(ordered[middle - 1 : middle + 1])
