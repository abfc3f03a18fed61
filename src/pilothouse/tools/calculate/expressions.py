"""Expressions as trees, and their values."""

from collections.abc import Callable, Mapping, Sequence
from decimal import DecimalException, Overflow, Underflow, localcontext
from fractions import Fraction
from typing import TypeAlias

import msgspec

from pilothouse.errors import ToolError
from pilothouse.tools.calculate import numbers
from pilothouse.tools.calculate.functions import CONSTANTS, FUNCTIONS
from pilothouse.tools.calculate.numbers import Number


class Literal(msgspec.Struct, frozen=True):
    """A number as it was written."""

    value: Fraction


class Constant(msgspec.Struct, frozen=True):
    """A named number."""

    name: str


class Percent(msgspec.Struct, frozen=True):
    """`operand` hundredths."""

    operand: "Node"


class Negative(msgspec.Struct, frozen=True):
    """`operand` with the other sign."""

    operand: "Node"


class Binary(msgspec.Struct, frozen=True):
    """An operator between two operands."""

    operator: str
    left: "Node"
    right: "Node"


class Call(msgspec.Struct, frozen=True):
    """A function of `FUNCTIONS` and its arguments."""

    function: str
    arguments: Sequence["Node"]


Node: TypeAlias = Literal | Constant | Percent | Negative | Binary | Call


_ARITHMETIC: Mapping[str, Callable[[Number, Number], Number]] = {
    "+": numbers.add,
    "-": numbers.subtract,
    "*": numbers.multiply,
    "of": numbers.multiply,
    "off": lambda share, whole: numbers.subtract(whole, numbers.multiply(share, whole)),
    "/": numbers.divide,
    "//": numbers.floor_divide,
    "%": numbers.modulo,
    "mod": numbers.modulo,
    "^": numbers.power,
    "**": numbers.power,
}
_COMPARISONS: Mapping[str, Callable[[Number], bool]] = {
    "<": lambda difference: difference < 0,
    ">": lambda difference: difference > 0,
    "<=": lambda difference: difference <= 0,
    ">=": lambda difference: difference >= 0,
    "=": lambda difference: difference == 0,
    "==": lambda difference: difference == 0,
    "!=": lambda difference: difference != 0,
}


def is_percentage(node: Node) -> bool:
    """Whether the value is a percentage: one, or a sum of several."""
    match node:
        case Percent():
            return True
        case Binary("+" | "-", left, right):
            return is_percentage(left) and is_percentage(right)
        case _:
            return False


def evaluate(node: Node) -> Number | bool:
    """The value of an expression, or whether a comparison is true. Raises `ToolError` if it has none."""
    with localcontext(numbers.CONTEXT):
        try:
            if isinstance(node, Binary) and node.operator in _COMPARISONS:
                difference = numbers.subtract(_value(node.left), _value(node.right))
                return _COMPARISONS[node.operator](difference)
            return _value(node)
        except Overflow as error:
            raise numbers.too_many_digits() from error
        except Underflow as error:
            raise ToolError("The number is too close to zero.") from error
        except DecimalException as error:
            raise ToolError("The expression has no result that is a real number.") from error


def _value(node: Node) -> Number:
    match node:
        case Literal(value):
            return value
        case Constant(name):
            return CONSTANTS[name]()
        case Percent(operand):
            return numbers.divide(_value(operand), Fraction(100))
        case Negative(operand):
            return numbers.negative(_value(operand))
        case Call(function, arguments):
            return FUNCTIONS[function].call(*map(_value, arguments))
        case Binary(operator, left, right):
            return _binary_value(operator, left, right)


def _binary_value(operator: str, left: Node, right: Node) -> Number:
    if operator not in _ARITHMETIC:
        raise ToolError("A comparison can't be part of a calculation.")
    a, b = _value(left), _value(right)
    if operator in {"+", "-"} and isinstance(right, Percent) and not is_percentage(left):
        # As on a pocket calculator: 80 + 15% is 80 and 15 % of it.
        b = numbers.multiply(a, b)
    return _ARITHMETIC[operator](a, b)
