"""Where does an argument's value come from? Said by hints in the tool's schema, or learned from the tool's examples.

Hints on a property, both optional: `"x-span": true`, the value is a stretch of the message; `"x-free": true`, the model may
write what it likes. Without a hint the examples tell: a property whose values stand in their requests is a span; one
whose words and numbers do is a mixture of them; else the words are the model's own, and only the digits must stand in the request.
What examples use that does not stand in their requests (`local`, `sqrt`, `100`) is admitted in any request.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, Literal, TypeAlias, cast

import msgspec

from pilothouse.models.embedded.vocabulary import (
    FUNCTION_WORDS,
    contains,
    counts,
    has_digits,
    numbers,
    unique,
    words,
)
from pilothouse.models.embedded.wire import Function

Origin: TypeAlias = Literal["span", "mixture", "own words", "free"]

_MOSTLY = 0.6
"""How much of what the examples show makes a rule."""
_SHORT_WORDS = 4


class Hint(msgspec.Struct, frozen=True):
    """How a property's values come about."""

    origin: Origin
    constants: tuple[str, ...] = ()
    """What need not stand in the message: values of a span, words of a mixture, numbers."""
    signs: tuple[str, ...] = ()
    """What may stand between a mixture's words."""
    known: frozenset[str] = frozenset()
    """A span's values in the examples, in lower case."""
    short: bool = False
    """A name, a time, a place: few words, and none that hold a sentence together."""
    needs_number: bool = False
    """A mixture always has a number, or a word for one."""
    digits: Literal["mostly", "sometimes", "never"] = "sometimes"
    """Whether such a span has digits. If mostly, one without is a known one."""


class Lessons(msgspec.Struct, frozen=True):
    """What a tool's schema and examples teach."""

    hints: Mapping[str, Hint]
    frame: frozenset[str]
    """Words that neither begin nor end a name: those of the examples' requests that are part of no value, those that name
    a choice, and function words; in lower case."""
    overlapping: bool
    """Do the spans of two properties ever share words?"""


def learn(tool: Function) -> Lessons:
    """What the tool's examples teach about its arguments."""
    properties: Mapping[str, Mapping[str, Any]] = tool.parameters.get("properties", {})
    found = {
        name: _hint(
            schema, [(e.request, leaf) for e in tool.examples for leaf in _leaves(e.arguments.get(name))]
        )
        for name, schema in properties.items()
    }
    values = [[str(leaf) for leaf in _leaves(example.arguments)] for example in tool.examples]
    inside = {word.lower() for row in values for value in row for word in words(value)}
    asked = {word.lower() for example in tool.examples for word in words(example.request)}
    overlapping = any(contains(one, other) for row in values for one, other in permutations(row, 2))
    choices = {
        word.lower()
        for schema in properties.values()
        for value in schema.get("enum", ())
        for word in words(str(value))
    }
    return Lessons(found, frozenset(asked - inside) | choices | FUNCTION_WORDS, overlapping)


def _leaves(value: Any) -> list[str | float]:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return [value]
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(cast("dict[str, Any]", value).values())
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
    return [leaf for item in inner for leaf in _leaves(item)]


def _hint(schema: Mapping[str, Any], shown: Sequence[tuple[str, str | float]]) -> Hint:
    if schema.get("x-free"):
        return Hint("free")
    texts = [(request, value) for request, value in shown if isinstance(value, str)]
    if not texts:
        return _number_hint([(request, value) for request, value in shown if not isinstance(value, str)])
    foreign = unique(value for request, value in texts if not contains(request, value))
    present = sum(contains(request, value) for request, value in texts)
    composed = [value for value in foreign if _is_composed(value, texts)]
    if schema.get("x-span") or (present >= _MOSTLY * len(texts) and not composed):
        return _span_hint([value for _, value in texts], foreign)
    return _mixture_hint(texts)


def _is_composed(value: str, texts: Sequence[tuple[str, str]]) -> bool:
    """Is the value put together from words of its request, and not a fixed one?"""
    request = next(request for request, shown in texts if shown == value)
    known = {word.lower() for word in words(request)} | set(numbers(request))
    return any(word.lower() in known for word in words(value))


def _span_hint(values: Sequence[str], foreign: Sequence[str]) -> Hint:
    with_digits = sum(has_digits(value) for value in values)
    mostly = with_digits >= _MOSTLY * len(values)
    return Hint(
        "span",
        tuple(foreign),
        known=frozenset(value.lower() for value in values),
        short=all(_is_name(value) for value in values),
        digits="mostly" if mostly else "sometimes" if with_digits else "never",
    )


def _is_name(value: str) -> bool:
    said = words(value)
    return len(said) <= _SHORT_WORDS and FUNCTION_WORDS.isdisjoint(word.lower() for word in said)


def _number_hint(shown: Sequence[tuple[str, float]]) -> Hint:
    if not shown:
        return Hint("own words")
    foreign = unique(f"{value:g}" for request, value in shown if f"{value:g}" not in numbers(request))
    present = sum(f"{value:g}" in numbers(request) for request, value in shown)
    return Hint("mixture", tuple(foreign)) if present >= _MOSTLY * len(shown) else Hint("free")


def _mixture_hint(texts: Sequence[tuple[str, str]]) -> Hint:
    foreign: list[str] = []
    total = 0
    for request, value in texts:
        known = {word.lower() for word in words(request)} | set(numbers(request))
        total += len(words(value))
        foreign += [word for word in words(value) if word.lower() not in known]
    if len(foreign) <= (1 - _MOSTLY) * total:
        signs = unique(sign for _, value in texts for sign in re.findall(r"[^\w\s]", value))
        counted = all(counts(value) for _, value in texts)
        return Hint("mixture", tuple(unique(foreign)), tuple(signs), needs_number=counted)
    invents_numbers = any(character.isdigit() for word in foreign for character in word)
    return Hint("free" if invents_numbers else "own words")
