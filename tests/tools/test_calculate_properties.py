"""`calculate` against `Fraction`, and against whatever anybody may send."""

import math
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilothouse.errors import ToolError
from pilothouse.tools.calculate import MAX_LENGTH, calculate
from pilothouse.tools.calculate.expressions import evaluate
from pilothouse.tools.calculate.parsing import parse

DEADLINE = timedelta(seconds=2)
"""Of one example, on a machine that is busy with other things."""

decimals = st.decimals(-(10**6), 10**6, places=3, allow_nan=False).map(Decimal)
leaves = decimals.map(lambda value: (f"({value})", Fraction(value)))


def combined(parts: st.SearchStrategy[tuple[str, Fraction]]) -> st.SearchStrategy[tuple[str, Fraction]]:
    return st.tuples(parts, st.sampled_from("+-*/"), parts).map(lambda triple: combine(*triple))


def combine(left: tuple[str, Fraction], operator: str, right: tuple[str, Fraction]) -> tuple[str, Fraction]:
    a, b = left[1], right[1]
    if operator == "/" and b == 0:
        operator = "+"
    value = {"+": a + b, "-": a - b, "*": a * b}.get(operator)
    return f"({left[0]} {operator} {right[0]})", a / b if value is None else value


expressions = st.recursive(leaves, combined, max_leaves=12)


@settings(deadline=DEADLINE)
@given(expressions)
def test_arithmetic_is_that_of_fractions(expression: tuple[str, Fraction]) -> None:
    assert evaluate(parse(expression[0])) == expression[1]


@settings(deadline=DEADLINE)
@given(st.lists(st.tuples(st.sampled_from(["+", "-", "*", "/", "//", "%"]), st.integers(1, 99)), max_size=12))
def test_operators_bind_as_in_python(pairs: list[tuple[str, int]]) -> None:
    text = "7" + "".join(f" {operator} {number}" for operator, number in pairs)
    python = "Fraction(7)" + "".join(f" {operator} Fraction({number})" for operator, number in pairs)
    assert evaluate(parse(text)) == eval(python, {"Fraction": Fraction})  # the text is made above


@settings(deadline=DEADLINE)
@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_what_is_shown_is_the_value_or_said_to_be_rounded(numerator: int, denominator: int) -> None:
    value = Fraction(numerator, denominator)
    shown = calculate(f"({numerator})/{denominator}").partition(" = ")[2]
    number = Fraction(shown.split(" ")[0].replace(",", ""))
    if "rounded" in shown and "10^" not in shown:
        assert abs(number - value) <= abs(value) / 10**11
    elif "rounded" not in shown:
        assert number == value


@settings(deadline=DEADLINE)
@given(st.floats(-50, 50, allow_nan=False))
def test_irrational_functions_agree_with_binary_ones(x: float) -> None:
    number = Fraction(x)
    text = f"({number.numerator}/{number.denominator})"
    for name, function in {"sin": math.sin, "cos": math.cos, "exp": math.exp}.items():
        ours = float(Fraction(evaluate(parse(f"{name}{text}"))))
        assert math.isclose(ours, function(x), rel_tol=1e-12, abs_tol=1e-15)


@settings(deadline=DEADLINE)
@given(st.integers(0, 10**30), st.integers(2, 9))
def test_roots_of_perfect_powers_are_exact(base: int, degree: int) -> None:
    assert evaluate(parse(f"({base**degree})^(1/{degree})")) == base


pieces = st.sampled_from(
    [
        "1",
        "2",
        "99999",
        "0.001",
        "1e999",
        "(",
        ")",
        "[",
        "]",
        ",",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "^",
        "**",
        "!",
        "=",
        "<",
        ">",
        "of",
        "off",
        "and",
        "mod",
        "half",
        "third",
        "million",
        "pi",
        "e",
        "sqrt",
        "sin",
        "tan",
        "exp",
        "ln",
        "log",
        "factorial",
        "comb",
        "perm",
        "gcd",
        "lcm",
        "round",
        "max",
        "sum",
        "mean",
        "$",
        "percent",
        "plus",
        "times",
        "divided",
        "by",
        "squared",
        "what",
        "is",
        "add",
        "to",
        "split",
        "between",
        "km",
        "miles",
        "in",
        "weeks",
        "12",
        "nine",
        "hundred",
        "choose",
        "increase",
        "x",
        ";",
        "√",
        "'",
        '"',
        "_",
    ]
)


@settings(deadline=DEADLINE, max_examples=500)
@given(
    st.lists(pieces, max_size=120).map(" ".join)
    | st.lists(pieces, max_size=150).map("".join)
    | st.text(max_size=400)
)
@example("add " * 75)
@example("1 in " * 60)
@example("(" * 150 + ")" * 150)
@example("9" * 300)
@example("1 and " * 50)
@example("sqrt(" * 60)
@example("99999^" * 50 + "9")
@example("factorial(" * 25 + "3" + ")" * 25)
@example("(10^1999)^0.99999 * exp(0.5)^2 ^ 0.3")
@example("-1 e1 1e1 ft " * 23)
@example("%" * 300)
def test_any_text_is_answered_or_refused_quickly(text: str) -> None:
    with suppress(ToolError):
        line = calculate(text)
        assert "\n" not in line
        assert len(line) < MAX_LENGTH + 400
