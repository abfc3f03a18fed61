"""From a JSON Schema to a grammar for its values, made of what a message offers."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from pilothouse.models.embedded.grammar import FREE_STRING, INTEGER, NUMBER, Grammar
from pilothouse.models.embedded.hints import Hint, Lessons
from pilothouse.models.embedded.vocabulary import (
    SEPARATORS,
    Token,
    contains,
    counts,
    has_digits,
    numbers,
    unique,
    words,
)

_SIGN = re.compile(r"[^\w\s\"\\?!]")
_LONGEST_SPAN_WORDS = 6
_LIKE_ENOUGH = 0.32


Likeness: TypeAlias = Callable[[str, Collection[str]], float]
"""How much a text is like the most like of others: 1 is the same."""


class Material(msgspec.Struct, frozen=True):
    """What values may be made of."""

    text: str
    """The message, and what else may lend its words and numbers to a mixture."""
    pieces: Sequence[Sequence[Token]]
    """The stretches of the message that spans may be taken from."""
    likeness: Likeness


class ValueGrammar:
    """Writes the grammar of one tool's values into a `Grammar`. An expression of None: no value can be made."""

    def __init__(
        self, definitions: Mapping[str, Any], lessons: Lessons, material: Material, grammar: Grammar
    ) -> None:
        self._definitions = definitions
        self._lessons = lessons
        self._material = material
        self._grammar = grammar
        self._optional = False

    def value(self, name: str, schema: Mapping[str, Any], *, optional: bool = False) -> str | None:
        """An expression for the property's value, or None. An optional one must be like those of the examples."""
        self._optional = optional
        return self._value(schema, self._lessons.hints[name])

    def _value(self, schema: Mapping[str, Any], hint: Hint) -> str | None:
        schema = self._resolved(schema)
        if "const" in schema or "enum" in schema:
            return self._choice(schema.get("enum") or [schema["const"]], hint)
        match schema.get("type"):
            case "integer" | "number" as kind:
                return self._number(kind, hint)
            case "boolean":
                return self._grammar.one_of(["true", "false"])
            case "array":
                item = self._value(schema.get("items", {}), hint)
                if item is None:
                    return None
                return self._grammar.array(item, schema.get("minItems", 0), schema.get("maxItems"))
            case "object":
                return self._object(schema, hint)
            case _:
                return self._string(schema, hint)

    def _choice(self, values: Sequence[Any], hint: Hint) -> str | None:
        """One of these. An optional one must be named, if the examples name theirs."""
        if self._optional and hint.origin == "span":
            values = [value for value in values if contains(self._material.text, str(value))]
        return (
            self._grammar.one_of(json.dumps(value, ensure_ascii=False) for value in values)
            if values
            else None
        )

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follows `$ref`, and takes the first real type of several."""
        if "$ref" in schema:
            return self._resolved(self._definitions.get(str(schema["$ref"]).rsplit("/", 1)[-1], {}))
        for choice in ("anyOf", "oneOf"):
            if options := [option for option in schema.get(choice, ()) if option.get("type") != "null"]:
                return self._resolved({**schema, choice: (), **options[0]})
        if isinstance(schema.get("type"), list):
            return {**schema, "type": next((kind for kind in schema["type"] if kind != "null"), "string")}
        return schema

    def _object(self, schema: Mapping[str, Any], hint: Hint) -> str:
        properties: Mapping[str, Any] = schema.get("properties", {})
        fields = {name: self._value(inner, hint) for name, inner in properties.items()}
        made = {name: value for name, value in fields.items() if value is not None}
        return self._grammar.rule(self._grammar.object(made, schema.get("required", made)))

    def _number(self, kind: str, hint: Hint) -> str | None:
        if hint.origin == "free":
            return INTEGER if kind == "integer" else NUMBER
        known = self._numbers(hint.constants)
        if kind == "integer":
            known = [number for number in known if "." not in number]
        return self._grammar.one_of(known) if known else None

    def _string(self, schema: Mapping[str, Any], hint: Hint) -> str | None:
        match hint.origin:
            case "free":
                return FREE_STRING
            case "span":
                return self._span(schema, hint)
            case "mixture":
                return self._mixture(hint)
            case "own words":
                number = self._grammar.one_of(self._numbers() or [""])
                letter = r'[^0-9"\\\x00-\x1F]'
                return self._grammar.rule(rf'"\"" {letter}+ ({number} {letter}+)* {number}? "\""')

    def _span(self, schema: Mapping[str, Any], hint: Hint) -> str | None:
        options: list[str] = []
        constants = list(hint.constants)
        doubtful = self._optional and hint.short
        if "pattern" in schema or hint.digits == "mostly" or doubtful:
            listed = _fitting(self._spans(hint), schema, hint)
            if doubtful:
                listed = [span for span in listed if self._material.likeness(span, hint.known) > _LIKE_ENOUGH]
            constants = unique([*listed, *constants])
        else:
            stretches = [self._grammar.stretch(piece, self._edge(hint)) for piece in self._pieces(hint)]
            options = [rf'"\"" {stretch} "\""' for stretch in stretches if stretch]
        if constants:
            options.append(self._grammar.one_string_of(constants))
        return self._grammar.rule(" | ".join(options)) if options else None

    def _spans(self, hint: Hint) -> list[str]:
        """The stretches one by one."""
        edge = self._edge(hint)
        found: list[str] = []
        for piece in self._pieces(hint):
            for start, first in enumerate(piece):
                span = ""
                for token in piece[start : start + _LONGEST_SPAN_WORDS] if edge(first) else ():
                    span += token.text
                    if edge(token):
                        found.append(span)
                    span += token.after
        return unique(found)

    def _pieces(self, hint: Hint) -> Sequence[Sequence[Token]]:
        """A short span does not reach over the words that part one thing from another; one that never has digits, not
        over a number that stands by itself."""
        if not hint.short:
            return self._material.pieces
        parts: list[list[Token]] = [[]]
        for piece in self._material.pieces:
            joined = False
            for token in piece:
                number = hint.digits == "never" and has_digits(token.text) and not joined
                if number or token.text.lower() in SEPARATORS:
                    parts.append([])
                else:
                    parts[-1].append(token)
                joined = not token.after
            parts.append([])
        return [part for part in parts if part]

    def _edge(self, hint: Hint) -> "_Edge":
        return _Edge(self._lessons.frame if hint.short else frozenset(), hint.known)

    def _mixture(self, hint: Hint) -> str | None:
        text = self._material.text
        if hint.needs_number and not counts(text):
            return None
        known = unique([*words(text), *self._numbers(hint.constants), *hint.constants])
        signs = unique([*hint.signs, *_SIGN.findall(text)])
        return self._grammar.rule(rf'"\"" {self._grammar.mixture(known, signs)} "\""') if known else None

    def _numbers(self, constants: Sequence[str] = ()) -> list[str]:
        digits = [constant for constant in constants if re.fullmatch(r"-?[\d.]+", constant)]
        return unique([*numbers(self._material.text), *digits])


class _Edge:
    """May a token begin or end a span? Words that belong to the question may not, unless they are a known value."""

    def __init__(self, frame: frozenset[str], known: frozenset[str]) -> None:
        self._frame = frame
        self._known = known

    def __call__(self, token: Token) -> bool:
        word = token.text.lower()
        return token.is_word and (word not in self._frame or word in self._known)


def _fitting(found: Sequence[str], schema: Mapping[str, Any], hint: Hint) -> list[str]:
    """Those of the schema's pattern and, where values mostly have digits, those made of numbers and known words; or
    else, those with a number, or a known value."""
    if "pattern" in schema:
        found = [span for span in found if re.search(schema["pattern"], span, re.IGNORECASE)]
    if hint.digits != "mostly":
        return list(found)
    known = {word.lower() for value in hint.known for word in words(value)}
    pure = [span for span in found if all(has_digits(part) or part.lower() in known for part in span.split())]
    longest = [span for span in pure if not any(span != other and contains(other, span) for other in pure)]
    return longest or [
        span for span in found if has_digits(span) or any(contains(span, value) for value in hint.known)
    ]
