"""Exact calculation, for models that can't be trusted with digits."""

from fractions import Fraction

from pilothouse.errors import ToolError
from pilothouse.tools.calculate import units, wording
from pilothouse.tools.calculate.display import show
from pilothouse.tools.calculate.expressions import evaluate, is_percentage
from pilothouse.tools.calculate.numbers import Number
from pilothouse.tools.calculate.parsing import parse
from pilothouse.tools.number_words import in_digits

MAX_LENGTH = 300


def calculate(expression: str) -> str:
    """The answer to a calculation, as one line: the calculation, and its exact result or one that is marked as rounded.

    The expression may be notation (`2,340 * 3 / 4`, `sqrt(2)`, `5^2`), everyday wording (`17% of 2,340`, `12 squared`,
    `20% off 80`) or a conversion of units (`3 weeks in minutes`). It is answered or refused within milliseconds.

    Raises `ToolError` with what is wrong, which limit was passed, or how to write what can be read in two ways.
    """
    if len(expression) > MAX_LENGTH:
        raise ToolError(
            f"The expression has {len(expression):,} characters; the limit is {MAX_LENGTH}: split it."
        )
    cleaned = wording.clean(expression)
    if not cleaned:
        raise ToolError("The expression is empty: write a calculation such as 2 + 3.")
    conversion = units.read(in_digits(cleaned))
    if conversion:
        return f"{conversion.shown} = {_converted(conversion)}"
    request = wording.read(cleaned)
    tree = parse(request.notation)
    value = evaluate(tree)
    if isinstance(value, bool):
        return f"{request.shown} is {'true' if value else 'false'}"
    if is_percentage(tree):
        return f"{request.shown} = {show(value)}, which is {show(value * 100, '%')}"
    return f"{request.shown} = {show(value, request.suffix)}"


def _converted(conversion: units.Conversion) -> str:
    return show(units.convert(conversion, _value_of), f" {conversion.target}")


def _value_of(amount: str) -> Number:
    value = evaluate(parse(amount.lower()))
    return Fraction(value)
