"""From notation such as `2 * (3 + 4%)` to a tree.

The notation is that of pocket calculators, not of Python: `^` is a power, `15%` a percentage, `5!` a factorial, and
`a of b`, `a off b` take a share. What can be read in two ways is refused with a message that says how to write each.

The limits `MAX_TOKENS` and `MAX_DEPTH` hold while it is read.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from pilothouse.errors import ToolError
from pilothouse.tools.calculate import numbers
from pilothouse.tools.calculate.expressions import Binary, Call, Constant, Literal, Negative, Node, Percent
from pilothouse.tools.calculate.functions import CONSTANTS, FUNCTIONS

MAX_TOKENS = 150
MAX_DEPTH = 30

SHARES: Mapping[str, Fraction] = {
    "half": Fraction(1, 2),
    "halves": Fraction(1, 2),
    "third": Fraction(1, 3),
    "thirds": Fraction(1, 3),
    "quarter": Fraction(1, 4),
    "quarters": Fraction(1, 4),
    "fifth": Fraction(1, 5),
    "fifths": Fraction(1, 5),
    "tenth": Fraction(1, 10),
    "tenths": Fraction(1, 10),
}
SCALES: Mapping[str, int] = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 1_000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+(?![a-z]))?)"
    r"|(?P<name>[a-zπ_]+[a-zπ_0-9]*)|(?P<symbol>\*\*|//|<=|>=|==|!=|[-+*/^%()\[\]<>=!,]))"
)


class Token(NamedTuple):
    """`kind` is number, name, symbol or end."""

    kind: str
    text: str
    start: int
    end: int


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise ToolError(f"The sign {text[position:].strip()[0]!r} is not understood here.")
        if len(tokens) == MAX_TOKENS:
            raise ToolError(f"The expression has more than {MAX_TOKENS} parts, which is the limit: split it.")
        kind = match.lastgroup
        tokens.append(Token(kind, match[kind], match.start(kind), match.end()))
        position = match.end()
    return tokens


_COMPARISON, _SUM, _PRODUCT, _SIGN, _POWER = range(1, 6)
_PRECEDENCE = {
    **dict.fromkeys(("<", ">", "<=", ">=", "=", "==", "!="), _COMPARISON),
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/", "//", "%", "mod", "of", "off"), _PRODUCT),
    **dict.fromkeys(("^", "**"), _POWER),
}
_END = Token("end", "", 0, 0)


class _Parser:
    """Operator precedence parsing, as Pratt described it."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression(_COMPARISON)
        if self._next.kind != "end":
            raise self._unexpected()
        return node

    @property
    def _next(self) -> Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else _END

    def _take(self) -> Token:
        token = self._next
        self._position += 1
        return token

    def _take_if(self, *texts: str) -> bool:
        if self._next.text in texts:
            self._position += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take_if(text):
            if self._next.text == ",":
                raise self._unexpected()
            raise ToolError(f"A {text!r} is missing.")

    def _unexpected(self) -> ToolError:
        token = self._next
        if token.kind == "end":
            return ToolError("The expression ends too early: something is missing at its end.")
        if token.text == ",":
            return ToolError(
                "A comma is only for thousands (2,340) and between arguments; write decimals as 3.5."
            )
        before = self._tokens[self._position - 1].text if self._position else ""
        if token.kind == "name" and token.text not in FUNCTIONS and token.text not in CONSTANTS:
            return _unknown(token.text)
        if not before:
            return ToolError(f"{token.text!r} can't come first.")
        if token.kind in {"number", "name"} or token.text in "([":
            return ToolError(f"Write an operator such as * between {before!r} and {token.text!r}.")
        return ToolError(f"{token.text!r} is not expected after {before!r}.")

    def _expression(self, least: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ToolError(f"The expression is nested more than {MAX_DEPTH} deep, which is the limit.")
        left = self._suffixed(self._operand())
        while (precedence := _PRECEDENCE.get(self._next.text, 0)) >= least:
            operator = self._take().text
            # Powers group from the right, everything else from the left; comparisons do not group.
            right = self._expression(_SIGN if precedence == _POWER else precedence + 1)
            left = _binary(operator, left, right)
        self._depth -= 1
        return left

    def _suffixed(self, node: Node) -> Node:
        while True:
            if self._next.text == "!":
                self._take()
                node = Call("factorial", [node])
            elif self._next.text == "%" and not self._is_modulo():
                self._take()
                node = Percent(node)
            else:
                return node

    def _is_modulo(self) -> bool:
        """Whether the `%` that comes next stands between two operands."""
        if self._position + 1 >= len(self._tokens):
            return False
        sign, after = self._next, self._tokens[self._position + 1]
        if (after.kind == "symbol" and after.text not in "([") or after.text in {"of", "off", "mod", "and"}:
            return False
        before = self._tokens[self._position - 1]
        if before.end == sign.start and after.start > sign.end:
            raise ToolError(
                "This '%' can be read in two ways: write '17% of 50' for a percentage, '17 mod 50' for a remainder."
            )
        return True

    def _operand(self) -> Node:
        token = self._next
        if token.kind == "number":
            return Literal(self._number())
        if token.kind == "name":
            return self._named()
        if self._take_if("-"):
            return Negative(self._expression(_SIGN))
        if self._take_if("+"):
            return self._expression(_SIGN)
        if self._take_if("("):
            node = self._expression(_COMPARISON)
            self._expect(")")
            return node
        raise self._unexpected()

    def _number(self) -> Fraction:
        """`2`, `2,340.5`, `2 million`, `2 thirds`, `3 thousand 2 hundred`."""
        value = _literal(self._take().text)
        scale = 1
        while self._next.text in SCALES:
            scale *= SCALES[self._take().text]
        if self._next.text in SHARES:
            return value * scale * SHARES[self._take().text]
        value *= scale
        if scale > 1 and self._next.kind == "number":
            rest = self._number()
            if rest >= scale:
                raise ToolError("Write this number in digits.")
            value += rest
        return numbers.exact(value)

    def _named(self) -> Node:
        name = self._next.text
        if name in SHARES:
            self._take()
            return Literal(SHARES[name])
        if name in CONSTANTS:
            self._take()
            return Constant(name)
        if name not in FUNCTIONS:
            raise self._unexpected() if name in _PRECEDENCE else _unknown(name)
        self._take()
        arguments = self._bracketed(name) if self._next.text == "(" else self._bare(name)
        return Call(name, arguments)

    def _bracketed(self, name: str) -> list[Node]:
        self._take()
        in_list = self._take_if("[")
        start = self._position
        arguments = [self._expression(_COMPARISON)]
        while self._take_if(","):
            arguments.append(self._expression(_COMPARISON))
        if any(
            "," in token.text and token.kind == "number" for token in self._tokens[start : self._position]
        ):
            raise ToolError(
                f"A comma in {name}(…) separates arguments: put a space after it, and none within numbers."
            )
        if in_list:
            self._expect("]")
        self._expect(")")
        return _counted(name, arguments)

    def _bare(self, name: str) -> list[Node]:
        """Arguments without brackets: `sqrt 2`, `sum of 1, 2 and 3`. They are single numbers, so that nobody has to guess
        where they end."""
        self._take_if("of")
        arguments = [self._expression(_POWER + 1)]
        while FUNCTIONS[name].at_most != 1 and self._next.text in {",", "and"}:
            self._take()
            self._take_if("and")
            arguments.append(self._expression(_POWER + 1))
        if _PRECEDENCE.get(self._next.text, 0) > _COMPARISON:
            raise ToolError(f"Put what {name!r} applies to in brackets: {name}(…).")
        return _counted(name, arguments)


def _unknown(name: str) -> ToolError:
    return ToolError(
        f"{name!r} is not understood here. Write numbers, + - * / ^ %, brackets, functions such as sqrt(2) or "
        "round(2.345, 2), or a conversion such as '5 km in miles'."
    )


def _literal(text: str) -> Fraction:
    digits, _, exponent = text.replace(",", "").partition("e")
    if exponent and abs(int(exponent)) > numbers.MAX_DIGITS:
        raise numbers.too_many_digits()
    return numbers.exact(Fraction(digits) * Fraction(10) ** int(exponent or 0))


def _counted(name: str, arguments: list[Node]) -> list[Node]:
    function = FUNCTIONS[name]
    if len(arguments) < function.at_least:
        raise ToolError(f"{name} needs at least {function.at_least} numbers, such as {name}(3, 4).")
    if function.at_most is not None and len(arguments) > function.at_most:
        raise ToolError(
            f"{name} takes no more than {function.at_most}, and was given {len(arguments)} numbers."
        )
    return arguments


def _binary(operator: str, left: Node, right: Node) -> Node:
    if operator in {"of", "off"} and not _is_share(left):
        raise ToolError(
            f"{operator!r} needs a percentage or a fraction before it, such as '17% of 50' or '2/3 of 50'."
        )
    if (
        _PRECEDENCE[operator] == _COMPARISON
        and isinstance(left, Binary)
        and _PRECEDENCE[left.operator] == _COMPARISON
    ):
        raise ToolError("Compare two numbers at a time.")
    return Binary(operator, left, right)


def _is_share(node: Node) -> bool:
    match node:
        case Percent():
            return True
        case Literal(value):
            return value.denominator != 1
        case Binary("/", Literal(), Literal()):
            return True
        case _:
            return False


def parse(text: str) -> Node:
    """The tree of an expression in lower case. Raises `ToolError` if it is not one, with the reason."""
    return _Parser(_tokens(text)).whole()
