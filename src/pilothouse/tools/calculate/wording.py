"""From people's words to notation: "what's 12 squared plus half of nine?" to `12 ^2 + half of 9`.

Words that carry no meaning are dropped from both ends only; a word that is not known stays, and is refused later. So
nothing is ever answered by leaving a part of the question out.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from pilothouse.errors import ToolError
from pilothouse.tools.number_words import in_digits

_Rules: TypeAlias = Sequence[tuple[re.Pattern[str], str]]


def _rules(*rules: tuple[str, str]) -> _Rules:
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


class Wording(msgspec.Struct, frozen=True):
    """A request for a number. `shown` is what was asked, without the words around it; `suffix` follows the result."""

    shown: str
    notation: str
    suffix: str = ""


def _words(text: str) -> Sequence[str]:
    return text.split()


_FILLERS = frozenset(
    _words(
        "a an the hey hi hello ok okay so um hmm er please pls thanks thank can could would will you u i we me my do does tell "
        "give show find need want know to just quick quickly question now what whats what's is are was it its it's equal "
        "equals result answer value how much many long far big heavy calculate compute evaluate solve work out convert "
        "figure exactly be come make makes then and if get got there roughly about maths math for"
    )
)

_CURRENCIES = "$€£¥₹"

_SIGNS = str.maketrans("×·•÷⁄−–—％\u00a0\u202f`", "***//---%   ") | str.maketrans(  # noqa: RUF001 - what people type
    {"²": "^2", "³": "^3", "½": "(1/2)", "¼": "(1/4)", "¾": "(3/4)", "≤": "<=", "≥": ">=", "≠": "!="}
)

_ARITHMETIC = re.compile(r"(?<=\S) ?[-+*^/]|\b(?:plus|minus|times|divided|over|multiplied|and|then)\b")
_PERCENT = r"(?:%|percent(?:age)?|per cent|pct)"
_EXTRA = r"(?:tip|gratuity|tax|vat|gst|sales tax|service|interest|discount)"

_PERCENTAGES: _Rules = _rules(
    (rf"(?P<part>.+?) (?:is|as|=) (?:a |what |how many )+{_PERCENT} of (?P<whole>.+)", r"(\g<part>) / (\g<whole>) * 100"),
    (rf"{_PERCENT} of (?P<whole>.+?) (?:is|are) (?P<part>.+)", r"(\g<part>) / (\g<whole>) * 100"),
    (rf"(?P<part>.+?) out of (?P<whole>.+?) (?:as|in|to) (?:a )?{_PERCENT}", r"(\g<part>) / (\g<whole>) * 100"),
    (rf"(?P<all>.+) (?:as|in|to) (?:a )?{_PERCENT}", r"(\g<all>) * 100"),
    (rf"{_PERCENT} (?:change|increase|decrease|difference|growth|drop) (?:from|between) (.+?) (?:to|and) (.+)",
     r"((\2) - (\1)) / (\1) * 100"),
)  # fmt: skip
"""For a request as a whole whose result is a percentage."""

_WHOLE: _Rules = _rules(
    (r"subtract (.+?) from (.+)", r"(\2) - (\1)"),
    (r"take (.+?) (?:away )?from (.+)", r"(\2) - (\1)"),
    (r"divide (.+?) (?:by|between|among) (.+)", r"(\1) / (\2)"),
    (r"split (.+?) (?:by|between|among|into) (.+?)(?: people| persons| ways| of us| friends)?", r"(\1) / (\2)"),
    (r"multiply (.+?) (?:by|with|and) (.+)", r"(\1) * (\2)"),
    (rf"add (\S+ ?{_PERCENT})(?: {_EXTRA})? (?:to|on) (.+)", r"(\2) + \1"),
    (r"add (.+?) (?:to|and) (.+)", r"(\1) + (\2)"),
    (rf"(?:increase|raise) (.+?) by (\S+ ?{_PERCENT})", r"(\1) + \2"),
    (rf"(?:decrease|reduce|lower) (.+?) by (\S+ ?{_PERCENT})", r"(\1) - \2"),
    (rf"(.+?) (?:increased|raised) by (\S+ ?{_PERCENT})", r"(\1) + \2"),
    (rf"(.+?) (?:decreased|reduced|lowered|discounted) by (\S+ ?{_PERCENT})", r"(\1) - \2"),
    (rf"(\S+ ?{_PERCENT}) (?:more|higher|greater) than (.+)", r"(\2) + \1"),
    (rf"(\S+ ?{_PERCENT}) (?:less|lower|fewer) than (.+)", r"(\2) - \1"),
    (r"difference (?:between|of) (.+?) and (.+)", r"abs((\1) - (\2))"),
    (r"product of (.+?) and (.+)", r"(\1) * (\2)"),
    (r"(?:quotient|ratio) of (.+?) (?:and|to) (.+)", r"(\1) / (\2)"),
    (r"(?:remainder of|remainder when) (.+?) (?:is )?(?:divided by|/) (.+)", r"(\1) mod (\2)"),
    (r"round (.+?) to (?:the nearest )?(\d+) (?:decimals?|decimal places?|places?|dp)", r"round((\1), \2)"),
    (r"round (.+?) to (?:the nearest|a) (?:whole number|integer)", r"round(\1)"),
    (r"log(?:arithm)? base (\S+) of (\S+)", r"log(\2, \1)"),
    (r"(\S+) choose (\S+)", r"comb(\1, \2)"),
)  # fmt: skip
"""For a request as a whole."""

_PARTS: _Rules = _rules(
    (r"\ban? (?=hundred|thousand|million|billion|trillion|dozen|half|third|quarter|fifth|tenth)", "1 "),
    (r"\b(?:(?:a|an|the|my) )?(?:bill|total|order) of (?=\d)", ""),
    (r"\b(?:an?|the|my) (?=\d)", ""),
    (r"(?<=\d) (?:bill|order)$", ""),
    (r"(?<=hundred|million|billion) and (?=\d)", " "),
    (r"(?<=thousand) and (?=\d)", " "),
    (r"\b(?:multiplied by|times)\b", "*"),
    (r"(?<=[\d)]) ?x ?(?=[\d(.-])", " * "),
    (r"\b(?:integer divided by|integer division by)\b", "//"),
    (r"\b(?:divided by|over)\b", "/"),
    (r"\b(?:raised )?to the (?:power of|power)\b", "^"),
    (r"\bto the (\d+)(?:st|nd|rd|th)(?: power)?\b", r"^\1"),
    (r"\bsquared\b", "^2"),
    (r"\bcubed\b", "^3"),
    (r"\b(?:the )?square of (-?[\d.,]+)", r"(\1)^2"),
    (r"\b(?:the )?cube of (-?[\d.,]+)", r"(\1)^3"),
    (r"\bmodulo\b", "mod"),
    (rf"(?<=[\d)]) ?{_PERCENT}(?: {_EXTRA} (?:on|of|for))(?= )", "% of"),
    (rf"(?<=[\d)]) ?{_PERCENT} {_EXTRA}\b", "%"),
    (r"(?<=[\d)]) ?(?:percent|per cent|pct)\b", "%"),
    (r"(?<=%) on (?=\d)", " of "),
    (r"\bplus\b", "+"),
    (r"\bminus\b", "-"),
    (r"\b(?:negative|neg) (?=\d)", "-"),
    (r"\b(?:is )?(?:bigger|greater|larger|more|higher) than\b", ">"),
    (r"\b(?:is )?(?:smaller|less|lower|fewer) than\b", "<"),
    (r"\b(?:is )?equal to\b|\bequals\b", "="),
    (r"\b(?:double|twice) (?=\S)", "2 * "),
    (r"\b(?:triple|thrice) (?=\S)", "3 * "),
    (r"\b(?:the )?cube root(?: of)?\b", "cbrt"),
    (r"\b(?:the )?(?:square root|root)(?: of)?\b|√", "sqrt "),
    (r"(?<=\d)_(?=\d{3})", ""),
    (r"\b(?:average|avg)\b", "mean"),
    (r"\b(?:maximum|largest|biggest|highest)\b", "max"),
    (r"\b(?:minimum|smallest|lowest)\b", "min"),
    (r"\b(?:greatest common (?:divisor|factor)|gcf|hcf)\b", "gcd"),
    (r"\b(?:least|lowest|min) common multiple\b", "lcm"),
    (r"\btotal\b", "sum"),
    (r"\bnatural log(?:arithm)?\b", "ln"),
    (r"\bsine\b", "sin"),
    (r"\bcosine\b", "cos"),
    (r"\btangent\b", "tan"),
    (r"\b(sin|cos|tan)(?: of)? ?\(? ?(-?[\d.]+) ?(?:°|degrees?|deg) ?\)?", r"\1d(\2)"),
    (r"\b(?:the )?absolute value\b", "abs"),
    (r"\b(\d+) factorial\b", r"\1!"),
    (r"\bmath\.(?=[a-z])", ""),
)  # fmt: skip
"""For parts of a request, in this order."""


def clean(text: str) -> str:
    """The request without the words around it, in its own wording."""
    text = " ".join(text.split()).strip("`'\" ")
    text = re.sub(r"[\s=?.,:;]+$", "", text)
    words = text.split(" ")
    while len(words) > 1 and _is_filler(words[0]) and words[0].lower() not in {"a", "an"}:
        words.pop(0)
    while len(words) > 1 and _is_filler(words[-1]):
        words.pop()
    return re.sub(r"[\s=?.,:;]+$", "", " ".join(words))


def _is_filler(word: str) -> bool:
    return word.lower().replace("\u2019", "'").strip(",:;?!") in _FILLERS


def read(cleaned: str) -> Wording:
    """A cleaned request in the notation of `parsing`."""
    text = _without_currency(in_digits(cleaned).lower().translate(_SIGNS))
    match, notation = _matching(_PERCENTAGES, text)
    if match:
        parts = match.groupdict()
        shown = f"{parts['part']} as a percentage of {parts['whole']}" if "part" in parts else cleaned
        return Wording(shown, _rewritten(notation), "%")
    return Wording(cleaned, _rewritten(_matching(_WHOLE, text)[1]))


def _matching(rules: _Rules, text: str) -> tuple[re.Match[str] | None, str]:
    """The rule that is about the whole text, and what it makes of it; else the text."""
    for pattern, replacement in rules:
        match = pattern.fullmatch(text)
        if match:
            _check_operands(match)
            return match, match.expand(replacement)
    return None, text


def _check_operands(match: re.Match[str]) -> None:
    """An operand at an end of the request must be a single one: "product of 3 and 4 plus 5" can be read in two ways."""
    if match.groupdict().get("all"):
        return
    for number, operand in enumerate(match.groups(), 1):
        is_at_an_end = match.start(number) == 0 or match.end(number) == len(match.string)
        is_bracketed = re.fullmatch(r"\([^()]*\)", operand)
        if is_at_an_end and not is_bracketed and _ARITHMETIC.search(operand):
            raise ToolError(f"{match.string!r} can be read in two ways: write it with + - * / and brackets.")


def _rewritten(text: str) -> str:
    for pattern, replacement in _PARTS:
        text = pattern.sub(replacement, text)
    return text


def _without_currency(text: str) -> str:
    signs = {sign for sign in _CURRENCIES if sign in text}
    if len(signs) > 1:
        raise ToolError(
            "Amounts in different currencies can't be put together: exchange rates are not known here."
        )
    for sign in signs:
        text = text.replace(sign, " ")
    return re.sub(r"(?<=\d) ?(?:dollars?|euros?|bucks|usd|eur|gbp)\b", "", text)
